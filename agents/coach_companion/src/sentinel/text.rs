//! A message as words: what people type on a phone, made plain enough for rules and for the classifier.
//!
//! Letters of other alphabets and styles that look like Latin ones become those, accents go, what hides in zero
//! width goes; apostrophes go (`dont`), digits and signs in the middle of letters become letters (`k1ll`), letters
//! that stand alone in a row become a word (`k i l l`), letters repeated more than twice become two, emoji of
//! meaning become words, and a table of spellings (`data/spellings.toml`) does the rest. Marks that only change how a
//! text looks (Markdown's, tags of HTML) are no letters. All of a message is read, in one pass, linear in the input,
//! whatever it is.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::str::Chars;
use std::sync::LazyLock;

use foldhash::HashMap;
use serde::Deserialize;

use super::concepts;

/// The longest word that is kept whole; no word of English is longer.
const LONGEST_WORD: usize = 40;

/// The longest tag that is looked for, in bytes: `</strong>`.
const LONGEST_TAG: usize = 9;

/// Signs that may be a letter and may as well stand between two words.
const JOINTS: [char; 3] = ['!', '|', '*'];

/// What a tag that changes the looks of words is called. Any other `<…>` is read as words.
const TAGS: [&str; 22] = [
    "b", "i", "u", "s", "p", "br", "em", "li", "ul", "ol", "hr", "h1", "h2", "h3", "h4", "del", "ins", "sub", "sup",
    "code", "span", "strong",
];

static SPELLINGS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Data {
        word: HashMap<String, String>,
        emoji: HashMap<String, String>,
    }
    let data = include_str!(concat!(env!("OUT_DIR"), "/spellings.json"));
    let Data { mut word, emoji } = serde_json::from_str(data).expect("the build has read it");
    word.extend(emoji);
    word
});

/// A message as words in sentences.
#[derive(Debug, Clone, Default)]
pub struct Text {
    letters: String,
    words: Vec<Word>,
}

/// A word's place, and what ends after it.
#[derive(Debug, Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    after: Break,
}

/// What ends after a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Break {
    /// Nothing: the next word follows.
    #[default]
    None,
    /// A part of a sentence: at a comma, a semicolon, a dash.
    Clause,
    /// A line that the next one may go on with: it ends without a mark, and the next begins small.
    Line,
    /// A sentence: at a full stop, a question or exclamation mark, a line's end.
    Sentence,
    /// A sentence that asks.
    Question,
}

// === impl Text ===

impl Text {
    /// The words of a message.
    pub fn of(message: &str) -> Self {
        let mut reader = Reader::default();
        reader.read(message);
        reader.finish()
    }

    /// The same words with lines that may go on read as going on: "i want to" and "die" on two lines. None where no
    /// line may.
    pub fn with_lines_joined(&self) -> Option<Self> {
        let is_line = |word: &Word| word.after == Break::Line;
        self.words.iter().any(is_line).then(|| {
            let mut joined = self.clone();
            joined.words.iter_mut().filter(|word| is_line(word)).for_each(|word| word.after = Break::Clause);
            joined
        })
    }

