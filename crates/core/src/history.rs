//! What was said before, kept in the only form that Converse accepts.
//!
//! Converse refuses a conversation that does not begin with the user, does not alternate, holds blank
//! text, or asks for a tool without answering it. One such turn in a session's memory would make every
//! later call of that session fail. So memory holds [`CompleteTurn`]s only, and the one way to make
//! them is [`complete`], which repairs whatever it is given and loses no text.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::{
    ContentBlock, Document, Image, MediaSource, Message, Question, Role, ToolResult, ToolResultContent, ToolUse,
};

/// Stands where an answer should be that never came, so that the roles still alternate.
pub const INTERRUPTED: &str = "[The answer was interrupted.]";

/// Stands before an answer that no user message led to.
pub const OPENED: &str = "[The conversation was opened.]";

/// The reason given to the model for a tool call whose result never arrived.
const NO_RESULT: &str = "The call was interrupted; its result is not known.";

/// One finished turn: from a user's words to the answer that closes it.
///
/// It begins with a user message, alternates, answers every tool call, holds no blank text and ends
/// with the assistant, so any sequence of complete turns is a conversation that Converse accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct CompleteTurn {
    messages: Vec<Message>,
    estimated_tokens: usize,
    is_summary: bool,
}

/// A turn that waits for a person: its last message asks for tools, and some of them have asked back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PausedTurn {
    /// What was said so far, from the user's words to the model's tool calls.
    pub messages: Vec<Message>,
    /// The results of the calls that did not ask.
    pub results: Vec<ToolResult>,
    /// What is asked, in the order of the calls.
    pub questions: Vec<Question>,
    /// Set where the turn had gone on already and came to no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_off: Option<BrokenOff>,
}

/// How far a turn came that went on by a person's answers and broke off: the same answers lead on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrokenOff {
    /// What was asked, and was answered.
    pub answered: Vec<Question>,
    /// What the caller had been told of the turn's answer. When the turn goes on, the answer begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Message>,
}

/// What a session keeps of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Keepsake {
    /// The turn.
    pub turn: TurnKept,
    /// Whether it stays in the history when turns of its age are dropped.
    pub pinned: bool,
    /// Whether it is the rest of the paused turn before it, which it then replaces.
    pub resumed: bool,
}

/// How far a turn has come that a session keeps.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnKept {
    /// To its end, or as far as it will come.
    Whole(CompleteTurn),
    /// To a question that a person must answer.
    Paused(PausedTurn),
}

/// Sorts messages, oldest first, into complete turns, mending what is broken.
///
/// Whole turns come back as they were. A turn that ends in the middle is closed with
/// [`INTERRUPTED`]; tool calls without a result get an error result, results without a call are
/// dropped, and blank text is dropped. No other text is lost.
///
/// ```
/// use agentcore_core::history::{complete, INTERRUPTED};
/// use agentcore_core::message::Message;
///
/// let turns = complete([Message::user("Are you there?")]);
/// assert_eq!(turns[0].messages()[1].text(), INTERRUPTED);
/// ```
pub fn complete(messages: impl IntoIterator<Item = Message>) -> Vec<CompleteTurn> {
    let mut repair = Repair::default();
    for message in messages {
        repair.take(message);
    }
    repair.close_turn();
    repair.turns
}

/// The turn for a conversation that has no tools: its words without the calls and their results. A turn
/// that called none is shared as it is.
pub(crate) fn without_tools(turn: &Arc<CompleteTurn>) -> Arc<CompleteTurn> {
    let is_about_tools = |block: &ContentBlock| matches!(block, ContentBlock::ToolUse(_) | ContentBlock::ToolResult(_));
    if !turn.messages.iter().flat_map(|message| &message.content).any(is_about_tools) {
        return Arc::clone(turn);
    }
    let words = turn.messages.iter().cloned().map(|mut message| {
        message.content.retain(|block| !is_about_tools(block));
        message
    });
    complete(words).into_iter().next().map_or_else(|| Arc::clone(turn), Arc::new)
}

