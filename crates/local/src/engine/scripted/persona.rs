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
    Coach(Style),
    /// Nothing in particular.
    Assistant,
}

/// How a coach is asked to be with this person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// How to say it.
    pub(super) tone: Tone,
    /// The person takes a GLP-1 medicine.
    pub(super) on_glp1: bool,
    /// The person keeps a weight: a stable week is a success and no plateau.
    pub(super) maintaining: bool,
    /// The person likes small challenges.
    pub(super) challenges: bool,
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
        let role = if is_coach { Role::Coach(Style::of(&words)) } else { Role::Assistant };
        Self { greeting: Greeting::of(prompt), role }
    }
}

// === impl Style ===

impl Style {
    fn of(words: &Words) -> Self {
        Self {
            tone: Tone::of(words),
            on_glp1: is_on_glp1(words),
            maintaining: words.has_any(&["goal maintenance", "goal type maintenance", "goal is maintenance"]),
            challenges: words.has_any(&["gamification high", "gamification preference high"]),
        }
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
    use super::{Greeting, Persona, Role, Style, Tone};

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

    fn style(prompt: &str) -> Style {
        match Persona::of(prompt).role {
            Role::Coach(style) => style,
            Role::Assistant => panic!("not a coach: {prompt}"),
        }
    }

    #[test]
    fn a_coach_speaks_in_the_tone_that_is_named_as_the_style() {
        let prompt = "You coach weight management. Be gentle with setbacks. Style: structured, in steps.";
        assert_eq!(style(prompt).tone, Tone::Structured);
        assert_eq!(style("A weight management coach, upbeat.").tone, Tone::Upbeat);
        assert_eq!(style("A weight management coach.").tone, Tone::Gentle);
    }

    #[test]
    fn a_coach_knows_of_the_person_what_the_prompt_says() {
        let nothing = style("You are a coach.");
        assert!(!nothing.on_glp1 && !nothing.maintaining && !nothing.challenges);

        assert!(style("You are a coach. The user takes a GLP-1 medicine.").on_glp1);
        assert!(!style("You are a coach. The user is not on GLP-1.").on_glp1);
        assert!(style("You are a coach. Goal: maintenance.").maintaining);
        assert!(style("You are a coach. Gamification: high.").challenges);
        assert!(!style("You are a coach. Gamification: low. No challenges.").challenges);
    }

    #[test]
    fn a_prompt_that_is_about_something_else_makes_no_coach() {
        assert_eq!(Persona::of("You translate into Irish.").role, Role::Assistant);
    }
}
