//! Words that deny what follows them, and those that only look so.

use crate::sentinel::text::{Break, Text};

/// Words that deny what follows.
pub(super) const DENIALS: [&str; 7] = ["not", "never", "no", "nor", "without", "neither", "hardly"];
/// Words after which a denial denies nothing: "I can not stop wanting to die", "not only".
const STILL: [&str; 9] = ["stop", "help", "only", "just", "sure", "cope", "sleep", "even", "know"];
/// How far after a denial stands what it takes away: "it is not a bad idea".
const CONCERN_REACH: usize = 3;
/// What speaks against something, so that its denial speaks for it: "it will not hurt to", "do not hesitate to".
const CONCERNS: [&str; 24] = [
    "hurt",
    "harm",
    "hesitate",
    "afraid",
    "scared",
    "shy",
    "bad",
    "worry",
    "wrong",
    "problem",
    "forget",
    "fail",
    "danger",
    "dangerous",
    "risk",
    "risky",
    "unsafe",
    "issue",
    "shame",
    "matter",
    "mind",
    "hard",
    "unhealthy",
    "unrealistic",
];
/// Words that go on from a concern to what it is about.
const ABOUT: [&str; 12] = ["to", "in", "if", "when", "about", "with", "by", "for", "you", "idea", "thing", "either"];

/// Which of the words before denies what begins at `start`, if one does that is no farther than `reach`; `sentence` is
/// where the sentence begins.
pub(crate) fn denial_before(text: &Text, start: usize, sentence: usize, reach: usize) -> Option<usize> {
    let places = (sentence.max(start.saturating_sub(reach))..start).rev();
    let is_other_thought = |place: usize| {
        text.after(place) >= Break::Clause || matches!(text.word(place), Some("but" | "because" | "and"))
    };
    let is_denial = |place: &usize| {
        let denies = text.word(*place).is_some_and(|word| DENIALS.contains(&word));
        denies && !speaks_for(text, *place, start, sentence)
    };
    places.take_while(|place| !is_other_thought(*place)).find(is_denial)
}

/// Whether a denial speaks for what begins at `start` all the same: "why not skip dinner", "it will not hurt to",
/// "could not you just", "no reason not to".
fn speaks_for(text: &Text, denial: usize, start: usize, sentence: usize) -> bool {
    let before = |by: usize| denial.checked_sub(by).filter(|place| *place >= sentence).and_then(|at| text.word(at));
    let after = |by: usize| Some(denial + by).filter(|place| *place < start).and_then(|place| text.word(place));
    let is_still = after(1).is_some_and(|word| STILL.contains(&word));
    let is_no_concern = (1..=CONCERN_REACH).any(|by| {
        let is_concern = after(by).is_some_and(|word| CONCERNS.contains(&word));
        is_concern && text.word(denial + by + 1).is_some_and(|word| ABOUT.contains(&word))
    });
    let is_asked = matches!(
        (before(2), before(1), after(1)),
        (_, Some("why"), _) | (Some("why"), Some("do"), Some("you" | "we")) | (Some("no"), Some("reason"), _)
    );
    let is_turned =
        matches!(before(1), Some("can" | "could" | "would" | "is")) && matches!(after(1), Some("you" | "we" | "it"));
    let is_suggested = is_asked || is_turned;
    is_still || is_no_concern || is_suggested
}