    /// Adds a word, and what ends after it.
    pub(super) fn say(&mut self, word: &str, after: Break) {
        let start = self.letters.len();
        self.letters.push_str(word);
        self.words.push(Word { start, end: self.letters.len(), after });
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words, in order.
    pub fn words(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.words.iter().map(|word| &self.letters[word.start..word.end])
    }

    /// The word at a place.
    pub fn word(&self, place: usize) -> Option<&str> {
        self.words.get(place).map(|word| &self.letters[word.start..word.end])
    }

    /// What ends after the word at a place.
    pub fn after(&self, place: usize) -> Break {
        self.words.get(place).map_or(Break::Sentence, |word| word.after)
    }

    /// Whether a sentence ends after the word at a place.
    pub fn is_end(&self, place: usize) -> bool {
        self.after(place) >= Break::Line
    }

    /// The sentences, each as the places of its first word and of the word after its last.
    pub fn sentences(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut start = 0;
        let ends = self.words.iter().enumerate().filter(|(_, word)| word.after >= Break::Line);
        let ends: Vec<usize> = ends.map(|(place, _)| place + 1).collect();
        let last = (ends.last() != Some(&self.words.len()) && !self.words.is_empty()).then_some(self.words.len());
        ends.into_iter().chain(last).map(move |end| {
            let sentence = start..end;
            start = end;
            sentence
        })
    }
}

/// What a character counts as.
enum Read {
    Letter(char),
    Digit(char),
    /// A sign that stands for a letter in the middle of a word.
    Sign(char),
    Apostrophe,
    Nothing,
    Ends(Break),
    Emoji(char),
    Other,
}

#[derive(Default)]
struct Reader {
    text: Text,
    /// The word being read, as typed but for its letters.
    word: String,
    has_letter: bool,
    has_digit_or_sign: bool,
    /// Where an apostrophe stood in it: "i'll" is not "ill".
    apostrophe: Option<usize>,
    /// Single letters in a row, which may be one word.
    spaced: String,
    /// How many asterisks opened what is set bold; none where nothing is.
    bold: usize,
}

// === impl Reader ===

impl Reader {
    fn read(&mut self, message: &str) {
        let mut rest = message.chars();
        while let Some(c) = rest.next() {
            match read(c) {
                Read::Letter(letter) => self.letter(letter),
                Read::Digit(digit) => self.digit(digit),
                Read::Sign(sign) => self.sign(sign, &mut rest),
                Read::Apostrophe => self.apostrophe(rest.as_str()),
                Read::Nothing => {}
                Read::Ends(kind) => self.mark(c, kind, rest.as_str()),
                Read::Emoji(emoji) => {
                    self.end_word();
                    self.push_known(&emoji.to_string());
                }
                Read::Other => {
                    self.end_word();
                    if c == '<' {
                        skip_tag(&mut rest);
                    }
                }
            }
        }
    }

    /// A sign that may stand for a letter: "su!cide" goes on, "Help!I" does not, and neither do the asterisks around
    /// words that are set bold.
    fn sign(&mut self, sign: char, rest: &mut Chars<'_>) {
        let mut times = 1;
        while sign == '*' && rest.as_str().starts_with('*') {
            rest.next();
            times += 1;
        }
        let beyond = rest.clone().next().unwrap_or(' ');
        let is_letter = match sign {
            '!' => beyond.is_lowercase(),
            '*' => beyond.is_alphabetic() && self.bold != times,
            _ => beyond.is_alphabetic() || beyond == '*',
        };
        if is_letter && (sign == '$' || !self.word.is_empty()) {
            self.make_room();
            if self.word.len() < LONGEST_WORD {
                self.word.extend(std::iter::repeat_n(sign, times.min(3)));
                self.has_digit_or_sign = true;
            }
            return;
        }
        // "f**" and "d*" leave out what everybody knows.
        if sign == '*' && self.bold == 0 && !self.word.is_empty() && times < 3 {
            let left_out: String = self.word.chars().chain(std::iter::repeat_n('*', times)).collect();
            if SPELLINGS.contains_key(&left_out) {
                self.word = left_out;
            }
        }
        let opens = self.word.is_empty() && !beyond.is_whitespace();
        self.end_word();
        match sign {
            '!' => self.break_after(Break::Sentence),
            '*' if opens && self.bold == 0 => self.bold = times,
            '*' => self.bold = 0,
            _ => {}
        }
    }

    /// An apostrophe, or the sign for feet: 5'4.
    fn apostrophe(&mut self, rest: &str) {
        let is_feet = matches!(self.word.as_bytes(), [b'3'..=b'8']) && !self.has_letter;
        if is_feet && !rest.starts_with(char::is_alphabetic) {
            self.end_word();
            self.push("ft");
        } else {
            self.apostrophe = Some(self.word.len());
        }
    }

    /// A mark that ends something, if it is not one of a number's or of an abbreviation's.
    fn mark(&mut self, mark: char, kind: Break, beyond: &str) {
        let is_number = !self.has_letter && !self.word.is_empty();
        if matches!(mark, '.' | ',') && is_number && beyond.starts_with(|c: char| c.is_ascii_digit()) {
            if self.word.len() < LONGEST_WORD && !is_of_thousands(&self.word, mark, beyond) {
                self.word.push('.');
            }
            return;
        }
        // The full stops of "s.u.i.c.i.d.e" end no sentence.
        let goes_on = beyond.starts_with(char::is_alphabetic);
        let is_single = self.word.chars().nth(1).is_none() && !self.word.is_empty();
        self.end_word();
        if mark == '\n' {
            self.bold = 0;
            let next = beyond.chars().find(|c| !matches!(c, ' ' | '\t' | '\r'));
            self.break_after(if next.is_some_and(char::is_lowercase) { Break::Line } else { kind });
        } else if !(mark == '.' && goes_on && is_single) {
            self.break_after(kind);
        }
    }

