//! One guardrail on one call: the prompt before the model sees it, the answer before the caller does.

use std::collections::VecDeque;

use futures::StreamExt;
use serde_json::{Value, json};

use super::super::part::{Ending, Part, Parts};
use super::policy::{Assessment, masked};
use super::{Guardrail, Mode};
use crate::engine::EngineError;
use crate::engine::conversation::{ContentBlock, Conversation, StopReason, Usage};
use crate::engine::tokens;

/// Tokens in one delta of words that were held back.
const TOKENS_PER_DELTA: usize = 3;

/// A guardrail on a call.
#[derive(Debug)]
pub(in crate::bedrock) struct Applied {
    guardrail: Guardrail,
    mode: Mode,
    traced: bool,
    input: Assessment,
}

/// What becomes of a prompt.
pub(in crate::bedrock) enum Input {
    /// The model is asked, and its answer comes through the guardrail.
    Passed(Applied),
    /// This is the answer.
    Blocked(Parts),
}

/// An answer whose words pass at once and are checked as they do.
struct Watched {
    parts: Parts,
    applied: Applied,
    said: String,
    blocked: bool,
}

// === impl Applied ===

impl Applied {
    pub(super) fn new(guardrail: Guardrail, mode: Mode, traced: bool) -> Self {
        Self { guardrail, mode, traced, input: Assessment::default() }
    }

    /// Looks at the prompt, and masks in it what is to be.
    ///
    /// As in the cloud this is all that user and model said, or `guardContent` alone where there is any;
    /// tool calls and their results are not looked at.
    pub(in crate::bedrock) fn check_input(mut self, conversation: &mut Conversation) -> Input {
        let rules = std::sync::Arc::clone(&self.guardrail.rules);
        for text in guarded_texts(conversation) {
            self.input = self.input.and(Assessment::of(&rules, text));
            *text = masked(&rules, text);
        }
        if !self.input.blocks() {
            return Input::Passed(self);
        }
        let end = Ending {
            reason: StopReason::GuardrailIntervened,
            usage: Usage::default(),
            cache: None,
            guardrail_trace: self.trace(None, ""),
        };
        let answer = [Part::Text(self.guardrail.blocked_input), Part::End(end)];
        Input::Blocked(Box::pin(futures::stream::iter(answer.map(Ok))))
    }

    /// Lets an answer through.
    pub(in crate::bedrock) fn guard(self, parts: Parts) -> Parts {
        match self.mode {
            Mode::Sync => Box::pin(futures::stream::once(self.checked(parts)).flat_map(futures::stream::iter)),
            Mode::Async => Box::pin(futures::stream::unfold(
                Watched { parts, applied: self, said: String::new(), blocked: false },
                async |mut watched| watched.next().await.map(|part| (part, watched)),
            )),
        }
    }

    /// The answer once all of it is known; an error takes the place of what was not checked.
    async fn checked(self, mut parts: Parts) -> Vec<Result<Part, EngineError>> {
        let mut held: Vec<Part> = Vec::new();
        while let Some(part) = parts.next().await {
            match part {
                Ok(Part::Text(text)) => match held.last_mut() {
                    Some(Part::Text(before)) => before.push_str(&text),
                    _ => held.push(Part::Text(text)),
                },
                Ok(Part::ToolUse(call)) => held.push(Part::ToolUse(call)),
                Ok(Part::End(end)) => return self.released(held, end).into_iter().map(Ok).collect(),
                Err(error) => return vec![Err(error)],
            }
        }
        Vec::new()
    }

    fn released(self, held: Vec<Part>, mut end: Ending) -> VecDeque<Part> {
        let texts: Vec<&str> = held
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::ToolUse(_) | Part::End(_) => None,
            })
            .collect();
        let said = texts.join("\n");
        let output = texts
            .iter()
            .map(|text| Assessment::of(&self.guardrail.rules, text))
            .fold(Assessment::default(), Assessment::and);
        let (blocks, masks) = (output.blocks(), output.masks());
        end.guardrail_trace = self.trace(Some(&output), &said);
        if blocks || masks {
            end.reason = StopReason::GuardrailIntervened;
        }
        let mut parts = VecDeque::new();
        if blocks {
            parts.extend(deltas(&self.guardrail.blocked_output));
        } else {
            for part in held {
                match part {
                    Part::Text(text) => parts.extend(deltas(&masked(&self.guardrail.rules, &text))),
                    other => parts.push_back(other),
                }
            }
        }
        parts.push_back(Part::End(end));
        parts
    }

    /// The service's `GuardrailTraceAssessment`, if the caller wants it.
    fn trace(&self, output: Option<&Assessment>, said: &str) -> Option<Value> {
        if !self.traced {
            return None;
        }
        let name = &self.guardrail.name;
        let seen = [Some(&self.input), output];
        let any = |test: fn(&Assessment) -> bool| seen.into_iter().flatten().any(test);
        let reason = if any(Assessment::blocks) {
            "Guardrail blocked."
        } else if any(Assessment::masks) {
            "Guardrail masked."
        } else {
            "No action."
        };
        let mut trace = json!({ "inputAssessment": {}, "actionReason": reason });
        trace["inputAssessment"][name] = self.input.to_json();
        if let Some(output) = output {
            trace["outputAssessments"] = json!({});
            trace["outputAssessments"][name] = json!([output.to_json()]);
            trace["modelOutput"] = json!([said]);
        }
        Some(trace)
    }
}

/// What a guardrail looks at in a prompt.
fn guarded_texts(conversation: &mut Conversation) -> Vec<&mut String> {
    let is_marked = |block: &ContentBlock| matches!(block, ContentBlock::GuardContent(_));
    let marked = conversation.messages.iter().any(|message| message.content.iter().any(is_marked));
    conversation
        .messages
        .iter_mut()
        .flat_map(|message| message.content.iter_mut())
        .filter_map(|block| match block {
            ContentBlock::Text(text) if !marked => Some(text),
            ContentBlock::GuardContent(content) => match content.pointer_mut("/text/text") {
                Some(Value::String(text)) => Some(text),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// A text as a stream brings it.
fn deltas(text: &str) -> Vec<Part> {
    let parts: Vec<&str> = tokens::split(text).collect();
    parts.chunks(TOKENS_PER_DELTA).map(|part| Part::Text(part.concat())).collect()
}

// === impl Watched ===

impl Watched {
    /// What passes next. After a match nothing does but the end, which the model still comes to, so that
    /// its usage is known.
    async fn next(&mut self) -> Option<Result<Part, EngineError>> {
        loop {
            match self.parts.next().await? {
                Ok(Part::Text(text)) if !self.blocked => {
                    self.said.push_str(&text);
                    self.blocked = self.assessed().blocks();
                    return Some(Ok(Part::Text(text)));
                }
                Ok(Part::ToolUse(call)) if !self.blocked => return Some(Ok(Part::ToolUse(call))),
                Ok(Part::Text(_) | Part::ToolUse(_)) => {}
                Ok(Part::End(mut end)) => {
                    end.guardrail_trace = self.applied.trace(Some(&self.assessed()), &self.said);
                    if self.blocked {
                        end.reason = StopReason::GuardrailIntervened;
                    }
                    return Some(Ok(Part::End(end)));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn assessed(&self) -> Assessment {
        Assessment::of(&self.applied.guardrail.rules, &self.said)
    }
}
