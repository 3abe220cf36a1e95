//! The states of a turn and what leads from one to the next.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::hearing::{Doubt, Opinion};
use super::output::{Given, OUTPUT_ATTEMPTS, OutputContract};
use super::route::{self, Route};
use super::shrink::Shrinking;
use super::{Answer, CallFailure, CallOutcome, Step, ToolCounts, TurnError, TurnOutcome, TurnRequest, WITHHELD};
use crate::guard::outgoing::Outgoing;
use crate::guard::{Guard, Safety, SafetyAction, Severity};
use crate::history::{
    BrokenOff, CompleteTurn, Earlier, Keepsake, PausedTurn, TurnKept, acceptable, complete, estimate_message,
    one_result_each, sendable, with_object_inputs, without_tools, words,
};
use crate::message::{ContentBlock, Message, Role, StopReason, ToolResult, ToolResultStatus, ToolUse, Usage};
use crate::model::{GuardrailTrace, ModelAnswer, ModelError, ModelRequest, ToolChoice};
use crate::settings::Overruling;
use crate::tool::{Question, Reply, Tool, ToolFailure, ToolOutput, ToolSpec, Toolbox};

/// How long a second opinion is waited for: somebody waits for an answer meanwhile, and there is a first one.
const SECOND_OPINION_TIME: Duration = Duration::from_secs(4);

/// Said for a tool that asked a person whose answer a guard took up instead.
const NOT_PASSED_ON: &str = "A person was asked. What the person said follows; it was answered without the tool.";

/// Said for a tool that had nothing to say: Converse refuses a blank text.
const NOTHING_TO_SHOW: &str = "(The tool gave nothing back.)";

/// A turn that waits for the model.
#[derive(Debug)]
pub struct ModelCall(Turn);

/// A turn that waits for tools.
#[derive(Debug)]
pub struct ToolRound {
    turn: Turn,
    calls: Vec<ToolUse>,
    /// What is known of the round already: it is resumed after a question.
    known: Vec<ToolResult>,
    /// Questions of the round that nobody has answered yet.
    waiting: Vec<Question>,
    replies: Vec<Reply>,
}

/// What all states of a turn share.
struct Turn {
    request: ModelRequest,
    /// About how many tokens the request has: kept, because to estimate anew at every round would make long
    /// turns slow.
    estimated_tokens: usize,
    tools: Toolbox,
    guards: Vec<Arc<dyn Guard>>,
    output: Option<Returning>,
    /// While the model is asked something that nobody hears.
    aside: Option<Aside>,
    /// As which of several agents it answers.
    route: Option<String>,
    rounds_left: u32,
    shrinking: Shrinking,
    pinned: bool,
    overruling: Overruling,
    reusable_for: Option<Duration>,
    /// The questions whose answers it went on with, where it was resumed.
    resumed_by: Option<Vec<Question>>,
    usage: Usage,
    safety: Safety,
    counts: ToolCounts,
    redactions: Vec<(String, String)>,
}

/// An answer that must be a type, on its way.
struct Returning {
    contract: OutputContract,
    attempts_left: u32,
    /// Where the messages of the first failed attempt begin: none of them is remembered.
    tried_from: Option<usize>,
}

/// What the model is asked in silence before it is asked what the user said.
enum Aside {
    /// Which of several agents answers.
    Choosing(Box<Choosing>),
    /// What a guard would know of the message.
    Doubting(Box<Doubting>),
}

struct Doubting {
    doubt: Doubt,
    /// What the guards make of the message by themselves.
    opinion: Opinion,
    said: String,
    known: Vec<Arc<CompleteTurn>>,
    /// What is asked afterwards.
    request: ModelRequest,
}

struct Choosing {
    routes: Vec<Route>,
    /// What the guards of each make of the message.
    opinions: Vec<Opinion>,
    content: Vec<ContentBlock>,
    earlier: Earlier,
    instructions: String,
}

// === impl TurnRequest ===

impl TurnRequest {
    /// Begins the turn, with what was said before it. The guards are asked first.
    pub fn begin(self, earlier: impl Into<Earlier>) -> Step {
        let earlier = earlier.into();
        let (content, routes) = (self.content.clone(), self.routes.clone());
        let said = words(&content);
        let may_doubt = routes.is_empty() && self.overruling.second_opinions;
        let opinion = Opinion::of(&self.guards, &said, &earlier.known, may_doubt);
        let mut turn = Turn::new(self, earlier.clone(), vec![Message { role: Role::User, content: content.clone() }]);
        if routes.is_empty() {
            return turn.settle(opinion, said, earlier.known);
        }
        match turn.heed(opinion) {
            Some(answer) => turn.answered_by_guard(answer),
            None => turn.choose(routes, content, earlier),
        }
    }

