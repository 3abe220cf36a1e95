//! One answer in Bedrock's two forms: the events of a stream, or a whole body.
//!
//! Both read the same [`Part`]s and do no IO. As Claude does on Bedrock, a text block begins with
//! its first delta and only tool calls get a `contentBlockStart`.

use serde_json::{Value, json};

use super::event_stream::Event;
use super::part::{Ending, Part};
use crate::engine::conversation::{Role, ToolUse};
use crate::engine::{EngineError, tokens};

/// Tokens of a tool call's arguments in one delta.
const TOKENS_PER_INPUT_DELTA: usize = 4;

/// Turns parts into the events of a stream.
#[derive(Debug, Default)]
pub(super) struct EventWriter {
    began: bool,
    block: usize,
    text_open: bool,
}

/// Gathers parts into the message of a whole answer.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    content: Vec<Value>,
    text: String,
}

// === impl EventWriter ===

impl EventWriter {
    /// The events `part` is; `latency` in milliseconds is reported if it is the end.
    pub(super) fn write(&mut self, part: Part, latency: u64) -> Vec<Event> {
        let mut events = Vec::new();
        if !self.began {
            self.began = true;
            events.push(event("messageStart", json!({ "role": Role::Assistant })));
        }
        match part {
            Part::Text(text) => {
                self.text_open = true;
                events.push(self.delta(json!({ "text": text })));
            }
            Part::ToolUse(call) => {
                self.close_text(&mut events);
                self.write_call(&call, &mut events);
            }
            Part::End(end) => {
                self.close_text(&mut events);
                events.push(event("messageStop", json!({ "stopReason": end.reason })));
                events.push(event("metadata", closing(&end, latency)));
            }
        }
        events
    }

    fn write_call(&mut self, call: &ToolUse, events: &mut Vec<Event>) {
        events.push(event(
            "contentBlockStart",
            json!({
                "start": { "toolUse": { "toolUseId": call.tool_use_id, "name": call.name } },
                "contentBlockIndex": self.block,
            }),
        ));
        let input = call.input.to_string();
        let parts: Vec<&str> = tokens::split(&input).collect();
        for part in parts.chunks(TOKENS_PER_INPUT_DELTA) {
            events.push(self.delta(json!({ "toolUse": { "input": part.concat() } })));
        }
        events.push(self.stop_block());
    }

    fn close_text(&mut self, events: &mut Vec<Event>) {
        if std::mem::take(&mut self.text_open) {
            events.push(self.stop_block());
        }
    }

    fn delta(&self, delta: Value) -> Event {
        let mut payload = json!({ "contentBlockIndex": self.block });
        payload["delta"] = delta;
        event("contentBlockDelta", payload)
    }

    fn stop_block(&mut self) -> Event {
        let index = self.block;
        self.block += 1;
        event("contentBlockStop", json!({ "contentBlockIndex": index }))
    }
}

// === impl Gathered ===

impl Gathered {
    pub(super) fn push_text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn push_call(&mut self, call: &ToolUse) {
        self.close_text();
        self.content.push(json!({ "toolUse": call }));
    }

    /// The body of `converse`; `latency` in milliseconds.
    pub(super) fn finish(mut self, end: &Ending, latency: u64) -> Value {
        self.close_text();
        let mut body = closing(end, latency);
        body["output"] = json!({ "message": { "role": Role::Assistant, "content": self.content } });
        body["stopReason"] = json!(end.reason);
        body
    }

    fn close_text(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.content.push(json!({ "text": text }));
        }
    }
}

fn event(kind: &'static str, payload: Value) -> Event {
    Event::Regular { kind, payload }
}

/// What both forms say at the end.
fn closing(end: &Ending, latency: u64) -> Value {
    let mut closing = json!({ "usage": usage(end), "metrics": { "latencyMs": latency } });
    if let Some(trace) = &end.guardrail_trace {
        closing["trace"] = json!({ "guardrail": trace });
    }
    closing
}

/// Tokens by their price: those of the input that a cache had or got are not counted as input.
fn usage(end: &Ending) -> Value {
    let (input, output) = (end.usage.input_tokens, end.usage.output_tokens);
    let Some(cache) = end.cache else {
        return json!({ "inputTokens": input, "outputTokens": output, "totalTokens": input + output });
    };
    let uncached = input.saturating_sub(cache.read + cache.written);
    json!({
        "inputTokens": uncached,
        "outputTokens": output,
        "totalTokens": uncached + cache.read + cache.written + output,
        "cacheReadInputTokens": cache.read,
        "cacheWriteInputTokens": cache.written,
    })
}

/// The exception a stream ends with when the engine fails in its midst.
pub(super) fn exception(error: &EngineError) -> Event {
    let kind = match error {
        EngineError::Unacceptable(_)
        | EngineError::TooLong
        | EngineError::AccessDenied(_)
        | EngineError::UnknownModel(_) => "validationException",
        EngineError::Throttled(_) => "throttlingException",
        EngineError::Unavailable(_) => "serviceUnavailableException",
        EngineError::TimedOut(_) | EngineError::Failed(_) => "modelStreamErrorException",
    };
    Event::exception(kind, &error.to_string())
}
