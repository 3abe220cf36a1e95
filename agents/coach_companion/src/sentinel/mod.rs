//! What stands above the coach with a veto.
//!
//! A first, narrow net: phrases that leave little doubt. On a match the sentinel answers itself, gently
//! and firmly, with where to find help; the model is not asked, and the answer is flagged. Everything
//! less plain is the model's, whose prompt says how to meet distress.

pub mod answers;
pub mod kind;
pub mod resources;
pub mod rules;
pub mod text;

use agentcore_runtime::prelude::{Flag, Guard, Heard, Severity, Verdict};

/// The guard of every coach's turn.
pub struct Sentinel;

/// One kind of danger, the phrases that show it, and the answer to it.
struct Rule {
    kind: &'static str,
    name: &'static str,
    severity: Severity,
    phrases: &'static [&'static str],
    answer: &'static str,
}

/// The phrases are lower case, without punctuation, and match whole words.
const RULES: [Rule; 4] = [
    Rule {
        kind: "self_harm",
        name: "wish_to_die",
        severity: Severity::Crisis,
        phrases: &[
            "i want to die",
            "i want to kill myself",
            "i am going to kill myself",
            "im going to kill myself",
            "i want to end my life",
            "i dont want to live anymore",
            "i dont want to be alive",
            "i want to hurt myself",
            "i am suicidal",
            "im suicidal",
            "better off without me",
        ],
        answer: "I'm really glad you told me, and I'm worried about you. You deserve support from a person right \
                 now, so please reach out: call 112 or 999 if you are in danger, or Samaritans on 116 123, free and \
                 at any hour, in Ireland and the UK. If somebody you trust is near, please let them be with you. \
                 Everything else can wait; I'm here when you want to talk.",
    },
    Rule {
        kind: "eating_disorder",
        name: "purging_or_starving",
        severity: Severity::Elevated,
        phrases: &[
            "i make myself sick",
            "i made myself sick",
            "i make myself throw up",
            "i made myself throw up",
            "i have been purging",
            "ive been purging",
            "i take laxatives to lose weight",
            "i took laxatives to lose weight",
            "i starve myself",
            "i am starving myself",
            "im starving myself",
        ],
        answer: "Thank you for trusting me with that; it takes courage to say. What you describe is hard on body and \
                 mind, and it is not a failing: people recover from it with the right help. Please talk to your GP, \
                 or to Bodywhys in Ireland (01 210 7906) or Beat in the UK (beateatingdisorders.org.uk). Let's leave \
                 weight aside for now. Is there somebody you could tell today?",
    },
    Rule {
        kind: "medical_emergency",
        name: "urgent_symptoms",
        severity: Severity::Crisis,
        phrases: &[
            "i have chest pain",
            "my chest hurts",
            "pain in my chest",
            "i cant breathe",
            "i fainted",
            "i passed out",
            "my throat is swelling",
            "i am vomiting blood",
        ],
        answer: "That needs a doctor now, not a coach. Please call 112 or 999 straight away, or ask somebody near you \
                 to, and don't drive yourself. If you take a medicine, have its name ready. I'm glad you said it.",
    },
    Rule {
        kind: "low_mood",
        name: "hopelessness",
        severity: Severity::Elevated,
        phrases: &["i feel hopeless", "i am so depressed", "im so depressed", "i hate myself", "i feel worthless"],
        answer: "I'm sorry it feels this heavy, and I'm glad you said so. You don't have to carry it alone: please \
                 talk to your GP or somebody you trust, and Samaritans listen at any hour on 116 123, free, in \
                 Ireland and the UK. If you are ever in danger, call 112 or 999. Weight can wait. What would make \
                 today a little easier?",
    },
];

// === impl Sentinel ===

impl Guard for Sentinel {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        let said = plain(heard.text);
        let found = RULES.iter().find(|rule| rule.phrases.iter().any(|phrase| said.contains(&format!(" {phrase} "))));
        match found {
            None => Verdict::Allow,
            Some(rule) => Verdict::Answer {
                text: rule.answer.to_owned(),
                flags: vec![Flag { kind: rule.kind.into(), rule: rule.name.into(), severity: rule.severity }],
            },
        }
    }
}

/// Lower case, apostrophes gone, everything else that is no letter or digit a single space, one at
/// each end, so that phrases match whole words.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + 2);
    plain.push(' ');
    for c in text.chars().filter(|c| !matches!(c, '\'' | '’' | '‘')) {
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase());
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    if !plain.ends_with(' ') {
        plain.push(' ');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Option<String> {
        match Sentinel.inspect(&Heard { text, history: &[] }) {
            Verdict::Answer { flags, .. } => flags.into_iter().next().map(|flag| flag.kind.into_owned()),
            _ => None,
        }
    }

    #[test]
    fn plain_danger_is_answered_with_help() {
        assert_eq!(kind_of("I don’t want to live anymore.").as_deref(), Some("self_harm"));
        assert_eq!(kind_of("After dinner I made myself sick again").as_deref(), Some("eating_disorder"));
        assert_eq!(kind_of("help, I have CHEST   PAIN").as_deref(), Some("medical_emergency"));
        assert_eq!(kind_of("Honestly? I feel hopeless").as_deref(), Some("low_mood"));
    }

    #[test]
    fn ordinary_talk_goes_to_the_model() {
        for text in ["This cheesecake is to die for", "I used to purge, ten years ago", "I had a setback today", ""] {
            assert_eq!(kind_of(text).as_deref(), None, "{text}");
        }
    }

    #[test]
    fn every_phrase_is_written_as_it_is_looked_for() {
        for phrase in RULES.iter().flat_map(|rule| rule.phrases) {
            assert_eq!(plain(phrase), format!(" {phrase} "));
        }
    }
}