    /// Goes on with a turn that waits for a person, by what the person answered: as the agent that asked.
    pub fn resume(self, earlier: impl Into<Earlier>, paused: PausedTurn) -> Step {
        let is_asked = |reply: &Reply| paused.answerable().any(|question| question.id == reply.id);
        if self.replies.is_empty() || !self.replies.iter().all(is_asked) {
            return nothing_done(TurnError::NothingAsked);
        }
        match self.asker(&paused) {
            Some(request) => request.go_on(earlier.into(), paused),
            None => nothing_done(TurnError::AskerGone),
        }
    }

    /// The request as that of the agent which asks in `paused`, if there is one.
    fn asker(self, paused: &PausedTurn) -> Option<Self> {
        if self.routes.is_empty() {
            let is_another = paused.route.is_some() && self.route.is_some() && paused.route != self.route;
            return (!is_another).then_some(self);
        }
        let asks = |request: &Self| match &paused.route {
            Some(name) => request.route.as_ref() == Some(name),
            // It was stored before turns said who asks: then whoever has the tools, where that is plain.
            None => paused.answerable().all(|question| request.tools.get(&question.tool).is_some()),
        };
        let mut askers = self.routes.into_iter().map(|route| route.request).filter(asks);
        let mut asker = askers.next().filter(|_| askers.next().is_none())?;
        asker.guards.splice(0..0, self.guards);
        asker.pinned |= self.pinned;
        Some(asker)
    }

    fn go_on(self, earlier: Earlier, paused: PausedTurn) -> Step {
        let replies = self.replies.clone();
        let said: Vec<String> = replies.iter().map(said_by).collect();
        let said = said.join("\n");
        let opinion = Opinion::of(&self.guards, &said, &earlier.known, false);
        let PausedTurn { messages, results, questions, broken_off, .. } = paused;
        let mut turn = Turn::new(self, earlier, messages);
        let answered = |question: &&Question| replies.iter().any(|reply| reply.id == question.id);
        // Of a turn that went on and broke off, the same answers are taken again.
        let answered_before = broken_off.map(|broken_off| broken_off.answered).unwrap_or_default();
        turn.resumed_by = Some(questions.iter().chain(&answered_before).filter(answered).cloned().collect());
        let calls = turn.request.messages.last().map(|last| last.tool_uses().cloned().collect());
        let calls: Vec<ToolUse> = calls.unwrap_or_default();
        if let Some(answer) = turn.heed(opinion) {
            let mut content = one_result_each(&calls, results, |_| NOT_PASSED_ON.to_owned());
            content.push(ContentBlock::Text(said));
            turn.push(Message { role: Role::User, content });
            return turn.answered_by_guard(answer);
        }
        let waiting = questions.into_iter().filter(|question| !answered(&question)).collect();
        Step::CallTools(ToolRound { turn, calls, known: results, waiting, replies })
    }
}

/// What a person answered, in words.
fn said_by(reply: &Reply) -> String {
    reply.reply.as_str().map_or_else(|| reply.reply.to_string(), str::to_owned)
}

/// The end of a turn that never began.
fn nothing_done(error: TurnError) -> Step {
    Step::Done(TurnOutcome {
        result: Err(error),
        keepsake: None,
        usage: Usage::default(),
        safety: Safety::default(),
        tools: ToolCounts::default(),
    })
}

// === impl ModelCall ===

impl ModelCall {
    /// What to ask.
    pub fn request(&self) -> &ModelRequest {
        &self.0.request
    }

    /// About how many tokens the model would read, on the high side.
    pub fn estimated_tokens(&self) -> usize {
        self.0.estimated_tokens
    }

    /// Whether the caller hears this answer as it is written. Who is to answer, and what guards make of the message, is
    /// settled in silence.
    pub fn is_heard(&self) -> bool {
        self.0.aside.is_none()
    }

    /// How long its answer is waited for, where the turn goes on without it: see [`Self::given_up`].
    pub fn patience(&self) -> Option<Duration> {
        matches!(self.0.aside, Some(Aside::Doubting(_))).then_some(SECOND_OPINION_TIME)
    }

    /// How long its answer may be given again, where it may.
    pub fn reusable(&self) -> Option<Duration> {
        self.0.reusable_for
    }

    /// What looks at the answer before it leaves.
    pub fn outgoing(&self) -> Outgoing {
        Outgoing::new(if self.is_heard() { &self.0.guards } else { &[] }, self.0.safety.clone())
    }