/// The newest turns whose estimates together stay within `budget_tokens`: whole turns only, dropped
/// from the old end.
pub fn newest_within(turns: &[Arc<CompleteTurn>], budget_tokens: usize) -> &[Arc<CompleteTurn>] {
    let mut left = budget_tokens;
    let kept = turns
        .iter()
        .rev()
        .take_while(|turn| match left.checked_sub(turn.estimated_tokens()) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .count();
    &turns[turns.len() - kept..]
}

/// The messages as later turns read them: no bytes of pictures or files, but a line that says what was there.
///
/// The model looks at bytes in the turn they came in; after that they would be paid for at every call and fill the
/// memory. What is in S3 stays, by reference. No text is lost.
///
/// ```
/// use agentcore_core::history::without_media_bytes;
/// use agentcore_core::message::{ContentBlock, Image, ImageFormat, MediaSource, Message, Role};
///
/// let source = MediaSource::Bytes(vec![0; 34512].into());
/// let picture = ContentBlock::Image(Image { format: ImageFormat::Png, source });
/// let later = without_media_bytes(vec![Message { role: Role::User, content: vec![picture] }]);
/// assert_eq!(later[0].text(), "[An image (png, 34512 bytes) was here.]");
/// ```
pub fn without_media_bytes(mut messages: Vec<Message>) -> Vec<Message> {
    for block in messages.iter_mut().flat_map(|message| &mut message.content) {
        let instead = match block {
            ContentBlock::Image(image) => image_was_here(image),
            ContentBlock::Document(document) => document_was_here(document),
            ContentBlock::ToolResult(result) => {
                leave_out_media_bytes(result);
                None
            }
            ContentBlock::Text(_) | ContentBlock::ToolUse(_) => None,
        };
        if let Some(line) = instead {
            *block = ContentBlock::Text(line);
        }
    }
    messages
}

fn leave_out_media_bytes(result: &mut ToolResult) {
    for part in &mut result.content {
        let instead = match part {
            ToolResultContent::Image(image) => image_was_here(image),
            ToolResultContent::Document(document) => document_was_here(document),
            ToolResultContent::Text(_) | ToolResultContent::Json(_) => None,
        };
        if let Some(line) = instead {
            *part = ToolResultContent::Text(line);
        }
    }
}

fn image_was_here(Image { format, source }: &Image) -> Option<String> {
    let MediaSource::Bytes(bytes) = source else { return None };
    Some(format!("[An image ({}, {} bytes) was here.]", spelled(format), bytes.len()))
}

fn document_was_here(Document { format, name, source }: &Document) -> Option<String> {
    let MediaSource::Bytes(bytes) = source else { return None };
    Some(format!("[A document ({}, {} bytes, named \"{name}\") was here.]", spelled(format), bytes.len()))
}

/// A format as Bedrock spells it.
fn spelled(format: &impl Serialize) -> String {
    let json = serde_json::to_value(format).unwrap_or_default();
    json.as_str().unwrap_or("of an unknown kind").to_owned()
}

/// Estimates how many tokens a text of `bytes` UTF-8 bytes costs, on the high side.
///
/// Claude's English runs at 3.5 to 4 bytes a token; 3 leaves room for other languages and markup.
pub fn estimate_tokens(bytes: usize) -> usize {
    bytes.div_ceil(3)
}

/// The texts of a message as one; words of two blocks never run into one.
pub(crate) fn words(content: &[ContentBlock]) -> String {
    content.iter().filter_map(ContentBlock::as_text).collect::<Vec<_>>().join("\n")
}

// === impl CompleteTurn ===

impl CompleteTurn {
    /// The turn's messages, oldest first.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What the user wrote to begin it: all texts of the message.
    pub fn user_words(&self) -> String {
        self.messages.first().map(|message| words(&message.content)).unwrap_or_default()
    }

    /// About how many tokens the turn costs when it is sent again, on the high side.
    pub fn estimated_tokens(&self) -> usize {
        self.estimated_tokens
    }

    /// Whether it tells what was said in turns that are no longer sent. Its words are a model's, also where they stand
    /// in the user's place. It is known by how the turn was made, so that nobody can write one.
    pub fn is_summary(&self) -> bool {
        self.is_summary
    }

    /// The turn as one that tells of others.
    #[must_use]
    pub(crate) fn into_summary(self) -> Self {
        Self { is_summary: true, ..self }
    }

    /// The turn as later turns read it: see [`without_media_bytes`].
    #[must_use]
    pub fn without_media_bytes(self) -> Self {
        Self::new(without_media_bytes(self.messages))
    }

    fn new(messages: Vec<Message>) -> Self {
        let estimated_tokens = messages.iter().map(estimate_message).sum();
        Self { messages, estimated_tokens, is_summary: false }
    }
}

// === impl PausedTurn ===

impl PausedTurn {
    /// The turn as history shows it when nobody answered: what was asked is said in the results of the calls that
    /// wait. One turn, unless the messages are none.
    pub fn closed(&self) -> Vec<CompleteTurn> {
        let unanswered = |question: &Question| {
            let reason = format!("A person was asked, and has not answered: {}", question.question);
            ToolResult::error(&question.id, reason)
        };
        let results = self.results.iter().cloned().chain(self.questions.iter().map(unanswered));
        let results = Message { role: Role::User, content: results.map(ContentBlock::ToolResult).collect() };
        let said = self.broken_off.iter().filter_map(|broken_off| broken_off.said.clone());
        complete(self.messages.iter().cloned().chain([results]).chain(said))
    }

    /// The turn without bytes of pictures and files: see [`without_media_bytes`].
    #[must_use]
    pub fn without_media_bytes(mut self) -> Self {
        self.results.iter_mut().for_each(leave_out_media_bytes);
        Self { messages: without_media_bytes(self.messages), ..self }
    }

    /// About how many tokens the turn costs when it goes on, on the high side.
    pub fn estimated_tokens(&self) -> usize {
        let results = self.results.iter().cloned().map(ContentBlock::ToolResult);
        self.messages.iter().map(estimate_message).sum::<usize>()
            + results.map(|result| estimate_block(&result)).sum::<usize>()
    }
}

/// About how many tokens a message costs, its framing included, on the high side.
pub fn estimate_message(message: &Message) -> usize {
    /// Role markers and separators around a message.
    const FRAMING: usize = 4;
    FRAMING + message.content.iter().map(estimate_block).sum::<usize>()
}

/// About how many tokens a block costs, on the high side.
pub fn estimate_block(block: &ContentBlock) -> usize {
    /// What Claude reads of a picture at the most, whatever its bytes: 1568 pixels on the longer side. Source:
    /// Anthropic's guide to vision.
    const IMAGE: usize = 1_600;
    match block {
        ContentBlock::Text(text) => estimate_tokens(text.len()),
        ContentBlock::Image(_) => IMAGE,
        structured => estimate_tokens(serde_json::to_string(structured).map_or(0, |json| json.len())),
    }
}

// === impl Repair ===

/// Takes messages one at a time and keeps the turn under its hands acceptable.
#[derive(Default)]
struct Repair {
    turns: Vec<CompleteTurn>,
    current: Vec<Message>,
}

impl Repair {
    fn take(&mut self, mut message: Message) {
        message.content.retain(|block| !block.is_blank());
        match message.role {
            Role::User => self.take_user(message),
            Role::Assistant => self.take_assistant(message),
        }
    }

    fn take_user(&mut self, message: Message) {
        let (results, rest) = split_results(message.content);
        let unanswered = self.unanswered_calls();
        let answers_a_call =
            results.iter().any(|result| unanswered.iter().any(|call| call.tool_use_id == result.tool_use_id));
        if answers_a_call {
            let mut content = one_result_each(&unanswered, results, |_| NO_RESULT.to_owned());
            content.extend(rest);
            self.current.push(Message { role: Role::User, content });
        } else if !rest.is_empty() {
            self.close_turn();
            self.current.push(Message { role: Role::User, content: rest });
        }
    }

    fn take_assistant(&mut self, message: Message) {
        let content = sendable(message).content;
        if content.is_empty() {
            return;
        }
        if self.current.is_empty() {
            self.current.push(Message::user(OPENED));
        }
        self.answer_open_calls();
        match self.current.last_mut() {
            Some(last) if last.role == Role::Assistant => last.content.extend(content),
            _ => self.current.push(Message { role: Role::Assistant, content }),
        }
    }

    /// The calls of the last message, when nothing has answered them yet.
    fn unanswered_calls(&self) -> Vec<ToolUse> {
        match self.current.last() {
            Some(last) if last.role == Role::Assistant => last.tool_uses().cloned().collect(),
            _ => Vec::new(),
        }
    }

    fn answer_open_calls(&mut self) {
        let unanswered = self.unanswered_calls();
        if !unanswered.is_empty() {
            let content = one_result_each(&unanswered, Vec::new(), |_| NO_RESULT.to_owned());
            self.current.push(Message { role: Role::User, content });
        }
    }

    fn close_turn(&mut self) {
        if self.current.is_empty() {
            return;
        }
        self.answer_open_calls();
        if self.current.last().is_some_and(|last| last.role == Role::User) {
            self.current.push(Message::assistant(INTERRUPTED));
        }
        self.turns.push(CompleteTurn::new(std::mem::take(&mut self.current)));
    }
}

fn split_results(content: Vec<ContentBlock>) -> (Vec<ToolResult>, Vec<ContentBlock>) {
    let mut results = Vec::new();
    let mut rest = Vec::new();
    for block in content {
        match block {
            ContentBlock::ToolResult(result) => results.push(result),
            // Only the model asks for tools: in a user's message the request is noise.
            ContentBlock::ToolUse(_) => {}
            said => rest.push(said),
        }
    }
    (results, rest)
}

/// One result for each call, in the order of the calls; `reason` stands in where none has come.
pub(crate) fn one_result_each(
    calls: &[ToolUse],
    mut results: Vec<ToolResult>,
    reason: impl Fn(&ToolUse) -> String,
) -> Vec<ContentBlock> {
    calls
        .iter()
        .map(|call| {
            let place = results.iter().position(|result| result.tool_use_id == call.tool_use_id);
            place.map_or_else(|| ToolResult::error(&call.tool_use_id, reason(call)), |place| results.swap_remove(place))
        })
        .map(ContentBlock::ToolResult)
        .collect()
}

/// An assistant's message without what Converse refuses in it: blank text, calls that repeat an id,
/// and results, which only the user's side gives.
pub(crate) fn sendable(mut message: Message) -> Message {
    let mut seen = HashSet::new();
    message.content.retain(|block| match block {
        ContentBlock::Text(_) => !block.is_blank(),
        ContentBlock::ToolUse(call) => seen.insert(call.tool_use_id.clone()),
        ContentBlock::ToolResult(_) | ContentBlock::Image(_) | ContentBlock::Document(_) => false,
    });
    message
}