    fn letter(&mut self, letter: char) {
        if !self.has_letter && self.has_digit_or_sign && is_unit_start(letter) && is_number(&self.word) {
            // "10kg" is two words.
            self.end_word();
        }
        self.make_room();
        if self.word.len() < LONGEST_WORD {
            self.word.push(letter);
            self.has_letter = true;
        }
    }

    fn digit(&mut self, digit: char) {
        // "7st10", "5ft4"
        let is_unit = matches!(self.word.as_str(), "st" | "stone" | "ft" | "kg" | "lb" | "lbs");
        if is_unit && self.text.words.last().is_some_and(|last| is_number(&self.text.letters[last.start..last.end])) {
            self.end_word();
        }
        self.make_room();
        if self.word.len() < LONGEST_WORD {
            self.word.push(digit);
            self.has_digit_or_sign = true;
        }
    }

    /// Words that hang together by signs are no word that is too long: all but the last have ended.
    fn make_room(&mut self) {
        if self.word.len() < LONGEST_WORD {
            return;
        }
        if let Some(joint) = self.word.rfind(JOINTS) {
            let last = self.word.split_off(joint + 1);
            self.end_word();
            self.has_letter = last.contains(char::is_alphabetic);
            self.has_digit_or_sign = !last.chars().all(char::is_alphabetic);
            self.word = last;
        }
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let mut typed = std::mem::take(&mut self.word);
        self.read_word(&typed);
        typed.clear();
        // Its room serves the next.
        self.word = typed;
    }

    fn read_word(&mut self, typed: &str) {
        let mut word = Cow::Borrowed(typed);
        if let Some(place) = self.apostrophe.take().filter(|place| (1..word.len()).contains(place)) {
            let typed = format!("{}'{}", &word[..place], &word[place..]);
            if SPELLINGS.contains_key(&typed) {
                word = typed.into();
            }
        }
        if self.has_letter && self.has_digit_or_sign {
            let letters: String = word.chars().map(meant).collect();
            if is_joined(&word) && !is_known(&letters) {
                return self.end_words(&word);
            }
            word = letters.into();
        }
        if self.has_letter && is_stretched(&word) {
            word = squeezed(&word).into();
        }
        (self.has_letter, self.has_digit_or_sign) = (false, false);
        let is_single = word.len() == 1 && word.starts_with(|c: char| c.is_ascii_alphabetic());
        if is_single {
            self.spaced.push_str(&word);
        } else {
            self.end_spaced();
            self.push_known(&word);
        }
    }

    /// The words on either side of signs that stand for no letter: "die!please".
    fn end_words(&mut self, words: &str) {
        for word in words.split_inclusive(JOINTS) {
            let (bare, kind) = match word.strip_suffix('!') {
                Some(bare) => (bare, Break::Sentence),
                None => (word.trim_end_matches(['|', '*']), Break::None),
            };
            self.word.push_str(bare);
            self.has_letter = bare.contains(char::is_alphabetic);
            self.has_digit_or_sign = !bare.chars().all(char::is_alphabetic);
            self.end_word();
            self.break_after(kind);
        }
    }

    /// Three single letters in a row or more are one word; fewer are what they are.
    fn end_spaced(&mut self) {
        if self.spaced.is_empty() {
            return;
        }
        let spaced = std::mem::take(&mut self.spaced);
        if spaced.len() >= 3 {
            self.push_known(&spaced);
        } else {
            for letter in spaced.chars() {
                self.push_known(letter.encode_utf8(&mut [0; 4]));
            }
        }
    }

    /// The word, or what it is known to stand for.
    fn push_known(&mut self, word: &str) {
        match SPELLINGS.get(word) {
            Some(meant) => meant.split(' ').filter(|word| !word.is_empty()).for_each(|word| self.push(word)),
            None if word.starts_with(|c: char| c.is_alphanumeric() || c == '*') => self.push(word),
            None => {}
        }
    }