    /// Takes down what the guards found in the answer that is about to be told.
    #[must_use]
    pub fn reviewed(mut self, safety: Safety) -> Self {
        self.0.safety.merge(safety);
        self
    }

    /// The model answered and said why it stopped. All of Converse's reasons are decided here.
    pub fn answered(self, answer: ModelAnswer) -> Step {
        let Self(mut turn) = self;
        turn.usage += answer.usage;
        match turn.aside.take() {
            Some(Aside::Choosing(choosing)) => {
                return turn.go_to(*choosing, |routes| route::chosen(routes, &answer));
            }
            Some(Aside::Doubting(doubting)) => {
                let told = doubting.doubt.told(&answer).cloned();
                return turn.go_on_after(*doubting, told.as_ref());
            }
            None => {}
        }
        let ModelAnswer { message, stop_reason, guardrail, .. } = answer;
        let only_masked = guardrail.as_ref().is_some_and(GuardrailTrace::only_masks);
        turn.note(guardrail);
        match stop_reason {
            StopReason::GuardrailIntervened if !only_masked => turn.finish_withheld(message),
            StopReason::ContentFiltered => turn.finish(message, StopReason::ContentFiltered),
            reason if turn.output.is_some() => turn.check_output(message, &reason),
            StopReason::ToolUse if turn.can_call_tools(&message) => turn.ask_for_tools(message),
            // The model says it wants tools and names none, or has none: what it said is its answer.
            StopReason::ToolUse => turn.finish(message, StopReason::EndTurn),
            // Whatever was cut off, a tool call in it has no end: only the text counts.
            other => turn.finish(message, other),
        }
    }

    /// A guard has put its own words in the place of the answer's rest; `answer` is what was told.
    pub fn replaced(self, answer: ModelAnswer) -> Step {
        let Self(mut turn) = self;
        turn.usage += answer.usage;
        turn.note(answer.guardrail);
        turn.finish(answer.message, StopReason::GuardrailIntervened)
    }

    /// The model failed; `so_far` is what it had written, if anything. A conversation that is too long
    /// is made shorter.
    pub fn failed(self, error: ModelError, so_far: Option<Message>) -> Step {
        let Self(mut turn) = self;
        let nothing_said = so_far.as_ref().is_none_or(|message| message.content.is_empty());
        let may_have_cost = matches!(error, ModelError::BrokenStream { .. } | ModelError::Silent { .. });
        if may_have_cost || !nothing_said {
            turn.usage += Usage::UNKNOWN;
        }
        match turn.aside.take() {
            Some(Aside::Choosing(choosing)) => return turn.go_to(*choosing, |_| 0),
            Some(Aside::Doubting(doubting)) => return turn.go_on_after(*doubting, None),
            None => {}
        }
        if matches!(error, ModelError::ContextTooLong { .. }) && nothing_said && turn.shrink() {
            return Step::CallModel(Self(turn));
        }
        turn.end_without_answer(TurnError::Model(error), so_far)
    }

    /// The time is over; `so_far` is what had been written, and the answer if it is anything. What the call costs is
    /// not known.
    pub fn out_of_time(mut self, so_far: Option<Message>) -> Step {
        if self.has_an_answer() {
            return self.given_up();
        }
        self.0.usage += Usage::UNKNOWN;
        let said = so_far.map(text_only).filter(|message| !message.content.is_empty());
        match said {
            Some(message) if self.is_heard() && self.0.output.is_none() => {
                self.0.finish(message, StopReason::DeadlineExceeded)
            }
            _ => self.0.end_without_answer(TurnError::OutOfTime, None),
        }
    }

    /// Whether a second opinion is asked about what the guards would answer by themselves. That needs no time, and the
    /// session is to know of it, whoever has gone meanwhile.
    fn has_an_answer(&self) -> bool {
        matches!(&self.0.aside, Some(Aside::Doubting(doubting)) if doubting.opinion.answer.is_some())
    }

    /// Whether an answer can be used, where it is a second opinion.
    pub(crate) fn understands(&self, answer: &ModelAnswer) -> bool {
        match &self.0.aside {
            Some(Aside::Doubting(doubting)) => doubting.doubt.told(answer).is_some(),
            _ => true,
        }
    }

    /// Nobody waits for the answer any longer; the turn goes on without it, where it can. What the call costs is not
    /// known.
    pub fn given_up(self) -> Step {
        let Self(mut turn) = self;
        match turn.aside.take() {
            Some(Aside::Doubting(doubting)) => {
                turn.usage += Usage::UNKNOWN;
                turn.go_on_after(*doubting, None)
            }
            aside => Self(Turn { aside, ..turn }).out_of_time(None),
        }
    }

