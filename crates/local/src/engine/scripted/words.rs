//! Text made comparable: lower case, one kind of apostrophe, single spaces, no punctuation.

/// The words of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words(String);

// === impl Words ===

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut words = String::with_capacity(text.len() + 2);
        words.push(' ');
        for character in text.chars().flat_map(char::to_lowercase) {
            let character = match character {
                '’' | '‘' | '\'' => '\'',
                other if other.is_alphanumeric() => other,
                _ => ' ',
            };
            if character != ' ' || !words.ends_with(' ') {
                words.push(character);
            }
        }
        if !words.ends_with(' ') {
            words.push(' ');
        }
        Self(words)
    }

    /// Whether `phrase` occurs as whole words; a `*` at its end lets the last word go on.
    pub(super) fn has(&self, phrase: &str) -> bool {
        match phrase.strip_suffix('*') {
            Some(beginning) => self.0.contains(&format!(" {beginning}")),
            None => self.0.contains(&format!(" {phrase} ")),
        }
    }

    /// Whether any of `phrases` occurs, by the rule of [`Words::has`].
    pub(super) fn has_any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.has(phrase))
    }

    /// What follows `phrase`; none when it does not occur.
    pub(super) fn after(&self, phrase: &str) -> Option<&str> {
        let (_, rest) = self.0.split_once(&format!(" {phrase} "))?;
        Some(rest.trim())
    }

    /// The words one by one.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_whitespace()
    }

    /// How many words there are.
    pub(super) fn count(&self) -> usize {
        self.iter().count()
    }
}
