//! Who the system prompt asks the model to be.
//!
//! Only its words decide, as they would for a model. A prompt that says nothing this module knows
//! makes a plain assistant.

use super::words::Words;

/// The part to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Persona {
    /// The words to begin with, where the prompt quotes some.
    pub(super) greeting: Option<Greeting>,
    /// The occupation.
    pub(super) role: Role,
}

/// Quoted words of greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The words.
    pub(super) text: String,
    /// Whether each answer begins with them, and not the first alone.
    pub(super) always: bool,
}

/// An occupation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A coach for weight management.
    Coach {
        /// How to say it.
        tone: Tone,
        /// Whether the person takes a GLP-1 medicine.
        on_glp1: bool,
    },
    /// Nothing in particular.
    Assistant,
}

/// How a coach speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Gentle,
    Pragmatic,
    Upbeat,
    Structured,
}

/// A greeting longer than this is an example of something else.
const LONGEST_GREETING: usize = 80;

// === impl Persona ===

impl Persona {
    /// Reads a system prompt.
    pub(super) fn of(prompt: &str) -> Self {
        let words = Words::of(prompt);
        let is_coach = words.has_any(&["coach", "coaching", "weight management", "weight loss"]);
        let role = if is_coach {
            Role::Coach { tone: Tone::of(&words), on_glp1: is_on_glp1(&words) }
        } else {
            Role::Assistant
        };
        Self { greeting: Greeting::of(prompt), role }
    }
}

// === impl Greeting ===

impl Greeting {
    /// The first quotation in a sentence that is about beginning or greeting.
    fn of(prompt: &str) -> Option<Self> {
        let mut rest = prompt;
        while let Some((open, mark)) = rest.char_indices().find(|(_, mark)| closing(*mark).is_some()) {
            let (before, quoted) = rest.split_at(open);
            let quoted = &quoted[mark.len_utf8()..];
            let close = quoted.find(closing(mark)?)?;
            let text = quoted[..close].trim();
            let sentence = Words::of(before.rsplit(['.', '!', '?', '\n']).next().unwrap_or(before));
            let asks = sentence.has_any(&["greet*", "begin*", "start*", "open*", "first"]);
            let forbids = sentence.has_any(&["never", "not", "don't", "avoid"]);
            if asks && !forbids && (1..=LONGEST_GREETING).contains(&text.len()) {
                return Some(Self { text: text.to_owned(), always: sentence.has_any(&["always", "every", "each"]) });
            }
            rest = &quoted[close..];
            rest = rest.get(mark.len_utf8()..).unwrap_or_default();
        }
        None
    }
}

/// The mark that ends a quotation begun by `mark`.
fn closing(mark: char) -> Option<char> {
    match mark {
        '"' => Some('"'),
        '“' => Some('”'),
        '`' => Some('`'),
        _ => None,
    }
}

// === impl Tone ===

impl Tone {
    /// The tone named nearest after "style" or "tone", else the first that is named at all.
    fn of(words: &Words) -> Self {
        let tones = [
            ("gentle", Self::Gentle),
            ("pragmatic", Self::Pragmatic),
            ("upbeat", Self::Upbeat),
            ("structured", Self::Structured),
        ];
        let named = |word: &str| tones.iter().find(|(name, _)| *name == word);
        ["style", "tone"]
            .iter()
            .filter_map(|cue| words.after(cue))
            .find_map(|rest| rest.split(' ').take(6).find_map(named))
            .or_else(|| words.iter().find_map(named))
            .map_or(Self::Gentle, |(_, tone)| *tone)
    }
}

fn is_on_glp1(words: &Words) -> bool {
    words.has_any(&["glp 1", "glp1"])
        && !words.has_any(&[
            "not on glp 1",
            "not taking glp 1",
            "not on a glp 1",
            "not taking a glp 1",
            "no glp 1",
            "if on glp 1",
            "glp 1 no",
            "glp 1 false",
        ])
}

#[cfg(test)]
mod tests {
    use super::{Greeting, Persona, Role, Tone};

    #[test]
    fn a_quoted_greeting_is_found_where_the_prompt_asks_to_begin_with_it() {
        let greeting = |prompt: &str| Persona::of(prompt).greeting.map(|found| found.text);
        assert_eq!(
            greeting("You are cheerful. Begin with \"Hello from AgentCore!\" and one line more."),
            Some("Hello from AgentCore!".to_owned())
        );
        assert_eq!(
            greeting("Call people “friend”. Greet them with “Good day.” when they arrive."),
            Some("Good day.".to_owned())
        );
        assert_eq!(greeting("Never start with \"Well, actually\"."), None);
        assert_eq!(greeting("An unclosed \"quotation"), None);
    }

    #[test]
    fn a_greeting_for_every_answer_is_told_from_one_for_the_first() {
        let always = |prompt: &str| Greeting::of(prompt).expect("a greeting").always;
        assert!(always("Always begin your answer with \"Hi!\""));
        assert!(!always("Begin the conversation with \"Hi!\""));
    }

    #[test]
    fn a_coach_speaks_in_the_tone_that_is_named_as_the_style() {
        let role = |prompt: &str| Persona::of(prompt).role;
        assert_eq!(
            role("You coach people in weight management. Be gentle with setbacks. Style: structured, in steps."),
            Role::Coach { tone: Tone::Structured, on_glp1: false }
        );
        assert_eq!(
            role("A weight management coach, upbeat. The person takes a GLP-1 medicine."),
            Role::Coach { tone: Tone::Upbeat, on_glp1: true }
        );
        assert_eq!(role("You translate into Irish."), Role::Assistant);
    }
}