    /// The caller went away or the process ends; `so_far` is what had been written, if anything.
    pub fn cut(mut self, so_far: Option<Message>) -> Step {
        if self.has_an_answer() {
            return self.given_up();
        }
        self.0.usage += Usage::UNKNOWN;
        let so_far = so_far.filter(|_| self.is_heard());
        self.0.end_without_answer(TurnError::Cut, so_far)
    }
}

// === impl ToolRound ===

impl ToolRound {
    /// The calls to make, each with its tool and what a person answered to it. They may run at the same
    /// time. Calls of tools that do not exist are not among them: the machine answers those itself.
    pub fn calls(&self) -> impl Iterator<Item = (&ToolUse, &Arc<dyn Tool>, Option<&Value>)> {
        self.calls.iter().filter(|call| !self.is_settled(&call.tool_use_id)).filter_map(|call| {
            let reply = self.replies.iter().find(|reply| reply.id == call.tool_use_id);
            Some((call, self.turn.tools.get(&call.name)?, reply.map(|reply| &reply.reply)))
        })
    }

    /// What an operator has set over what agents ask for.
    pub(crate) fn overruling(&self) -> Overruling {
        self.turn.overruling
    }

    /// Takes down what the calls spent, and what guards found in the course of them.
    #[must_use]
    pub(crate) fn accounted(mut self, usage: Usage, safety: Safety) -> Self {
        self.turn.usage += usage;
        // Whatever was done about it was done to a tool's words, not to the caller's.
        self.turn.safety.raise_all(safety.flags, SafetyAction::None);
        self
    }

    /// The tools answered, in any order. The model reads one result a call, in the order it asked; where a
    /// tool asks a person, the turn ends with the question.
    pub fn returned(mut self, outcomes: Vec<CallOutcome>) -> Step {
        self.take_in(outcomes);
        let Self { mut turn, calls, known, waiting, .. } = self;
        if !waiting.is_empty() {
            return turn.pause(&calls, known, waiting);
        }
        turn.counts.unknown += count(calls.iter().filter(|call| turn.tools.get(&call.name).is_none()));
        let content = one_result_each(&calls, known, |call| turn.why_no_result(call));
        turn.push(Message { role: Role::User, content });
        if turn.rounds_left == 0 {
            turn.insist_on_output();
        }
        Step::CallModel(ModelCall(turn))
    }

    /// The time is over. Results that have come are not lost to the session.
    pub fn out_of_time(self, outcomes: Vec<CallOutcome>) -> Step {
        self.end(TurnError::OutOfTime, outcomes)
    }

    /// The caller went away or the process ends. Results that have come are not lost to the session.
    pub fn cut(self, outcomes: Vec<CallOutcome>) -> Step {
        self.end(TurnError::Cut, outcomes)
    }

    fn end(mut self, error: TurnError, outcomes: Vec<CallOutcome>) -> Step {
        self.take_in(outcomes);
        let Self { mut turn, known, waiting, .. } = self;
        if turn.resumed_by.is_some() {
            return turn.break_off(error, known, waiting, None);
        }
        let content = known.into_iter().map(ContentBlock::ToolResult).collect();
        turn.push(Message { role: Role::User, content });
        turn.end_without_answer(error, None)
    }

    fn is_settled(&self, id: &str) -> bool {
        self.known.iter().any(|result| result.tool_use_id == id)
            || self.waiting.iter().any(|question| question.id == id)
    }

    fn take_in(&mut self, outcomes: Vec<CallOutcome>) {
        for CallOutcome { tool_use_id, result } in outcomes {
            if self.is_settled(&tool_use_id) || !self.calls.iter().any(|call| call.tool_use_id == tool_use_id) {
                continue;
            }
            match result {
                Ok(output) => self.known.push(Turn::worked(tool_use_id, output)),
                Err(CallFailure::Tool(ToolFailure::Ask(question))) => {
                    self.waiting.push(Question { id: tool_use_id, ..*question });
                }
                Err(failure) => self.known.push(self.turn.did_not_work(tool_use_id, &failure)),
            }
        }
    }
}

// === impl Turn ===