    fn push(&mut self, word: &str) {
        let start = self.text.letters.len();
        self.text.letters.push_str(word);
        self.text.words.push(Word { start, end: self.text.letters.len(), after: Break::None });
    }

    fn break_after(&mut self, kind: Break) {
        if kind >= Break::Line {
            self.end_spaced();
        }
        if let Some(last) = self.text.words.last_mut() {
            last.after = last.after.max(kind);
        }
    }

    fn finish(mut self) -> Text {
        self.end_word();
        self.end_spaced();
        self.text
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|c| c.is_ascii_digit() || c == b'.')
}

/// Whether signs in a word may part words: not where they hide letters, as in "f*ck".
fn is_joined(word: &str) -> bool {
    let hides = |part: &str| part.len() < 2;
    word.contains(['!', '|']) || (word.contains('*') && !word.split('*').any(hides))
}

/// Whether a word that signs are in has a meaning, so that they are letters.
fn is_known(word: &str) -> bool {
    SPELLINGS.contains_key(word) || concepts::has(word)
}

/// Whether a mark in a number parts thousands: "1,000", "1.000 kcal". A full stop does so only where the number is one
/// of energy, because "1.250 kg" is a little more than one.
fn is_of_thousands(before: &str, mark: char, beyond: &str) -> bool {
    let are_digits = |group: &str| group.bytes().all(|c| c.is_ascii_digit());
    let Some((_, after)) = beyond.split_at_checked(3).filter(|(group, _)| are_digits(group)) else {
        return false;
    };
    let is_one_group = before.len() <= 3 && are_digits(before) && !before.starts_with('0');
    let ends = !after.starts_with(|c: char| c.is_ascii_digit());
    is_one_group && ends && (mark == ',' || is_energy(after))
}

/// Whether a unit of energy follows.
fn is_energy(after: &str) -> bool {
    let unit = after.trim_start_matches([' ', '\u{a0}', '\u{202f}', '*', '_']);
    let begins = |with: &str| unit.get(..with.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(with));
    begins("kcal") || begins("cal")
}

/// Goes beyond a tag that changes the looks of words, the `<` of which has been read.
fn skip_tag(rest: &mut Chars<'_>) {
    let text = rest.as_str();
    let Some(end) = text.bytes().take(LONGEST_TAG).position(|c| c == b'>') else {
        return;
    };
    let name = text[..end].trim_matches(['/', ' ']);
    if TAGS.iter().any(|tag| tag.eq_ignore_ascii_case(name)) {
        *rest = text[end + 1..].chars();
    }
}

/// Whether a unit of weight, length, energy or time may begin so: "10kg", "5st", "800kcal", "2weeks".
fn is_unit_start(letter: char) -> bool {
    matches!(
        letter,
        'k' | 's' | 'l' | 'p' | 'c' | 'm' | 'f' | 'd' | 'w' | 'h' | 'g' | 'y' | 'x' | 't' | 'n' | 'r' | 'i'
    )
}

/// The letter that a digit or sign stands for in a word.
fn meant(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        '8' => 'b',
        '9' => 'g',
        other => other,
    }
}

/// Whether a letter may stand in it three times in a row.
fn is_stretched(word: &str) -> bool {
    !word.is_ascii() || word.as_bytes().windows(3).any(|three| three[0] == three[1] && three[1] == three[2])
}

/// Letters repeated more than twice become two; two at a word's end become one where no English word ends so.
fn squeezed(word: &str) -> String {
    let mut kept = String::with_capacity(word.len());
    let (mut last, mut times) = (' ', 0);
    let mut was_long = false;
    for letter in word.chars() {
        times = if letter == last { times + 1 } else { 1 };
        last = letter;
        was_long |= times > 2;
        if times <= 2 {
            kept.push(letter);
        }
    }
    // "sooo" and "plzzz" end in one letter, "feell" is left as it is.
    if was_long && times > 2 && !matches!(last, 'e' | 'l' | 's' | 'f') {
        kept.pop();
    }
    kept
}

