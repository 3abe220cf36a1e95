//! What a sentence of an answer goes on from: the line before it where that has not ended, the words above a list
//! where it is one of the list.
//!
//! A model writes in Markdown, and an answer leaves in pieces. "You could skip" and "dinner tonight" on two lines, or
//! "Skip these:" above "- dinner", say what neither piece does. So a piece is read by itself and with what it goes on
//! from. However long the answer is, only its last two pages are looked at.

use crate::sentinel::text::Text;

/// How much of what was said a sentence may go on from, in bytes.
const REACH: usize = 2_000;

/// How long the beginning of a sentence may be that goes on, in bytes.
const LONGEST_BEGINNING: usize = 1_000;

/// Words that deny, at the end of what stands above a list.
const DENIALS: [&str; 6] = ["not", "never", "no", "without", "avoid", "avoiding"];

/// Words that may stand between a denial and the list that it denies: "what not to do".
const FILLERS: [&str; 16] = [
    "do",
    "doing",
    "to",
    "this",
    "these",
    "that",
    "those",
    "any",
    "of",
    "it",
    "try",
    "suggest",
    "advise",
    "recommend",
    "please",
    "the",
];

/// A sentence as it may be read.
#[derive(Debug)]
pub struct Reading {
    /// What has left before it and belongs to it.
    pub before: String,
    /// All its words.
    pub text: Text,
    /// The place of the first word that has not left.
    pub new: usize,
}

/// Every way to read a sentence after what was said.
pub fn readings(sentence: &str, said: &str) -> Vec<Reading> {
    let own = Text::of(sentence);
    if own.is_empty() {
        return Vec::new();
    }
    let said = &said[said.ceil_char_boundary(said.len().saturating_sub(REACH))..];
    let (above, line) = said.rsplit_once('\n').unwrap_or(("", said));
    let is_of_list = marker(line) > 0 || (line.trim().is_empty() && marker(sentence) > 0);
    let heading = is_of_list.then(|| heading(above)).flatten();
    let begun = begun(said);
    if let Some(heading) = heading.filter(|heading| denies(heading)) {
        return vec![Reading::after(heading, sentence, &own)];
    }
    let mut readings = Vec::with_capacity(3);
    let mut is_denied = false;
    for before in [heading, begun].into_iter().flatten() {
        is_denied |= denies(before);
        readings.push(Reading::after(before, sentence, &own));
    }
    // What stands above has denied it, whatever it says alone.
    if !is_denied {
        readings.extend(own.with_lines_joined().map(Reading::alone));
        readings.push(Reading::alone(own));
    }
    readings
}

// === impl Reading ===

impl Reading {
    fn alone(text: Text) -> Self {
        Self { before: String::new(), text, new: 0 }
    }

    fn after(before: &str, sentence: &str, own: &Text) -> Self {
        let is_apart = before.ends_with(char::is_whitespace);
        let mut before = in_one_line(before);
        let mut whole = before.clone();
        if denies(&before) {
            whole.truncate(before.trim_end_matches([':', '*', '_', ' ']).len());
        }
        if is_apart {
            whole.push(' ');
        }
        whole.push_str(&in_one_line(sentence));
        let text = Text::of(&whole);
        before.push(' ');
        let new = text.len().saturating_sub(own.len()).max(1);
        Self { before, text, new }
    }
}

/// Lines as one, without the marks of lists and headings.
fn in_one_line(lines: &str) -> String {
    let bare = lines.lines().map(|line| line[marker(line)..].trim()).filter(|line| !line.is_empty());
    bare.collect::<Vec<_>>().join(" ")
}

/// How long what marks a line as one of a list, a quotation or a heading is, in bytes.
fn marker(line: &str) -> usize {
    let bare = line.trim_start();
    let spaces = line.len() - bare.len();
    let digits = bare.len() - bare.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if (1..=3).contains(&digits) && bare[digits..].starts_with(['.', ')']) {
        let after = &bare[digits + 1..];
        return if after.is_empty() || after.starts_with(char::is_whitespace) { spaces + digits + 1 } else { 0 };
    }
    let is_mark = |c: char| !c.is_alphanumeric() && !c.is_whitespace();
    let mark = bare.len() - bare.trim_start_matches(is_mark).len();
    let is_apart = bare[mark..].is_empty() || bare[mark..].starts_with(char::is_whitespace);
    if mark > 0 && is_apart { spaces + mark } else { 0 }
}

/// What stands above a list, where it ends in a colon.
fn heading(above: &str) -> Option<&str> {
    let is_of_list = |line: &str| line.trim().is_empty() || marker(line) > 0 && !line.trim_start().starts_with('#');
    let line = above.lines().rev().find(|line| !is_of_list(line))?;
    let is_heading = line.trim_end_matches([' ', '*', '_']).ends_with(':') || line.trim_start().starts_with('#');
    is_heading.then(|| begun_at(line).map_or(line, |begun| &line[begun..]))
}

/// The beginning of a sentence that has not ended.
fn begun(said: &str) -> Option<&str> {
    let begun = begun_at(said).map_or(said, |begun| &said[begun..]);
    let begun = &begun[begun.ceil_char_boundary(begun.len().saturating_sub(LONGEST_BEGINNING))..];
    begun.contains(char::is_alphanumeric).then_some(begun)
}

/// Where the last sentence begins: after white space that follows a mark. The number of a list's line is no sentence.
fn begun_at(text: &str) -> Option<usize> {
    let (mut begun, mut after_mark, mut line) = (None, false, 0);
    for (place, c) in text.char_indices() {
        if c.is_whitespace() && after_mark {
            begun = Some(place + c.len_utf8());
        }
        if c == '\n' {
            line = place + 1;
        }
        let is_number = || text[line..place].trim_start().bytes().all(|c| c.is_ascii_digit());
        after_mark = match c {
            '.' => !is_number(),
            '!' | '?' | '…' | '。' | '！' | '？' => true,
            '"' | '\'' | ')' | ']' | '”' | '’' | '*' | '_' => after_mark,
            _ => false,
        };
    }
    begun
}

/// Whether what stands before denies what follows: "Please don't:", "what not to do:".
fn denies(before: &str) -> bool {
    let tail = before.trim_end();
    let text = Text::of(&tail[tail.ceil_char_boundary(tail.len().saturating_sub(80))..]);
    let last = text.words().rev().find(|word| !FILLERS.contains(word));
    let is_instead = text.words().rev().take(2).eq(["of", "instead"]);
    last.is_some_and(|word| DENIALS.contains(&word)) || is_instead
}
