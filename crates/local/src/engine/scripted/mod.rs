//! The default engine: no model, no network, the same answer every time.
//!
//! It reads what a model would be sent, the system prompt and the messages, and nothing else; there
//! is no state between calls. So what it says shows whether an agent sends the right prompt and
//! the right history: an agent that forgets gets an engine that doesn't know.
//!
//! A test chooses tool calls with orders in the prompt, as `[[tool weigh {"kilograms": 81} *3]]`; the
//! syntax is at [`script`]. Images and documents in the message to answer are named at the end of it.

mod coach;
mod media;
mod persona;
mod prefill;
mod recall;
mod schema;
mod script;
mod tools;
mod words;

use super::conversation::{Conversation, Message, Role, StopReason, ToolUse, Usage};
use super::{Engine, Piece, Pieces, tokens};
use coach::Manner;
use persona::Persona;
use recall::{Facts, History};
use words::Words;

/// Tokens in one delta of a stream: a few words.
const TOKENS_PER_DELTA: usize = 3;

/// The scripted engine.
///
/// A prompt may order exact tool calls, each in a round of its own: `[[tool NAME {JSON}]]`, `[[tool NAME]]`
/// for arguments that fit the schema, `[[tool NAME {JSON} *300]]` for so many rounds, and
/// `[[tool NAME {JSON}; tool OTHER]]` for several calls in one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scripted;

/// What the engine says to one conversation.
enum Line {
    Words(String),
    Calls(Vec<ToolUse>),
}

// === impl Scripted ===

impl Engine for Scripted {
    fn answer(&self, conversation: Conversation) -> Pieces {
        let input_tokens = tokens::count_conversation(&conversation);
        let (conversation, prefill) = prefill::split(conversation);
        let pieces = match prefill::continued(line(&conversation), prefill.as_deref()) {
            Line::Words(text) => spoken(&conversation, &text, input_tokens),
            Line::Calls(calls) => {
                let count = |call: &ToolUse| tokens::count(&call.name) + tokens::count(&call.input.to_string());
                let usage = Usage { input_tokens, output_tokens: calls.iter().map(count).sum() };
                let end = Piece::End { reason: StopReason::ToolUse, usage };
                calls.into_iter().map(Piece::ToolUse).chain([end]).collect()
            }
        };
        Box::pin(futures::stream::iter(pieces.into_iter().map(Ok)))
    }
}

/// `text` in pieces, as far as the request lets it go on.
fn spoken(conversation: &Conversation, text: &str, input_tokens: u64) -> Vec<Piece> {
    let (text, reason) = bounded(conversation, text);
    let parts: Vec<&str> = tokens::split(&text).collect();
    let usage = Usage { input_tokens, output_tokens: parts.len() as u64 };
    parts
        .chunks(TOKENS_PER_DELTA)
        .map(|part| Piece::Text(part.concat()))
        .chain([Piece::End { reason, usage }])
        .collect()
}

/// Cuts `text` at the first stop sequence, which is left out, and at the most tokens.
fn bounded(conversation: &Conversation, text: &str) -> (String, StopReason) {
    let inference = &conversation.inference_config;
    let stop = inference.stop_sequences.iter().filter_map(|sequence| text.find(sequence.as_str())).min();
    let stopped = stop.and_then(|at| text.get(..at)).unwrap_or(text);
    let most = inference.max_tokens.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let kept: Vec<&str> = tokens::split(stopped).take(most).collect();
    let kept = kept.concat();
    let reason = if kept.len() < stopped.len() {
        StopReason::MaxTokens
    } else if stop.is_some() {
        StopReason::StopSequence
    } else {
        StopReason::EndTurn
    };
    (kept, reason)
}

fn line(conversation: &Conversation) -> Line {
    let Some(last) = conversation.user_messages().next_back() else {
        return Line::Words(String::new());
    };
    let calls = tools::calls(conversation);
    if !calls.is_empty() {
        return Line::Calls(calls);
    }
    let words = tools::report(last).unwrap_or_else(|| words(conversation, last));
    Line::Words(match media::seen(last) {
        Some(seen) => format!("{words} {seen}"),
        None => words,
    })
}

/// What the persona of the system prompt says to `last`, the message to answer.
fn words(conversation: &Conversation, last: &Message) -> String {
    let prompt: Vec<&str> = conversation.system_texts().collect();
    let persona = Persona::of(&prompt.join("\n"));
    let text = last.text();
    let said: Vec<String> = conversation.user_messages().map(Message::text).collect();
    let facts = Facts::gather(said.iter().map(String::as_str));
    let history = history(conversation, &said);
    let first = history.answered.is_none();
    let turn = said.len();
    let rest = match persona.role {
        persona::Role::Coach(style) => as_coach(&text, Manner { style, facts: &facts, turn }, &history),
        persona::Role::Assistant => as_assistant(&text, &facts, &history, persona.greeting.is_some()),
    };
    match persona.greeting {
        Some(greeting) if greeting.always || first || coach::is_greeting(&Words::of(&text)) => {
            format!("{} {rest}", greeting.text)
        }
        _ => rest,
    }
}

/// What was said before the last user message.
fn history(conversation: &Conversation, said: &[String]) -> History {
    let earlier = said.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let answered = conversation
        .messages
        .iter()
        .rev()
        .filter(|message| message.role == Role::Assistant)
        .map(Message::text)
        .find(|text| !text.is_empty());
    History {
        said: earlier
            .iter()
            .filter(|text| !text.is_empty() && !coach::is_opening(&Words::of(text)) && !recall::is_question(text))
            .cloned()
            .collect(),
        answered,
    }
}

fn as_coach(text: &str, manner: Manner<'_>, history: &History) -> String {
    let recalled = recall::answer(text, manner.facts, history).filter(|_| !coach::is_danger(text));
    match recalled {
        Some(recalled) => format!("{recalled} {}", coach::look_forward(manner)),
        None => coach::answer(text, manner),
    }
}

/// A plain assistant: it can recall and be polite, and does not pretend to know more.
fn as_assistant(text: &str, facts: &Facts, history: &History, has_greeting: bool) -> String {
    if let Some(recalled) = recall::answer(text, facts, history) {
        return recalled;
    }
    let words = Words::of(text);
    let told = Facts::gather(std::iter::once(text));
    if let Some(name) = &told.name {
        return format!("It's a pleasure to meet you, {name}! I'll remember your name.");
    }
    if told.goal.is_some() {
        return "That's a fine goal, and I'll keep it in mind!".to_owned();
    }
    let named = facts.name.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let begins = coach::is_greeting(&words) || coach::is_opening(&words);
    match (begins, has_greeting) {
        (true, true) => {
            format!("It's lovely to hear from you{named}, and everything is running smoothly!")
        }
        (true, false) => format!("Hello{named}! How can I help you today?"),
        (false, _) => format!("Thanks{named}, I read you loud and clear: “{}”", text.trim()),
    }
}

#[cfg(test)]
mod tests;