impl Turn {
    fn new(request: TurnRequest, earlier: Earlier, messages: Vec<Message>) -> Self {
        let mut specs = request.tools.specs().to_vec();
        specs.extend(gone_tools(&specs, &messages));
        let output = request.output.map(|contract| contract.beside(&specs));
        let mut tool_choice = ToolChoice::Auto;
        if let Some(contract) = &output {
            let is_alone = request.tools.specs().is_empty() || request.tool_rounds == 0;
            tool_choice = if is_alone { ToolChoice::Tool(contract.spec.name.clone()) } else { ToolChoice::Any };
            specs.push(contract.spec.clone());
        }
        let system = request.system_from.map_or(request.system, |compose| compose(&earlier.known));
        let stays = earlier.sent.iter().map(|sent| sent.stays).collect();
        let history = earlier.turns_sent();
        // Converse refuses tool calls in a conversation that has no tools.
        let history = if specs.is_empty() { history.iter().map(without_tools).collect() } else { history };
        let asked = ModelRequest {
            system,
            history,
            messages,
            parameters: request.parameters,
            tools: specs.into(),
            tool_choice,
            size: request.size,
        };
        Self {
            estimated_tokens: asked.estimated_tokens(),
            request: asked,
            tools: request.tools,
            guards: request.guards,
            output: output.map(|contract| Returning { contract, attempts_left: OUTPUT_ATTEMPTS, tried_from: None }),
            aside: None,
            route: request.route,
            rounds_left: request.tool_rounds,
            shrinking: Shrinking::new(stays),
            pinned: request.pinned,
            overruling: request.overruling,
            reusable_for: request.reusable_for,
            resumed_by: None,
            usage: Usage::default(),
            safety: Safety::default(),
            counts: ToolCounts::default(),
            redactions: Vec::new(),
        }
    }

    /// Does what the guards want done; their answer, if they have one.
    fn heed(&mut self, Opinion { safety, instructions, answer, keeps, .. }: Opinion) -> Option<String> {
        self.safety.merge(safety);
        self.pinned |= keeps;
        for instruction in instructions {
            self.request.system.push_str("\n\n");
            self.request.system.push_str(&instruction);
        }
        self.estimated_tokens = self.request.estimated_tokens();
        answer
    }

    /// Goes on by what the guards make of the message, or first has a model asked what one of them would know.
    fn settle(mut self, mut opinion: Opinion, said: String, known: Vec<Arc<CompleteTurn>>) -> Step {
        let Some(doubt) = opinion.doubt.take() else {
            return self.go_on_by(opinion);
        };
        let request = std::mem::replace(&mut self.request, doubt.question());
        self.estimated_tokens = self.request.estimated_tokens();
        self.aside = Some(Aside::Doubting(Box::new(Doubting { doubt, opinion, said, known, request })));
        Step::CallModel(ModelCall(self))
    }

    /// Goes on by what the guards make of the message when they know what the model said of it, if it did.
    fn go_on_after(mut self, doubting: Doubting, told: Option<&Value>) -> Step {
        let Doubting { doubt, opinion, said, known, request } = doubting;
        self.request = request;
        let again = told.map(|told| Opinion::after(&doubt, told, &said, &known));
        self.go_on_by(again.unwrap_or(opinion))
    }

    fn go_on_by(mut self, opinion: Opinion) -> Step {
        match self.heed(opinion) {
            Some(answer) => self.answered_by_guard(answer),
            None => Step::CallModel(ModelCall(self)),
        }
    }

    fn answered_by_guard(self, text: String) -> Step {
        self.finish(Message::assistant(text), StopReason::EndTurn)
    }

    /// Takes down what Bedrock's own guardrail found.
    fn note(&mut self, guardrail: Option<GuardrailTrace>) {
        let Some(GuardrailTrace { flags, redactions }) = guardrail else {
            return;
        };
        for flag in flags {
            self.safety.raise(flag, SafetyAction::None);
        }
        self.redactions.extend(redactions);
    }

    fn shrink(&mut self) -> bool {
        let shrunk = self.shrinking.shrink(&mut self.request);
        self.estimated_tokens = self.request.estimated_tokens();
        shrunk
    }

    fn push(&mut self, message: Message) {
        self.estimated_tokens += estimate_message(&message);
        self.request.messages.push(message);
    }
}

