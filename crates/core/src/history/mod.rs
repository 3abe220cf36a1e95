//! What was said before, kept in the only form that Converse accepts.
//!
//! Converse refuses a conversation that does not begin with the user, does not alternate, holds blank
//! text, or asks for a tool without answering it. One such turn in a session's memory would make every
//! later call of that session fail. So memory holds [`CompleteTurn`]s only, and the one way to make
//! them is [`complete`], which repairs whatever it is given and loses no text.
//!
//! Rooms: `acceptable` mends what Converse takes in no message, `estimate` says about how many tokens something costs,
//! `shorter` makes less of it.

mod acceptable;
mod estimate;
mod shorter;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::{ContentBlock, Message, Question, Role, ToolResult, ToolUse};

pub(crate) use acceptable::{acceptable, sendable, with_object_inputs};
pub use estimate::{estimate_block, estimate_message, estimate_result, estimate_tokens};
pub use shorter::without_media_bytes;
pub(crate) use shorter::{halve_result, leave_media_out};

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
    /// Which of several agents asks, by the name its router knows it by; none where there is but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
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

/// What was said in a session before a turn of it.
///
/// ```
/// use std::sync::Arc;
/// use agentcore_core::history::{Earlier, complete};
/// use agentcore_core::message::Message;
///
/// let turns = complete([Message::user("I am Dee."), Message::assistant("Hello, Dee.")]);
/// let earlier = Earlier::from(turns.into_iter().map(Arc::new).collect::<Vec<_>>());
/// assert_eq!((earlier.sent.len(), earlier.known.len()), (1, 1));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Earlier {
    /// What the model is sent of it, oldest first: what fits.
    pub sent: Vec<SentTurn>,
    /// All that is known of it, oldest first: for guards and for system prompts made of it, who look at it and pay
    /// nothing for its length.
    pub known: Vec<Arc<CompleteTurn>>,
}

/// An earlier turn, as the model is sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct SentTurn {
    /// What was said; the summary of what is not sent is told in a turn of its own.
    pub turn: Arc<CompleteTurn>,
    /// Whether it stays when others are left out of a conversation that is too long.
    pub stays: bool,
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

/// The texts of a message as one; words of two blocks never run into one.
pub(crate) fn words(content: &[ContentBlock]) -> String {
    content.iter().filter_map(ContentBlock::as_text).collect::<Vec<_>>().join("\n")
}

// === impl Earlier ===

/// Turns that are sent just as they are known, none of which stays longer than the others.
impl From<Vec<Arc<CompleteTurn>>> for Earlier {
    fn from(turns: Vec<Arc<CompleteTurn>>) -> Self {
        let sent = turns.iter().map(|turn| SentTurn { turn: Arc::clone(turn), stays: false }).collect();
        Self { sent, known: turns }
    }
}

impl Earlier {
    /// The turns that the model is sent, oldest first.
    pub fn turns_sent(self) -> Vec<Arc<CompleteTurn>> {
        self.sent.into_iter().map(|sent| sent.turn).collect()
    }
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

    /// The turn in at most `tokens`, as estimated. Pictures and files are left out first, then the ends of what tools
    /// gave, and only where that is not enough those of what was said. None where the little that always stays is
    /// more than that.
    pub(crate) fn cut_to(&self, tokens: usize) -> Option<Self> {
        let cuts = [shorter::cut_results, shorter::cut_words];
        let cuts = cuts.into_iter().flat_map(|cut| shorter::lengths().map(move |longest| (cut, longest)));
        let mut messages = self.without_media().map_or_else(|| self.messages.clone(), |turn| turn.messages);
        for (cut, longest) in cuts {
            if messages.iter().map(estimate_message).sum::<usize>() <= tokens {
                break;
            }
            cut(&mut messages, longest);
        }
        Some(Self::new(messages)).filter(|turn| turn.estimated_tokens <= tokens)
    }

    /// The turn without pictures and files, wherever they are kept; none where it has none.
    pub(crate) fn without_media(&self) -> Option<Self> {
        let mut messages = self.messages.clone();
        let mut any = false;
        for block in messages.iter_mut().flat_map(|message| &mut message.content) {
            any |= leave_media_out(block);
        }
        any.then(|| Self::new(messages))
    }

    fn new(messages: Vec<Message>) -> Self {
        let estimated_tokens = messages.iter().map(estimate_message).sum();
        Self { messages, estimated_tokens, is_summary: false }
    }
}

// === impl PausedTurn ===

impl PausedTurn {
    /// The questions that a reply may answer: those that wait, and those whose answers led to nothing.
    pub fn answerable(&self) -> impl Iterator<Item = &Question> {
        let before = self.broken_off.iter().flat_map(|broken_off| &broken_off.answered);
        self.questions.iter().chain(before)
    }

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

    /// The turn as it can go on, without what Converse would refuse. Where it is none that waits, because somebody else
    /// wrote it, all that it says is history.
    pub(crate) fn mended(self) -> Result<Self, Vec<CompleteTurn>> {
        let mut repair = Repair::default();
        self.messages.iter().cloned().for_each(|message| repair.take(message));
        let calls = repair.unanswered_calls();
        if !repair.turns.is_empty() || calls.is_empty() {
            return Err(self.closed());
        }
        let of_a_call = |id: &str| calls.iter().any(|call| call.tool_use_id == id);
        let results = self.results.into_iter().filter(|result| of_a_call(&result.tool_use_id));
        Ok(Self {
            messages: repair.current,
            results: results.map(|result| acceptable(result, NO_RESULT)).collect(),
            questions: self.questions.into_iter().filter(|question| of_a_call(&question.id)).collect(),
            ..self
        })
    }

    /// The turn without bytes of pictures and files: see [`without_media_bytes`].
    #[must_use]
    pub fn without_media_bytes(mut self) -> Self {
        self.results.iter_mut().for_each(shorter::leave_out_media_bytes);
        Self { messages: without_media_bytes(self.messages), ..self }
    }

    /// About how many tokens the turn costs when it goes on, on the high side.
    pub fn estimated_tokens(&self) -> usize {
        self.messages.iter().map(estimate_message).sum::<usize>()
            + self.results.iter().map(estimate_result).sum::<usize>()
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
        let content = with_object_inputs(sendable(message)).content;
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
            ContentBlock::ToolResult(result) => results.push(acceptable(result, NO_RESULT)),
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
