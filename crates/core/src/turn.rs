//! A turn, decided without doing any of it.
//!
//! A turn is a machine that says what it needs next and is told what happened. It reads no clock, no
//! socket and no environment, so every stop reason, every cut and every tool that fails can be tested
//! in microseconds. [`crate::drive`] performs its steps.
//!
//! ```text
//!           ┌────────────── returned(results) ──────────────┐
//!           ▼                                               │
//! begin ─▶ CallModel ── answered(tool_use) ─────────────▶ CallTools
//!   │         │                                             │
//!   │         ├─ answered(any other reason) ─▶ Done         │
//!   │         ├─ failed(error, so far) ──────▶ Done         │
//!   │         └─ cut(so far) ────────────────▶ Done ◀─ cut ─┘
//!   └─ a guard answers ──────────────────────▶ Done
//! ```
//!
//! Each state is a type of its own, and its methods consume it: a turn cannot be told of results it
//! did not ask for.

use std::sync::Arc;

use crate::guard::{Guard, Safety, SafetyAction, Verdict};
use crate::history::{CompleteTurn, complete, estimate_block, estimate_tokens, one_result_each, sendable};
use crate::message::{ContentBlock, Message, Role, StopReason, ToolResult, ToolUse, Usage};
use crate::model::{ModelAnswer, ModelError, ModelParameters, ModelRequest, ModelSize, ToolChoice};
use crate::settings::CONTEXT_TOKENS;
use crate::tool::{Tool, Toolbox};

/// How often a model may ask for tools in one turn, unless the agent says otherwise.
pub const DEFAULT_TOOL_ROUNDS: u32 = 10;

/// Remembered in place of words that a guardrail stopped: sent again, they would stop every later turn.
pub const WITHHELD: &str = "[This message was withheld by a guardrail.]";

/// What an agent makes of a payload: everything a turn needs but the history.
#[derive(Clone)]
pub struct TurnRequest {
    system: String,
    content: Vec<ContentBlock>,
    parameters: ModelParameters,
    tools: Toolbox,
    guards: Vec<Arc<dyn Guard>>,
    actor: Option<String>,
    tool_rounds: u32,
}

/// What a turn needs next.
#[derive(Debug)]
pub enum Step {
    /// Ask the model.
    CallModel(ModelCall),
    /// Call the tools that the model asked for.
    CallTools(ToolRound),
    /// Nothing: this is what became of the turn.
    Done(TurnOutcome),
}

/// A turn that waits for the model.
#[derive(Debug)]
pub struct ModelCall(Turn);

/// A turn that waits for tools.
#[derive(Debug)]
pub struct ToolRound {
    turn: Turn,
    calls: Vec<ToolUse>,
}

/// What became of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnOutcome {
    /// The answer, or why there is none.
    pub result: Result<Answer, TurnError>,
    /// What the session keeps: the whole turn, or as much of it as was said. None when nothing was.
    pub remember: Option<CompleteTurn>,
    /// Tokens counted over all model calls of the turn.
    pub usage: Usage,
    /// What the guards found.
    pub safety: Safety,
}

/// What the caller gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The model's last message, its text only.
    pub message: Message,
    /// Why it ends where it ends.
    pub stop_reason: StopReason,
}

/// Why a turn has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TurnError {
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model stopped without a word.
    #[error("the model ended its answer ({}) without a word; ask again", .stop_reason.as_str())]
    EmptyAnswer {
        /// Why it stopped.
        stop_reason: StopReason,
    },
    /// The caller went away, or the process is ending.
    #[error("the turn was cut before its answer was complete")]
    Cut,
}

/// What all states of a turn share.
#[derive(Debug)]
struct Turn {
    request: ModelRequest,
    rounds_left: u32,
    usage: Usage,
    safety: Safety,
}

// === impl TurnRequest ===

