//! What guards make of a user's words, before anybody else reads them.
//!
//! Guards are asked in their order, and the first that answers ends the asking. Nothing comes of it yet: where several
//! agents may answer, what the guards of each find is known before the model is asked to choose between them, and most
//! of it matters only to the agent that is chosen.

use std::sync::Arc;

use crate::guard::{Guard, Heard, Safety, SafetyAction, Severity, Verdict};
use crate::history::CompleteTurn;

/// What the guards of one agent make of a message.
#[derive(Debug, Default)]
pub(super) struct Opinion {
    /// What they found, and what they want done about it.
    pub(super) safety: Safety,
    /// What the model is told, in the order the guards were asked.
    pub(super) instructions: Vec<String>,
    /// What is said instead of asking the model.
    pub(super) answer: Option<String>,
    /// Whether the turn must stay known for as long as the session lasts.
    pub(super) keeps: bool,
}

// === impl Opinion ===

impl Opinion {
    /// Asks them about the words `said` after everything that is known.
    pub(super) fn of(guards: &[Arc<dyn Guard>], said: &str, known: &[Arc<CompleteTurn>]) -> Self {
        let mut opinion = Self::default();
        for guard in guards {
            let heard = Heard { text: said, history: known };
            let verdict = guard.inspect(&heard);
            opinion.keeps |= guard.keeps(&heard, &verdict);
            match verdict {
                Verdict::Allow => {}
                Verdict::Annotate { instruction, flags } => {
                    opinion.safety.raise_all(flags, SafetyAction::Annotated);
                    opinion.instructions.push(instruction);
                }
                Verdict::Answer { text, flags } => {
                    opinion.safety.raise_all(flags, SafetyAction::Answered);
                    opinion.answer = Some(text);
                    break;
                }
            }
        }
        opinion
    }

    /// The opinion that no choice between the agents could change: one that answers a crisis, or the answer that all
    /// of them would give.
    pub(super) fn settles(opinions: &[Self]) -> Option<usize> {
        let answers_a_crisis = |opinion: &Self| opinion.answer.is_some() && opinion.safety.severity == Severity::Crisis;
        let all_answer_alike = || {
            let first = opinions.first()?.answer.as_ref()?;
            opinions.iter().all(|opinion| opinion.answer.as_ref() == Some(first)).then_some(0)
        };
        opinions.iter().position(answers_a_crisis).or_else(all_answer_alike)
    }
}