/// What a character counts as, with letters folded to plain Latin ones.
fn read(c: char) -> Read {
    match c {
        'a'..='z' => Read::Letter(c),
        'A'..='Z' => Read::Letter(c.to_ascii_lowercase()),
        '0'..='9' => Read::Digit(c),
        '\'' | '’' | '‘' | '`' | '´' | '′' => Read::Apostrophe,
        // What has no width, what sets the direction, and marks that stand above or below a letter.
        '\u{ad}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180e}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{300}'..='\u{36f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => Read::Nothing,
        '?' => Read::Ends(Break::Question),
        '.' | '\n' | '…' | '。' | '！' => Read::Ends(Break::Sentence),
        ',' | ';' | ':' | '–' | '—' | '(' | ')' => Read::Ends(Break::Clause),
        '!' | '@' | '$' | '*' | '|' => Read::Sign(c),
        _ if c.is_ascii() => Read::Other,
        _ => folded(c),
    }
}

/// The letters of mathematics, which have the alphabet again and again in 26s, and those in circles and squares.
const ALPHABETS: [RangeInclusive<u32>; 5] =
    [0x1d400..=0x1d6a3, 0x24b6..=0x24e9, 0x1f130..=0x1f149, 0x1f150..=0x1f169, 0x1f170..=0x1f189];

fn folded(c: char) -> Read {
    // Full width.
    if let Some(ascii) = char::from_u32((c as u32).wrapping_sub(0xfee0)).filter(char::is_ascii_alphanumeric) {
        return if ascii.is_ascii_digit() { Read::Digit(ascii) } else { Read::Letter(ascii.to_ascii_lowercase()) };
    }
    if let Some(alphabet) = ALPHABETS.iter().find(|alphabet| alphabet.contains(&u32::from(c))) {
        let letter = u8::try_from((u32::from(c) - alphabet.start()) % 26).unwrap_or_default();
        return Read::Letter(char::from(b'a' + letter));
    }
    if let place @ 0x1d7ce..=0x1d7ff = u32::from(c) {
        return Read::Digit(char::from(b'0' + u8::try_from((place - 0x1d7ce) % 10).unwrap_or_default()));
    }
    if let Some(letter) = look_alike(c) {
        return Read::Letter(letter);
    }
    match c {
        'æ' | 'Æ' => Read::Letter('a'),
        'œ' | 'Œ' => Read::Letter('o'),
        'ß' => Read::Letter('s'),
        _ if c.is_alphabetic() => Read::Letter(c.to_lowercase().next().unwrap_or(c)),
        _ if c.is_whitespace() => Read::Other,
        _ => Read::Emoji(c),
    }
}

/// The plain letter of an accented one, and of letters of other alphabets that look like it.
fn look_alike(c: char) -> Option<char> {
    const FOLDS: [(char, &str); 26] = [
        ('a', "àáâãäåāăąǎȧÀÁÂÃÄÅĀĂĄаАαΑ"),
        ('b', "ḃвВβΒЬь"),
        ('c', "çćĉċčÇĆĈĊČсС"),
        ('d', "ďđḋĎĐԁ"),
        ('e', "èéêëēĕėęěÈÉÊËĒĔĖĘĚеЕёЁεΕ"),
        ('f', "ḟƒ"),
        ('g', "ĝğġģĜĞĠĢ"),
        ('h', "ĥħĤĦнНһ"),
        ('i', "ìíîïĩīĭįıÌÍÎÏĨĪĬĮİіІιΙ"),
        ('j', "ĵĴјЈ"),
        ('k', "ķĶкКκΚ"),
        ('l', "ĺļľŀłĹĻĽĿŁ"),
        ('m', "ṁмМΜ"),
        ('n', "ñńņňÑŃŅŇпηΝ"),
        ('o', "òóôõöøōŏőÒÓÔÕÖØŌŎŐоОοΟσ"),
        ('p', "ṗрРρΡ"),
        ('q', "ԛ"),
        ('r', "ŕŗřŔŖŘг"),
        ('s', "śŝşšșŚŜŞŠȘѕЅ"),
        ('t', "ţťŧțŢŤŦȚтТτΤ"),
        ('u', "ùúûüũūŭůűųÙÚÛÜŨŪŬŮŰŲυ"),
        ('v', "νѵ"),
        ('w', "ŵŴωԝ"),
        ('x', "хХχΧ"),
        ('y', "ýÿŷÝŶŸуУγΥ"),
        ('z', "źżžŹŻŽΖ"),
    ];
    static TABLE: LazyLock<HashMap<char, char>> = LazyLock::new(|| {
        FOLDS.into_iter().flat_map(|(plain, others)| others.chars().map(move |other| (other, plain))).collect()
    });
    TABLE.get(&c).copied()
}
