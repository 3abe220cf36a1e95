//! Words that mean something to somebody who listens for danger: `data/concepts.toml`. What is written with signs among
//! its letters is one of them, or it is not a word.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use foldhash::HashSet;
use serde::Deserialize;

static KNOWN: LazyLock<HashSet<String>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Data {
        concepts: BTreeMap<String, Vec<String>>,
    }
    let data = include_str!(concat!(env!("OUT_DIR"), "/concepts.json"));
    let Data { concepts } = serde_json::from_str(data).expect("the build has read it");
    let words = concepts.into_values().flatten();
    words.flat_map(|word| [forms(&word), vec![word]].concat()).collect()
});

/// Whether it is one of them.
pub fn has(word: &str) -> bool {
    KNOWN.contains(word)
}

/// A word with -s, -ed and -ing.
fn forms(word: &str) -> Vec<String> {
    let stem = word.strip_suffix('e').unwrap_or(word);
    vec![format!("{word}s"), format!("{stem}ed"), format!("{stem}ing")]
}
