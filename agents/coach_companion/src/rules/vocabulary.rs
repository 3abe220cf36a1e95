//! What a word is to a set of rules: the classes it belongs to. A class is a set of words that stand in one place of a
//! pattern.

use foldhash::HashMap;

/// What stands for any number.
pub(super) const NUMBER: &str = "#";

/// How many classes a set of rules may have: there is a bit for each while a text is read.
const MOST: usize = 1 << 16;

/// How many bits are together.
const TOGETHER: usize = 64;

/// Beginnings of words by their first three bytes, each with its class.
type Beginnings = HashMap<[u8; 3], Vec<(String, u16)>>;

/// Classes, while patterns are read.
#[derive(Debug, Default)]
pub(super) struct Classes {
    known: HashMap<Vec<String>, u16>,
    of_word: HashMap<String, Vec<u16>>,
    of_beginning: Beginnings,
}

/// Every word that patterns name, and the beginnings of those that they don't.
#[derive(Debug)]
pub(super) struct Vocabulary {
    meanings: HashMap<String, Meaning>,
    numbers: Vec<u16>,
    of_beginning: Beginnings,
    /// Where the patterns are that begin with a class.
    roots: Vec<Option<u32>>,
}

/// What a word is.
#[derive(Debug, Default)]
pub(super) struct Meaning {
    /// Its classes.
    pub(super) classes: Vec<u16>,
    /// Where the patterns are that begin with it.
    pub(super) roots: Vec<u32>,
}

/// The classes of one word at a time; whether one is among them is asked in a step.
pub(super) struct Present([u64; MOST / TOGETHER]);

// === impl Classes ===

impl Classes {
    /// The number of a class.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn of(&mut self, words: &[String]) -> Result<u16, String> {
        let mut key = words.to_vec();
        key.sort();
        key.dedup();
        if let Some(class) = self.known.get(&key) {
            return Ok(*class);
        }
        let class = u16::try_from(self.known.len()).map_err(|_| format!("there are more than {MOST} sets of words"))?;
        for word in &key {
            match word.strip_suffix('*').map(|beginning| (beginning, beginning.as_bytes())) {
                Some((beginning, [first, second, third, ..])) => {
                    let entries = self.of_beginning.entry([*first, *second, *third]).or_default();
                    entries.push((beginning.to_owned(), class));
                }
                _ => self.of_word.entry(word.clone()).or_default().push(class),
            }
        }
        self.known.insert(key, class);
        Ok(class)
    }

    /// What every word is, with the classes of its beginnings and of numbers, so that one look finds them all.
    pub(super) fn into_vocabulary(self, roots: Vec<Option<u32>>) -> Vocabulary {
        let Self { of_word, of_beginning, .. } = self;
        let numbers = of_word.get(NUMBER).cloned().unwrap_or_default();
        let mut vocabulary = Vocabulary { meanings: HashMap::default(), numbers, of_beginning, roots };
        for (word, own) in of_word {
            let mut meaning = Meaning { classes: own, roots: Vec::new() };
            vocabulary.complete(&word, &mut meaning);
            vocabulary.meanings.insert(word, meaning);
        }
        vocabulary
    }
}

// === impl Vocabulary ===

impl Vocabulary {
    /// What a word is. `unnamed` is room for what a word is that no pattern names.
    pub(super) fn meaning<'a>(&'a self, word: &str, unnamed: &'a mut Meaning) -> &'a Meaning {
        if let Some(meaning) = self.meanings.get(word) {
            return meaning;
        }
        unnamed.classes.clear();
        unnamed.roots.clear();
        self.complete(word, unnamed);
        unnamed
    }

    /// Adds what a word is by how it begins, and where patterns begin with it.
    fn complete(&self, word: &str, meaning: &mut Meaning) {
        let beginnings = word.as_bytes().first_chunk().and_then(|three| self.of_beginning.get(three));
        let fits = |(beginning, _): &&(String, u16)| word.starts_with(beginning.as_str());
        meaning.classes.extend(beginnings.into_iter().flatten().filter(fits).map(|(_, class)| *class));
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            meaning.classes.extend(&self.numbers);
        }
        let root = |class: &u16| self.roots.get(usize::from(*class)).copied().flatten();
        meaning.roots.extend(meaning.classes.iter().filter_map(root));
    }
}

// === impl Present ===

impl Present {
    pub(super) fn none() -> Self {
        Self([0; MOST / TOGETHER])
    }

    pub(super) fn add(&mut self, classes: &[u16]) {
        for class in classes {
            self.0[Self::place(*class)] |= Self::bit(*class);
        }
    }

    /// Takes back what was added last.
    pub(super) fn remove(&mut self, classes: &[u16]) {
        for class in classes {
            self.0[Self::place(*class)] = 0;
        }
    }

    pub(super) fn has(&self, class: u16) -> bool {
        self.0[Self::place(class)] & Self::bit(class) != 0
    }

    fn place(class: u16) -> usize {
        usize::from(class) / TOGETHER
    }

    fn bit(class: u16) -> u64 {
        1 << (usize::from(class) % TOGETHER)
    }
}