impl TurnRequest {
    /// A turn in which the user says `text`. It must not be blank: Converse refuses that.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            system: String::new(),
            content: vec![ContentBlock::Text(text.into())],
            parameters: ModelParameters { max_tokens: 1024, temperature: None, stop_sequences: Vec::new() },
            tools: Toolbox::default(),
            guards: Vec::new(),
            actor: None,
            tool_rounds: DEFAULT_TOOL_ROUNDS,
        }
    }

    /// The system prompt.
    #[must_use]
    pub fn system(mut self, prompt: impl Into<String>) -> Self {
        self.system = prompt.into();
        self
    }

    /// The longest answer, in tokens; 1024 when not said. An operator's `MAX_TOKENS` overrules it.
    ///
    /// # Panics
    /// When `tokens` is 0: no model answers in nothing.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        assert!(tokens > 0, "max_tokens must be at least 1");
        self.parameters.max_tokens = tokens;
        self
    }

    /// Randomness, 0 to 1. An operator's `TEMPERATURE` overrules it.
    ///
    /// # Panics
    /// When `temperature` is outside 0 to 1.
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        assert!((0.0..=1.0).contains(&temperature), "temperature must be between 0 and 1");
        self.parameters.temperature = Some(temperature);
        self
    }

    /// One more text that ends the answer when the model writes it.
    #[must_use]
    pub fn stop_sequence(mut self, text: impl Into<String>) -> Self {
        self.parameters.stop_sequences.push(text.into());
        self
    }

    /// One more tool the model may ask for.
    #[must_use]
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.tools.add(tool);
        self
    }

    /// How often the model may ask for tools; [`DEFAULT_TOOL_ROUNDS`] when not said.
    #[must_use]
    pub fn tool_rounds(mut self, rounds: u32) -> Self {
        self.tool_rounds = rounds;
        self
    }

    /// One more guard, asked after those already there.
    #[must_use]
    pub fn guard(mut self, guard: impl Guard) -> Self {
        self.guards.push(Arc::new(guard));
        self
    }

    /// Whose turn it is, where the payload says so and no user id header does.
    #[must_use]
    pub fn actor(mut self, actor: Option<String>) -> Self {
        self.actor = actor;
        self
    }

    /// Whose turn the payload says it is.
    pub fn actor_id(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// The tools the model may ask for.
    pub fn toolbox(&self) -> &Toolbox {
        &self.tools
    }

    /// How the answer is sampled and bounded; an operator's settings are written over it here.
    pub fn parameters_mut(&mut self) -> &mut ModelParameters {
        &mut self.parameters
    }

    /// About how many tokens everything but the history takes, the answer included, on the high side.
    pub fn estimated_tokens(&self) -> usize {
        estimate_tokens(self.system.len())
            + self.content.iter().map(estimate_block).sum::<usize>()
            + self.parameters.max_tokens as usize
    }

    /// Whether the user's words alone cannot fit a model's context, however they are counted.
    pub fn is_beyond_any_context(&self) -> bool {
        /// No tokenizer makes longer tokens of anything: this is a run of spaces.
        const LONGEST_TOKEN_BYTES: usize = 128;
        let texts = self.content.iter().filter_map(ContentBlock::as_text);
        texts.map(str::len).sum::<usize>() / LONGEST_TOKEN_BYTES > CONTEXT_TOKENS
    }

    /// Begins the turn, with what was said before it. The guards are asked first.
    pub fn begin(self, history: Vec<Arc<CompleteTurn>>) -> Step {
        let mut turn = Turn {
            rounds_left: self.tool_rounds,
            usage: Usage::default(),
            safety: Safety::default(),
            request: ModelRequest {
                system: self.system,
                history,
                messages: vec![Message { role: Role::User, content: self.content }],
                parameters: self.parameters,
                tools: self.tools.specs().into(),
                tool_choice: ToolChoice::default(),
                size: ModelSize::default(),
            },
        };
        match turn.ask_guards(&self.guards) {
            Some(answer) => turn.answered_by_guard(answer),
            None => Step::CallModel(ModelCall(turn)),
        }
    }
}

// === impl ModelCall ===

impl ModelCall {
    /// What to ask.
    pub fn request(&self) -> &ModelRequest {
        &self.0.request
    }

    /// The model answered and said why it stopped. All of Converse's reasons are decided here.
    pub fn answered(self, answer: ModelAnswer) -> Step {
        let Self(mut turn) = self;
        turn.usage += answer.usage;
        let ModelAnswer { message, stop_reason, .. } = answer;
        match stop_reason {
            StopReason::ToolUse if message.tool_uses().next().is_some() => turn.ask_for_tools(message),
            // The model says it wants tools and names none: what it said is its answer.
            StopReason::ToolUse => turn.finish(message, StopReason::EndTurn),
            StopReason::GuardrailIntervened => turn.finish_withheld(message),
            // Whatever was cut off, a tool call in it has no end: only the text counts.
            other => turn.finish(message, other),
        }
    }

    /// The model failed; `so_far` is what it had written, if anything.
    pub fn failed(self, error: ModelError, so_far: Option<Message>) -> Step {
        self.0.end_without_answer(TurnError::Model(error), so_far)
    }

    /// The caller went away or the process ends; `so_far` is what had been written, if anything.
    pub fn cut(self, so_far: Option<Message>) -> Step {
        self.0.end_without_answer(TurnError::Cut, so_far)
    }
}

// === impl ToolRound ===