/// Choosing who answers.
impl Turn {
    /// Has the model choose who answers, unless the guards of those who may leave it no choice.
    fn choose(mut self, routes: Vec<Route>, content: Vec<ContentBlock>, earlier: Earlier) -> Step {
        let said = words(&content);
        let may_doubt = self.overruling.second_opinions;
        let opinions = routes.iter().map(|route| Opinion::of(&route.request.guards, &said, &earlier.known, may_doubt));
        let opinions: Vec<Opinion> = opinions.collect();
        if let Some(place) = Opinion::settles(&opinions) {
            return match self.heed_one(opinions, place) {
                Some(answer) => self.answered_by_guard(answer),
                None => Step::CallModel(ModelCall(self)),
            };
        }
        let question = route::question(&routes, &content, &self.request.history);
        let instructions = std::mem::replace(&mut self.request, question).system;
        self.estimated_tokens = self.request.estimated_tokens();
        let choosing = Choosing { routes, opinions, content, earlier, instructions };
        self.aside = Some(Aside::Choosing(Box::new(choosing)));
        Step::CallModel(ModelCall(self))
    }

    /// Does what the guards of one of several agents want done, and takes down what those of the others found; the
    /// answer of the one's, if they have one.
    fn heed_one(&mut self, opinions: Vec<Opinion>, place: usize) -> Option<String> {
        let mut answer = None;
        for (at, opinion) in opinions.into_iter().enumerate() {
            if at == place {
                answer = self.heed(opinion);
            } else {
                self.safety.take_note(opinion.safety);
            }
        }
        answer
    }

    /// Goes on as the agent whose route is `chosen`, by its own prompt, tools and guards beside those of
    /// the request that chose.
    fn go_to(self, choosing: Choosing, chosen: impl Fn(&[Route]) -> usize) -> Step {
        let Choosing { mut routes, mut opinions, content, earlier, instructions } = choosing;
        let place = chosen(&routes);
        let (said, known) = (words(&content), earlier.known.clone());
        let mut request = routes.swap_remove(place).request;
        request.guards.splice(0..0, self.guards);
        request.pinned |= self.pinned;
        let mut turn = Self::new(request, earlier, vec![Message { role: Role::User, content }]);
        if !instructions.is_empty() {
            turn.request.system = format!("{}\n\n{}", turn.request.system, instructions.trim_start());
        }
        (turn.usage, turn.safety) = (self.usage, self.safety);
        let opinion = std::mem::take(&mut opinions[place]);
        for of_another in opinions {
            turn.safety.take_note(of_another.safety);
        }
        turn.settle(opinion, said, known)
    }
}

/// Tools.
impl Turn {
    /// Converse refuses calls in a conversation without tools, so those are never kept.
    fn can_call_tools(&self, message: &Message) -> bool {
        !self.request.tools.is_empty() && message.tool_uses().next().is_some()
    }

    fn ask_for_tools(mut self, message: Message) -> Step {
        let message = sendable(message);
        let Some(rounds_left) = self.rounds_left.checked_sub(1) else {
            return self.finish(message, StopReason::ToolRoundsExceeded);
        };
        self.rounds_left = rounds_left;
        self.forget_attempts();
        let calls: Vec<ToolUse> = message.tool_uses().cloned().collect();
        self.counts.calls += count(calls.iter());
        self.push(with_object_inputs(message));
        Step::CallTools(ToolRound { turn: self, calls, known: Vec::new(), waiting: Vec::new(), replies: Vec::new() })
    }

    fn worked(tool_use_id: String, output: ToolOutput) -> ToolResult {
        let result = ToolResult { tool_use_id, content: output.content, status: ToolResultStatus::Success };
        acceptable(result, NOTHING_TO_SHOW)
    }

    fn did_not_work(&mut self, tool_use_id: String, failure: &CallFailure) -> ToolResult {
        let counts = &mut self.counts;
        let (counter, reason) = match failure {
            CallFailure::Tool(failure @ ToolFailure::InvalidInput(_)) => (&mut counts.invalid, failure.to_string()),
            CallFailure::Tool(failure) => (&mut counts.failed, failure.to_string()),
            CallFailure::TimedOut(bound) => {
                (&mut counts.timed_out, format!("The tool gave no result within {} s.", bound.as_secs_f32()))
            }
            CallFailure::Panicked => (&mut counts.panicked, "The tool failed unexpectedly.".to_owned()),
        };
        *counter += 1;
        let reason = if reason.trim().is_empty() { "The tool failed and does not say why.".to_owned() } else { reason };
        ToolResult::error(tool_use_id, reason)
    }

    fn why_no_result(&self, call: &ToolUse) -> String {
        if self.tools.get(&call.name).is_some() {
            return format!("The tool {} gave no result.", call.name);
        }
        let names: Vec<&str> = self.tools.specs().iter().map(|tool| tool.name.as_str()).collect();
        format!("There is no tool {}. The tools are: {}.", call.name, names.join(", "))
    }

