//! Words that mean the same to somebody who listens for danger: `data/concepts.toml`.

use std::sync::LazyLock;

use foldhash::HashMap;
use serde::Deserialize;

static CONCEPTS: LazyLock<HashMap<String, u8>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Data {
        // In the order of their names, so that a concept's number is the same wherever it is read.
        concepts: std::collections::BTreeMap<String, Vec<String>>,
    }
    let data = include_str!(concat!(env!("OUT_DIR"), "/concepts.json"));
    let Data { concepts } = serde_json::from_str(data).expect("the build has read it");
    let mut known = HashMap::default();
    for (words, number) in concepts.values().zip(1..) {
        known.extend(words.iter().map(|word| (word.clone(), number)));
    }
    for (words, number) in concepts.values().zip(1..) {
        for form in words.iter().flat_map(|word| forms(word)) {
            known.entry(form).or_insert(number);
        }
    }
    known
});

/// The number of the concept that a word belongs to.
pub fn of(word: &str) -> Option<u8> {
    CONCEPTS.get(word).copied()
}

/// A word with -s, -ed and -ing.
fn forms(word: &str) -> [String; 3] {
    let stem = word.strip_suffix('e').unwrap_or(word);
    [format!("{word}s"), format!("{stem}ed"), format!("{stem}ing")]
}
