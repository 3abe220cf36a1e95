//! What guards make of a user's words, before anybody else answers them.
//!
//! Guards are asked in their order, and the first that answers ends the asking. Nothing comes of it yet: where several
//! agents may answer, what the guards of each find is known before the model is asked to choose between them, and most
//! of it matters only to the agent that is chosen. A guard that doubts may have a model asked, in silence; where that
//! does not answer in time, what the guards made of the words by themselves counts.

use std::sync::Arc;

use serde_json::Value;

use crate::guard::{Guard, Heard, Safety, SafetyAction, SecondOpinion, Severity, Verdict};
use crate::history::CompleteTurn;
use crate::message::{Message, StopReason};
use crate::model::{ModelAnswer, ModelParameters, ModelRequest, ModelSize, ToolChoice};

/// The longest second opinion, in tokens.
const OPINION_TOKENS: u32 = 200;

/// What the guards of one agent make of a message.
#[derive(Default)]
pub(super) struct Opinion {
    /// What they found, and what they want done about it.
    pub(super) safety: Safety,
    /// What the model is told, in the order the guards were asked.
    pub(super) instructions: Vec<String>,
    /// What is said instead of asking the model.
    pub(super) answer: Option<String>,
    /// Whether the turn must stay known for as long as the session lasts.
    pub(super) keeps: bool,
    /// What one of them would have a model asked first.
    pub(super) doubt: Option<Doubt>,
}

/// What one guard would have a model asked.
pub(super) struct Doubt {
    /// Those who were asked about the message, and which of them doubts.
    guards: Vec<Arc<dyn Guard>>,
    place: usize,
    wanted: SecondOpinion,
}

// === impl Opinion ===

impl Opinion {
    /// Asks them about the words `said` after everything that is known, and also what they doubt where they `may_doubt`.
    pub(super) fn of(guards: &[Arc<dyn Guard>], said: &str, known: &[Arc<CompleteTurn>], may_doubt: bool) -> Self {
        let mut doubt = None;
        let opinion = Self::by(guards, &Heard { text: said, history: known }, |place, heard, verdict| {
            if may_doubt && doubt.is_none() {
                let wanted = guards[place].doubts(heard, &verdict);
                doubt = wanted.map(|wanted| Doubt { guards: guards.to_vec(), place, wanted });
            }
            verdict
        });
        // Who is in danger does not wait for what another guard doubts.
        let doubt = doubt.filter(|_| !opinion.answers_a_crisis());
        Self { doubt, ..opinion }
    }

    /// Asks them again when a model has said what one of them would know; nobody doubts any more.
    pub(super) fn after(doubt: &Doubt, told: &Value, said: &str, known: &[Arc<CompleteTurn>]) -> Self {
        Self::by(&doubt.guards, &Heard { text: said, history: known }, |place, heard, verdict| {
            if place == doubt.place { doubt.guards[place].reconsiders(heard, verdict, told) } else { verdict }
        })
    }

    fn by(
        guards: &[Arc<dyn Guard>],
        heard: &Heard<'_>,
        mut settled: impl FnMut(usize, &Heard<'_>, Verdict) -> Verdict,
    ) -> Self {
        let mut opinion = Self::default();
        for (place, guard) in guards.iter().enumerate() {
            let verdict = settled(place, heard, guard.inspect(heard));
            opinion.keeps |= guard.keeps(heard, &verdict);
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

    fn answers_a_crisis(&self) -> bool {
        self.answer.is_some() && self.safety.severity == Severity::Crisis
    }

    /// The opinion that no choice between the agents could change: one that answers a crisis, or the answer that all
    /// of them would give.
    pub(super) fn settles(opinions: &[Self]) -> Option<usize> {
        let all_answer_alike = || {
            let first = opinions.first()?.answer.as_ref()?;
            opinions.iter().all(|opinion| opinion.answer.as_ref() == Some(first)).then_some(0)
        };
        opinions.iter().position(Self::answers_a_crisis).or_else(all_answer_alike)
    }
}

// === impl Doubt ===

impl Doubt {
    /// What the model is asked.
    pub(super) fn question(&self) -> ModelRequest {
        let SecondOpinion { instruction, question, form } = self.wanted.clone();
        ModelRequest {
            system: instruction,
            history: Vec::new(),
            messages: vec![Message::user(question)],
            parameters: ModelParameters {
                max_tokens: OPINION_TOKENS,
                temperature: Some(0.0),
                stop_sequences: Vec::new(),
            },
            tool_choice: ToolChoice::Tool(form.name.clone()),
            tools: Arc::new([form]),
            size: ModelSize::Small,
        }
    }

    /// What the model filled in, where it did, to its end.
    pub(super) fn told<'a>(&self, answer: &'a ModelAnswer) -> Option<&'a Value> {
        if answer.stop_reason != StopReason::ToolUse {
            return None;
        }
        answer.message.tool_uses().find(|call| call.name == self.wanted.form.name).map(|call| &call.input)
    }
}
