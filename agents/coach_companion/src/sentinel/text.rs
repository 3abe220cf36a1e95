//! A message as words: what people type on a phone, made plain enough for rules and for the classifier.
//!
//! Letters of other alphabets and styles that look like Latin ones become those, accents go, what hides in zero
//! width goes; apostrophes go (`dont`), digits and signs in the middle of letters become letters (`k1ll`), letters
//! that stand alone in a row become a word (`k i l l`), letters repeated more than twice become two, emoji of
//! meaning become words, and a table of spellings (`data/spellings.toml`) does the rest. One pass, linear in the
//! input, whatever it is.

use std::sync::LazyLock;

use foldhash::HashMap;
use serde::Deserialize;

/// More of a message is not looked at: some ten pages. What is longer is cut in the middle, so that the beginning
/// and the end are read.
const LONGEST: usize = 20_000;

/// The longest word that is kept whole; no word of English is longer.
const LONGEST_WORD: usize = 40;

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
        if message.len() <= LONGEST {
            reader.read(message);
        } else {
            let (beginning, end) = (message.floor_char_boundary(LONGEST / 2), message.len() - LONGEST / 2);
            reader.read(&message[..beginning]);
            reader.end_word();
            reader.break_after(Break::Sentence);
            reader.read(&message[message.ceil_char_boundary(end)..]);
        }
        reader.finish()
    }

    /// Adds a word, and what ends after it.
    pub(super) fn say(&mut self, word: &str, after: Break) {
        let start = self.letters.len();
        self.letters.push_str(word);
        self.words.push(Word { start, end: self.letters.len(), after });
    }

    /// Takes back all words from a place on.
    pub(super) fn take_back(&mut self, place: usize) {
        if let Some(word) = self.words.get(place) {
            self.letters.truncate(word.start);
            self.words.truncate(place);
        }
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

    /// The sentences, each as the places of its first word and of the word after its last.
    pub fn sentences(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut start = 0;
        let ends = self.words.iter().enumerate().filter(|(_, word)| word.after >= Break::Sentence);
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
}

// === impl Reader ===

impl Reader {
    fn read(&mut self, message: &str) {
        let mut characters = message.chars().peekable();
        while let Some(c) = characters.next() {
            match read(c) {
                Read::Letter(letter) => self.letter(letter),
                Read::Digit(digit) => self.digit(digit),
                Read::Sign(sign) => {
                    // "su!cide" goes on, "Help!I" does not.
                    let beyond = characters.peek().copied().unwrap_or(' ');
                    let is_letter = match sign {
                        '!' => beyond.is_lowercase(),
                        _ => beyond.is_alphabetic() || beyond == '*',
                    };
                    if is_letter && (sign == '$' || !self.word.is_empty()) {
                        self.word.push(sign);
                        self.has_digit_or_sign = true;
                    } else {
                        self.end_word();
                        if sign == '!' {
                            self.break_after(Break::Sentence);
                        }
                    }
                }
                Read::Apostrophe => self.apostrophe = Some(self.word.len()),
                Read::Nothing => {}
                Read::Ends(kind) => {
                    let is_point = c == '.' || c == ',';
                    let is_number = !self.has_letter && !self.word.is_empty();
                    if is_point && is_number && characters.peek().is_some_and(char::is_ascii_digit) {
                        self.word.push('.');
                        continue;
                    }
                    // The full stops of "s.u.i.c.i.d.e" end no sentence.
                    let goes_on = characters.peek().is_some_and(|next| next.is_alphabetic());
                    let is_single = self.word.chars().nth(1).is_none() && !self.word.is_empty();
                    self.end_word();
                    if !(c == '.' && goes_on && is_single) {
                        self.break_after(kind);
                    }
                }
                Read::Emoji(emoji) => {
                    self.end_word();
                    self.push_known(&emoji.to_string());
                }
                Read::Other => self.end_word(),
            }
        }
    }

    fn letter(&mut self, letter: char) {
        if !self.has_letter && self.has_digit_or_sign && is_unit_start(letter) && is_number(&self.word) {
            // "10kg" is two words.
            self.end_word();
        }
        if self.word.len() < LONGEST_WORD {
            self.word.push(letter);
            self.has_letter = true;
        }
    }

    fn digit(&mut self, digit: char) {
        if self.word.len() < LONGEST_WORD {
            self.word.push(digit);
            self.has_digit_or_sign = true;
        }
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let mut word = std::mem::replace(&mut self.word, String::with_capacity(LONGEST_WORD));
        if let Some(place) = self.apostrophe.take().filter(|place| (1..word.len()).contains(place)) {
            let typed = format!("{}'{}", &word[..place], &word[place..]);
            if SPELLINGS.contains_key(&typed) {
                word = typed;
            }
        }
        if self.has_letter && self.has_digit_or_sign {
            word = word.chars().map(meant).collect();
        }
        if self.has_letter && is_stretched(&word) {
            word = squeezed(&word);
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

    /// Three single letters in a row or more are one word; fewer are what they are.
    fn end_spaced(&mut self) {
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
        if kind >= Break::Sentence {
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
        '\'' | '’' | '‘' | '`' | '´' => Read::Apostrophe,
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2060}'
        | '\u{feff}'
        | '\u{300}'..='\u{36f}'
        | '\u{fe0f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{20e3}' => Read::Nothing,
        '?' => Read::Ends(Break::Question),
        '.' | '\n' | '…' | '。' | '！' => Read::Ends(Break::Sentence),
        ',' | ';' | ':' | '–' | '—' | '(' | ')' => Read::Ends(Break::Clause),
        '!' | '@' | '$' | '*' | '|' => Read::Sign(c),
        _ if c.is_ascii() => Read::Other,
        _ => folded(c),
    }
}

fn folded(c: char) -> Read {
    // Full width, and the letters of mathematics, which have the alphabet again and again in 26s.
    if let Some(ascii) = char::from_u32((c as u32).wrapping_sub(0xfee0)).filter(char::is_ascii_alphanumeric) {
        return if ascii.is_ascii_digit() { Read::Digit(ascii) } else { Read::Letter(ascii.to_ascii_lowercase()) };
    }
    if let place @ 0x1d400..=0x1d6a3 = c as u32 {
        let letter = u8::try_from((place - 0x1d400) % 26).unwrap_or_default();
        return Read::Letter(char::from(b'a' + letter));
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