    /// Ends with questions to a person, in the order of the calls. All else of the turn waits with them.
    fn pause(mut self, calls: &[ToolUse], results: Vec<ToolResult>, mut questions: Vec<Question>) -> Step {
        let place = |question: &Question| calls.iter().position(|call| call.tool_use_id == question.id);
        questions.sort_by_key(place);
        let messages = self.without_redacted_words();
        let said = messages.last().cloned().map(text_only);
        let answer = Answer {
            message: said.unwrap_or(Message { role: Role::Assistant, content: Vec::new() }),
            stop_reason: StopReason::Interrupted,
            output: None,
            questions: questions.clone(),
        };
        let (route, broken_off) = (self.route.clone(), None);
        let paused = PausedTurn { messages, results, questions, broken_off, route };
        self.done(Ok(answer), Some(TurnKept::Paused(paused)))
    }
}

/// An answer that must be a type.
impl Turn {
    fn check_output(mut self, message: Message, stop_reason: &StopReason) -> Step {
        let Some(Returning { contract, .. }) = &self.output else {
            return self.finish(message, stop_reason.clone());
        };
        let name = contract.spec.name.clone();
        let calls_tools = *stop_reason == StopReason::ToolUse && message.tool_uses().next().is_some();
        let given = message.tool_uses().find(|call| calls_tools && call.name == name);
        let given = given.map(|call| contract.take(&call.input, &self.guards, &self.safety));
        let reason = match given {
            Some(Given::Output(output, found)) => {
                self.safety.merge(found);
                return self.finish_with_output(output);
            }
            Some(Given::Withheld(instead, found)) => {
                self.safety.merge(found);
                return self.finish(Message::assistant(instead), StopReason::GuardrailIntervened);
            }
            Some(Given::Misfit(reason)) => reason,
            None if calls_tools && self.rounds_left > 0 => return self.ask_for_tools(message),
            None if calls_tools => {
                format!("No other tool may be called any more. Call the tool {name} to give the answer.")
            }
            None if *stop_reason == StopReason::MaxTokens => {
                format!("The answer was cut at its longest. Call the tool {name} with a shorter one.")
            }
            None => format!("Call the tool {name} to give the answer."),
        };
        self.try_again(message, reason)
    }

    fn try_again(mut self, message: Message, reason: String) -> Step {
        let so_far = self.request.messages.len();
        if let Some(returning) = &mut self.output {
            returning.attempts_left -= 1;
            returning.tried_from.get_or_insert(so_far);
            if returning.attempts_left == 0 {
                return self.end_without_answer(TurnError::NotTheType { reason }, None);
            }
        }
        self.ask_again(message, &reason)
    }

    /// From here on the model may only give what must be returned, where something must.
    fn insist_on_output(&mut self) {
        if let Some(Returning { contract, .. }) = &self.output {
            self.request.tool_choice = ToolChoice::Tool(contract.spec.name.clone());
        }
    }

    fn ask_again(mut self, message: Message, reason: &str) -> Step {
        let message = with_object_inputs(sendable(message));
        let calls: Vec<ToolUse> = message.tool_uses().cloned().collect();
        // An attempt without a word leaves nothing to answer: the same question stands.
        if !message.content.is_empty() {
            self.push(message);
            let content = match calls[..] {
                [] => vec![ContentBlock::Text(reason.to_owned())],
                _ => one_result_each(&calls, Vec::new(), |_| reason.to_owned()),
            };
            self.push(Message { role: Role::User, content });
        }
        Step::CallModel(ModelCall(self))
    }

    fn finish_with_output(mut self, output: Value) -> Step {
        self.forget_attempts();
        let message = Message::assistant(output.to_string());
        self.push(message.clone());
        let kept = remembered(self.without_redacted_words());
        let answer = Answer { message, stop_reason: StopReason::EndTurn, output: Some(output), questions: Vec::new() };
        self.done(Ok(answer), kept.map(TurnKept::Whole))
    }

    /// What did not fit is nothing to build on: neither the session nor a later question has it.
    fn forget_attempts(&mut self) {
        if let Some(place) = self.output.as_mut().and_then(|returning| returning.tried_from.take()) {
            self.request.messages.truncate(place);
            self.estimated_tokens = self.request.estimated_tokens();
        }
    }
}

/// The end.
impl Turn {
    fn finish(mut self, message: Message, stop_reason: StopReason) -> Step {
        let message = text_only(message);
        // A filter that takes all words away has answered, and the bound of rounds is an answer by itself; anything else
        // owes the caller a word.
        let may_be_empty = matches!(stop_reason, StopReason::ContentFiltered | StopReason::ToolRoundsExceeded);
        if message.content.is_empty() && !may_be_empty {
            return self.end_without_answer(TurnError::EmptyAnswer { stop_reason }, None);
        }
        self.forget_attempts();
        self.push(message.clone());
        let kept = remembered(self.without_redacted_words());
        let answer = Answer { message, stop_reason, output: None, questions: Vec::new() };
        self.done(Ok(answer), kept.map(TurnKept::Whole))
    }