impl ToolRound {
    /// The calls to make; they may run at the same time. Calls of tools that do not exist are not
    /// among them: the machine answers those itself.
    pub fn calls(&self) -> impl Iterator<Item = &ToolUse> {
        self.calls.iter().filter(|call| self.turn.has_tool(&call.name))
    }

    /// The tools answered, in any order. The model reads one result a call, in the order it asked.
    pub fn returned(self, results: Vec<ToolResult>) -> Step {
        let Self { mut turn, calls } = self;
        let content = one_result_each(&calls, results, |call| turn.why_no_result(call));
        turn.request.messages.push(Message { role: Role::User, content });
        Step::CallModel(ModelCall(turn))
    }

    /// The caller went away or the process ends. Results that have come are not lost to the session.
    pub fn cut(self, results: Vec<ToolResult>) -> Step {
        let Self { mut turn, .. } = self;
        let content = results.into_iter().map(ContentBlock::ToolResult).collect();
        turn.request.messages.push(Message { role: Role::User, content });
        turn.end_without_answer(TurnError::Cut, None)
    }
}

// === impl Turn ===

impl Turn {
    /// Asks every guard about the user's words; the first that answers ends the asking.
    fn ask_guards(&mut self, guards: &[Arc<dyn Guard>]) -> Option<String> {
        let said = self.request.messages[0].text();
        for guard in guards {
            match guard.inspect(&said) {
                Verdict::Allow => {}
                Verdict::Annotate { instruction, flag } => {
                    self.safety.raise(flag, SafetyAction::Annotated);
                    self.request.system.push_str("\n\n");
                    self.request.system.push_str(&instruction);
                }
                Verdict::Answer { text, flag } => {
                    self.safety.raise(flag, SafetyAction::Answered);
                    return Some(text);
                }
            }
        }
        None
    }

    fn answered_by_guard(self, text: String) -> Step {
        self.finish(Message::assistant(text), StopReason::EndTurn)
    }

    fn has_tool(&self, name: &str) -> bool {
        self.request.tools.iter().any(|tool| tool.name == name)
    }

    fn why_no_result(&self, call: &ToolUse) -> String {
        if self.has_tool(&call.name) {
            return format!("The tool {} gave no result.", call.name);
        }
        let names: Vec<&str> = self.request.tools.iter().map(|tool| tool.name.as_str()).collect();
        format!("There is no tool {}. The tools are: {}.", call.name, names.join(", "))
    }

    fn ask_for_tools(mut self, message: Message) -> Step {
        let message = sendable(message);
        let Some(rounds_left) = self.rounds_left.checked_sub(1) else {
            return self.finish(message, StopReason::ToolRoundsExceeded);
        };
        self.rounds_left = rounds_left;
        let calls = message.tool_uses().cloned().collect();
        self.request.messages.push(message);
        Step::CallTools(ToolRound { turn: self, calls })
    }

    fn finish(mut self, message: Message, stop_reason: StopReason) -> Step {
        let answer = text_only(message);
        // A filter that takes all words away has answered; anything else owes the caller a word.
        let may_be_empty = stop_reason == StopReason::ContentFiltered;
        if answer.content.is_empty() && !may_be_empty {
            return self.end_without_answer(TurnError::EmptyAnswer { stop_reason }, None);
        }
        self.request.messages.push(answer.clone());
        let remember = remembered(std::mem::take(&mut self.request.messages));
        self.done(Ok(Answer { message: answer, stop_reason }), remember)
    }

    /// A guardrail looks at the whole conversation each time, so what it stopped must not stay there.
    fn finish_withheld(mut self, message: Message) -> Step {
        self.request.messages.truncate(1);
        self.request.messages[0] = Message::user(WITHHELD);
        self.finish(message, StopReason::GuardrailIntervened)
    }

    fn end_without_answer(mut self, error: TurnError, so_far: Option<Message>) -> Step {
        self.request.messages.extend(so_far.map(text_only));
        let messages = std::mem::take(&mut self.request.messages);
        let anything_said =
            messages.iter().any(|message| message.role == Role::Assistant && !message.content.is_empty());
        let remember = if anything_said { remembered(messages) } else { None };
        self.done(Err(error), remember)
    }

    fn done(self, result: Result<Answer, TurnError>, remember: Option<CompleteTurn>) -> Step {
        Step::Done(TurnOutcome { result, remember, usage: self.usage, safety: self.safety })
    }
}

/// One turn's messages as the session keeps them: repair makes one complete turn of them.
fn remembered(messages: Vec<Message>) -> Option<CompleteTurn> {
    complete(messages).into_iter().next()
}

fn text_only(mut message: Message) -> Message {
    message.content.retain(|block| matches!(block, ContentBlock::Text(_)) && !block.is_blank());
    message
}