    /// A guardrail looks at the whole conversation each time, so what it stopped must not stay there.
    fn finish_withheld(mut self, message: Message) -> Step {
        self.request.messages.truncate(1);
        self.request.messages[0] = Message::user(WITHHELD);
        self.safety.action = self.safety.action.max(SafetyAction::Answered);
        self.finish(message, StopReason::GuardrailIntervened)
    }

    fn end_without_answer(mut self, error: TurnError, so_far: Option<Message>) -> Step {
        if let Some(aside) = self.aside.take() {
            if let Aside::Doubting(doubting) = aside {
                self.safety.take_note(doubting.opinion.safety);
            }
            return self.done(Err(error), None);
        }
        self.forget_attempts();
        if self.resumed_by.is_some() {
            let results = self.request.messages.pop_if(|last| last.role == Role::User);
            let results = results.iter().flat_map(Message::tool_results).cloned().collect();
            return self.break_off(error, results, Vec::new(), so_far.map(text_only));
        }
        self.request.messages.extend(so_far.map(text_only));
        let messages = self.without_redacted_words();
        let anything_said =
            messages.iter().any(|message| message.role == Role::Assistant && !message.content.is_empty());
        let kept = if anything_said { remembered(messages) } else { None };
        self.done(Err(error), kept.map(TurnKept::Whole))
    }

    /// A turn that went on by a person's answers ends without its own. It waits for the same answers once more, and
    /// what its tools have done is not done again.
    fn break_off(
        mut self,
        error: TurnError,
        results: Vec<ToolResult>,
        questions: Vec<Question>,
        said: Option<Message>,
    ) -> Step {
        let messages = self.without_redacted_words();
        let answered = self.resumed_by.clone().unwrap_or_default();
        let said = said.filter(|message| !message.content.is_empty());
        let broken_off = Some(BrokenOff { answered, said });
        let paused = PausedTurn { messages, results, questions, broken_off, route: self.route.clone() };
        self.done(Err(error), Some(TurnKept::Paused(paused)))
    }

    /// The turn's messages without words that a guardrail wants stored nowhere.
    fn without_redacted_words(&mut self) -> Vec<Message> {
        let mut messages = std::mem::take(&mut self.request.messages);
        let said = messages.iter_mut().filter(|message| message.role == Role::User);
        for block in said.flat_map(|message| &mut message.content) {
            if let ContentBlock::Text(text) = block {
                for (words, instead) in self.redactions.iter().filter(|(words, _)| !words.is_empty()) {
                    *text = text.replace(words, instead);
                }
            }
        }
        messages
    }

    fn done(self, result: Result<Answer, TurnError>, kept: Option<TurnKept>) -> Step {
        // What was said in a crisis is what the rest of the session is about.
        let pinned = self.pinned || self.safety.severity == Severity::Crisis;
        let resumed = self.resumed_by.is_some();
        Step::Done(TurnOutcome {
            result,
            keepsake: kept.map(|turn| Keepsake { turn, pinned, resumed }),
            usage: self.usage,
            safety: self.safety,
            tools: self.counts,
        })
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Turn").field("messages", &self.request.messages.len()).finish_non_exhaustive()
    }
}

/// Tools that a resumed turn has called and the agent no longer has: Converse refuses calls in a conversation
/// without tools, and the model is told that they are gone.
fn gone_tools(specs: &[ToolSpec], messages: &[Message]) -> Vec<ToolSpec> {
    let called = messages.iter().flat_map(Message::tool_uses);
    let mut gone: Vec<ToolSpec> = Vec::new();
    for call in called {
        if !specs.iter().chain(&gone).any(|spec| spec.name == call.name) {
            let description = "No longer there; do not call it.".to_owned();
            gone.push(ToolSpec { name: call.name.clone(), description, input_schema: json!({ "type": "object" }) });
        }
    }
    gone
}

/// One turn's messages as the session keeps them: repair makes one complete turn of them.
fn remembered(messages: Vec<Message>) -> Option<CompleteTurn> {
    complete(messages).into_iter().next()
}

fn text_only(mut message: Message) -> Message {
    message.content.retain(|block| matches!(block, ContentBlock::Text(_)) && !block.is_blank());
    message
}

fn count(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
