//! A turn, told as AG-UI tells a run: a machine without IO that is given what happens and says which events that is.
//!
//! Whatever happens, what was begun is ended: a message and a call before anything else begins and before the run ends.
//! A message of the model's that calls tools in the midst of its words is several of AG-UI's.
//!
//! The steps of a run are those of a turn: `model` while it writes, `tools` while its tools work. The state that agent and
//! client share is the client's, but for `safety`, which is what the guards found last: where that has changed, the client
//! is given all of its state with it, so that an app can show help while it is needed and take it away.
//!
//! Calls of the client's tools are told with their arguments. Of the agent's own it is told that they are called, and
//! that they have answered, but not what: as over HTTP that is between the two, and no guard has read it. AG-UI takes a
//! call without a result as one that the client has to answer, so each of these has one, in words of ours.

use std::collections::BTreeMap;

use agentcore_core::drive::TurnEvent;
use agentcore_core::guard::Safety;
use agentcore_core::message::StopReason;
use agentcore_core::model::{BlockDelta, BlockStart, ModelEvent};
use agentcore_core::tool::Question;
use serde_json::{Map, Value, json};

use super::client_tool::ClientTools;
use super::event::{Event, Interrupt, Outcome, PROTOCOL_VERSION, Step};
use super::input::Run;
use crate::failure::Failure;
use crate::invocation::Answered;

/// The result of a call that the model has the answer to.
const ANSWERED: &str = "The agent has the answer.";

/// The result of a call that never came to anything.
const NOT_CALLED: &str = "The tool was not called.";

/// The member of the state that is ours.
pub(super) const SAFETY: &str = "safety";

/// A run's telling, as far as it has come.
#[derive(Debug)]
pub(super) struct Narration {
    thread: String,
    run: String,
    /// The request's id, for who asks an operator about a failure.
    request: String,
    tools: ClientTools,
    /// What the client says of its state.
    state: Value,
    step: Option<Step>,
    /// How many messages there were.
    messages: usize,
    /// Whether there were words in the model's last answer.
    has_spoken: bool,
    /// The message that is being told.
    message: Option<String>,
    /// The message that calls of the model's answer belong to.
    parent: Option<String>,
    /// The calls that are being told, by their place in the model's answer.
    calls: BTreeMap<usize, Call>,
    /// Calls without a result, in their order.
    unanswered: Vec<String>,
}

#[derive(Debug)]
struct Call {
    id: String,
    is_clients: bool,
}

/// The id of the message that has a result of ours. Clients send it back with the others, and it answers nothing.
pub(super) fn answered_id(tool_call_id: &str) -> String {
    format!("answered-{tool_call_id}")
}

// === impl Narration ===

impl Narration {
    pub(super) fn of(run: &Run, request_id: &str) -> Self {
        Self {
            thread: run.thread.clone(),
            run: run.id.clone(),
            request: request_id.to_owned(),
            tools: run.tools.clone(),
            state: run.state.clone(),
            step: None,
            messages: 0,
            has_spoken: false,
            message: None,
            parent: None,
            calls: BTreeMap::new(),
            // Told by the run before.
            unanswered: run.resumed.clone(),
        }
    }

    pub(super) fn begin(&self) -> Event {
        let (thread_id, run_id) = (self.thread.clone(), self.run.clone());
        Event::RunStarted { thread_id, run_id, protocol_version: PROTOCOL_VERSION }
    }

    /// What there is to tell of an event of the turn.
    pub(super) fn take(&mut self, event: TurnEvent) -> Vec<Event> {
        let mut told = Vec::new();
        match event {
            TurnEvent::Progress(progress) => told.push(Event::Custom { name: "tool_progress", value: progress }),
            TurnEvent::Model(event) => self.take_models(event, &mut told),
        }
        told
    }

    /// The end of a run.
    pub(super) fn end(&mut self, ended: Result<Answered, Failure>) -> Vec<Event> {
        let mut told = Vec::new();
        self.end_message(&mut told);
        let last = match ended {
            Ok(answered) => self.finish(answered, &mut told),
            Err(failure) => Event::failed(failure, &self.request),
        };
        self.enter(None, &mut told);
        told.push(last);
        told
    }

    /// Goes on to the next step, or to the end of the steps.
    fn enter(&mut self, step: Option<Step>, told: &mut Vec<Event>) {
        told.extend(self.step.take().map(|step_name| Event::StepFinished { step_name }));
        told.extend(step.map(|step_name| Event::StepStarted { step_name }));
        self.step = step;
    }

    fn take_models(&mut self, event: ModelEvent, told: &mut Vec<Event>) {
        match event {
            ModelEvent::MessageStart { .. } => {
                self.end_message(told);
                self.has_spoken = false;
                // The model reads on: it has what it asked for.
                told.extend(self.unanswered.drain(..).map(|id| result(id, ANSWERED)));
                self.enter(Some(Step::Model), told);
            }
            ModelEvent::ContentBlockStart { content_block_index, start } => {
                let BlockStart::ToolUse { tool_use_id, name } = start;
                self.begin_call(content_block_index, tool_use_id, name, told);
            }
            ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(delta), .. } => self.speak(delta, told),
            ModelEvent::ContentBlockDelta { content_block_index, delta: BlockDelta::ToolUse { input } } => {
                if let Some(Call { id, is_clients: true }) = self.calls.get(&content_block_index) {
                    told.push(Event::ToolCallArgs { tool_call_id: id.clone(), delta: input });
                }
            }
            ModelEvent::ContentBlockStop { content_block_index } => {
                if let Some(call) = self.calls.remove(&content_block_index) {
                    told.push(Event::ToolCallEnd { tool_call_id: call.id });
                }
            }
            ModelEvent::MessageStop { stop_reason } => {
                self.end_message(told);
                self.enter((stop_reason == StopReason::ToolUse).then_some(Step::Tools), told);
            }
            ModelEvent::Metadata { .. } => {}
        }
    }

    fn speak(&mut self, delta: String, told: &mut Vec<Event>) {
        self.end_calls(told);
        self.has_spoken = true;
        let message_id = self.message.clone().unwrap_or_else(|| {
            let message_id = self.new_message();
            told.push(Event::TextMessageStart { message_id: message_id.clone(), role: "assistant" });
            self.message = Some(message_id.clone());
            message_id
        });
        told.push(Event::TextMessageContent { message_id, delta });
    }

    fn begin_call(&mut self, place: usize, id: String, name: String, told: &mut Vec<Event>) {
        self.end_words(told);
        self.end_calls(told);
        let parent_message_id = self.parent.clone().unwrap_or_else(|| self.new_message());
        self.calls.insert(place, Call { id: id.clone(), is_clients: self.tools.has(&name) });
        self.unanswered.push(id.clone());
        told.push(Event::ToolCallStart { tool_call_id: id, tool_call_name: name, parent_message_id });
    }

    /// The id of one more message, which calls belong to from now on.
    fn new_message(&mut self) -> String {
        self.messages += 1;
        let id = format!("{}-{}", self.run, self.messages);
        self.parent = Some(id.clone());
        id
    }

    fn end_message(&mut self, told: &mut Vec<Event>) {
        self.end_words(told);
        self.end_calls(told);
        self.parent = None;
    }

    fn end_words(&mut self, told: &mut Vec<Event>) {
        told.extend(self.message.take().map(|message_id| Event::TextMessageEnd { message_id }));
    }

    fn end_calls(&mut self, told: &mut Vec<Event>) {
        let calls = std::mem::take(&mut self.calls).into_values();
        told.extend(calls.map(|call| Event::ToolCallEnd { tool_call_id: call.id }));
    }

    fn finish(&mut self, answered: Answered, told: &mut Vec<Event>) -> Event {
        let Answered { message, session_id, stop_reason, usage, safety, output, questions } = answered;
        // An answer that is a type's was given as a call, and not in words.
        let words = message.text();
        if !self.has_spoken && questions.is_empty() && !words.is_empty() {
            self.speak(words, told);
            self.end_message(told);
        }
        let came_to_something = output.is_some() || !questions.is_empty();
        let said = if came_to_something { ANSWERED } else { NOT_CALLED };
        let is_asked = |id: &String| questions.iter().any(|question| question.id == *id);
        told.extend(self.unanswered.drain(..).filter(|id| !is_asked(id)).map(|id| result(id, said)));
        told.extend(self.state_with(&safety).map(|snapshot| Event::StateSnapshot { snapshot }));
        let mut result = json!({
            "session_id": session_id, "stop_reason": stop_reason, "usage": usage, "safety": safety,
        });
        if let Some(output) = output {
            result["output"] = output;
        }
        let outcome = self.outcome(questions);
        let (thread_id, run_id) = (self.thread.clone(), self.run.clone());
        Event::RunFinished { thread_id, run_id, outcome, result, usage: [usage.into()] }
    }

    /// The client's state with what the guards found, where the client does not know it. A state that is no object has no
    /// place for it.
    fn state_with(&mut self, safety: &Safety) -> Option<Value> {
        let known = match std::mem::take(&mut self.state) {
            Value::Null => Map::new(),
            Value::Object(members) => members,
            _ => return None,
        };
        let found = json!(safety);
        let is_known = match known.get(SAFETY) {
            Some(known) => *known == found,
            None => *safety == Safety::default(),
        };
        let with_it = || known.into_iter().chain([(SAFETY.to_owned(), found)]).collect();
        (!is_known).then(with_it)
    }

    /// A run that waits for a person is interrupted. One that waits for the client alone is a success, as AG-UI has it.
    fn outcome(&self, questions: Vec<Question>) -> Outcome {
        let (of_client, of_agent): (Vec<_>, Vec<_>) =
            questions.into_iter().partition(|question| self.tools.has(&question.tool));
        if of_agent.is_empty() {
            Outcome::Success { pending_tool_call_ids: of_client.into_iter().map(|question| question.id).collect() }
        } else {
            Outcome::Interrupt { interrupts: of_agent.into_iter().map(Interrupt::from).collect() }
        }
    }
}

fn result(tool_call_id: String, content: &'static str) -> Event {
    Event::ToolCallResult { message_id: answered_id(&tool_call_id), tool_call_id, content }
}

#[cfg(test)]
mod tests {
    use agentcore_core::guard::{Safety, SafetyAction, Severity};
    use agentcore_core::message::{Message, Role, StopReason, Usage};
    use agentcore_core::tool::ToolProgress;
    use agentcore_core::turn::TurnError;
    use serde_json::Value;

    use super::*;

    /// The telling of a run that offers `pick_colour`.
    fn narration(more: &Value) -> Narration {
        let tool = json!({ "name": "pick_colour", "description": "Picks one." });
        let mut input = json!({ "threadId": "thread", "runId": "run", "messages": [], "tools": [tool] });
        input.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        Narration::of(&Run::read(input.to_string().as_bytes()).expect("it makes sense"), "request")
    }

    fn begins() -> ModelEvent {
        ModelEvent::MessageStart { role: Role::Assistant }
    }

    fn says(words: &str) -> ModelEvent {
        ModelEvent::ContentBlockDelta { content_block_index: 0, delta: BlockDelta::Text(words.to_owned()) }
    }

    fn calls(place: usize, tool: &str) -> [ModelEvent; 3] {
        let start = BlockStart::ToolUse { tool_use_id: format!("call-{place}"), name: tool.to_owned() };
        let delta = BlockDelta::ToolUse { input: "{}".to_owned() };
        [
            ModelEvent::ContentBlockStart { content_block_index: place, start },
            ModelEvent::ContentBlockDelta { content_block_index: place, delta },
            ends(place),
        ]
    }

    fn ends(place: usize) -> ModelEvent {
        ModelEvent::ContentBlockStop { content_block_index: place }
    }

    fn stops(stop_reason: StopReason) -> ModelEvent {
        ModelEvent::MessageStop { stop_reason }
    }

    fn question(id: &str, tool: &str) -> Question {
        let question = "Which?".to_owned();
        Question { id: id.to_owned(), tool: tool.to_owned(), question, details: json!({ "choices": [1, 2] }) }
    }

    fn answered(words: &str, questions: Vec<Question>) -> Answered {
        let usage = Usage { input_tokens: 3, output_tokens: 4, cache_read_input_tokens: 5, ..Usage::default() };
        Answered {
            message: Message::assistant(words),
            session_id: "session".to_owned(),
            stop_reason: if questions.is_empty() { StopReason::EndTurn } else { StopReason::Interrupted },
            usage,
            safety: Safety::default(),
            output: None,
            questions,
        }
    }

    /// The whole telling, an event a line.
    fn told(
        mut narration: Narration,
        events: impl IntoIterator<Item = ModelEvent>,
        end: Result<Answered, Failure>,
    ) -> String {
        let mut told = vec![narration.begin()];
        told.extend(events.into_iter().flat_map(|event| narration.take(TurnEvent::Model(event))));
        told.extend(narration.end(end));
        let lines = told.iter().map(|event| serde_json::to_string(event).expect("JSON"));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_answer_is_one_message_in_its_pieces() {
        let events = [begins(), says("Good "), says("morning!"), ends(0), stops(StopReason::EndTurn)];
        insta::assert_snapshot!(told(narration(&json!({})), events, Ok(answered("Good morning!", Vec::new()))), @r#"
        {"type":"RUN_STARTED","threadId":"thread","runId":"run","protocolVersion":"1.0"}
        {"type":"STEP_STARTED","stepName":"model"}
        {"type":"TEXT_MESSAGE_START","messageId":"run-1","role":"assistant"}
        {"type":"TEXT_MESSAGE_CONTENT","messageId":"run-1","delta":"Good "}
        {"type":"TEXT_MESSAGE_CONTENT","messageId":"run-1","delta":"morning!"}
        {"type":"TEXT_MESSAGE_END","messageId":"run-1"}
        {"type":"STEP_FINISHED","stepName":"model"}
        {"type":"RUN_FINISHED","threadId":"thread","runId":"run","outcome":{"type":"success"},"result":{"session_id":"session","stop_reason":"end_turn","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":0,"cacheReadInputTokens":5,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}},"usage":[{"inputTokens":8,"outputTokens":4,"totalTokens":12,"cachedInputTokens":5,"cacheWriteInputTokens":0}]}
        "#);
    }

    #[test]
    fn an_agents_own_tool_is_called_and_has_answered_and_what_it_said_is_not_told() {
        let round = [begins(), says("Let me see."), ends(0)].into_iter().chain(calls(1, "look_up"));
        let last = [stops(StopReason::ToolUse), begins(), says("52 kcal"), ends(0), stops(StopReason::EndTurn)];
        let events = round.chain(last);
        insta::assert_snapshot!(told(narration(&json!({})), events, Ok(answered("52 kcal", Vec::new()))), @r#"
        {"type":"RUN_STARTED","threadId":"thread","runId":"run","protocolVersion":"1.0"}
        {"type":"STEP_STARTED","stepName":"model"}
        {"type":"TEXT_MESSAGE_START","messageId":"run-1","role":"assistant"}
        {"type":"TEXT_MESSAGE_CONTENT","messageId":"run-1","delta":"Let me see."}
        {"type":"TEXT_MESSAGE_END","messageId":"run-1"}
        {"type":"TOOL_CALL_START","toolCallId":"call-1","toolCallName":"look_up","parentMessageId":"run-1"}
        {"type":"TOOL_CALL_END","toolCallId":"call-1"}
        {"type":"STEP_FINISHED","stepName":"model"}
        {"type":"STEP_STARTED","stepName":"tools"}
        {"type":"TOOL_CALL_RESULT","messageId":"answered-call-1","toolCallId":"call-1","content":"The agent has the answer."}
        {"type":"STEP_FINISHED","stepName":"tools"}
        {"type":"STEP_STARTED","stepName":"model"}
        {"type":"TEXT_MESSAGE_START","messageId":"run-2","role":"assistant"}
        {"type":"TEXT_MESSAGE_CONTENT","messageId":"run-2","delta":"52 kcal"}
        {"type":"TEXT_MESSAGE_END","messageId":"run-2"}
        {"type":"STEP_FINISHED","stepName":"model"}
        {"type":"RUN_FINISHED","threadId":"thread","runId":"run","outcome":{"type":"success"},"result":{"session_id":"session","stop_reason":"end_turn","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":0,"cacheReadInputTokens":5,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}},"usage":[{"inputTokens":8,"outputTokens":4,"totalTokens":12,"cachedInputTokens":5,"cacheWriteInputTokens":0}]}
        "#);
    }

    #[test]
    fn a_clients_tool_is_told_with_its_arguments_and_waits_for_the_client() {
        let events = [begins()].into_iter().chain(calls(0, "pick_colour")).chain(calls(1, "look_up"));
        let events = events.chain([stops(StopReason::ToolUse)]);
        let end = answered("", vec![question("call-0", "pick_colour")]);
        insta::assert_snapshot!(told(narration(&json!({})), events, Ok(end)), @r#"
        {"type":"RUN_STARTED","threadId":"thread","runId":"run","protocolVersion":"1.0"}
        {"type":"STEP_STARTED","stepName":"model"}
        {"type":"TOOL_CALL_START","toolCallId":"call-0","toolCallName":"pick_colour","parentMessageId":"run-1"}
        {"type":"TOOL_CALL_ARGS","toolCallId":"call-0","delta":"{}"}
        {"type":"TOOL_CALL_END","toolCallId":"call-0"}
        {"type":"TOOL_CALL_START","toolCallId":"call-1","toolCallName":"look_up","parentMessageId":"run-1"}
        {"type":"TOOL_CALL_END","toolCallId":"call-1"}
        {"type":"STEP_FINISHED","stepName":"model"}
        {"type":"STEP_STARTED","stepName":"tools"}
        {"type":"TOOL_CALL_RESULT","messageId":"answered-call-1","toolCallId":"call-1","content":"The agent has the answer."}
        {"type":"STEP_FINISHED","stepName":"tools"}
        {"type":"RUN_FINISHED","threadId":"thread","runId":"run","outcome":{"type":"success","pendingToolCallIds":["call-0"]},"result":{"session_id":"session","stop_reason":"interrupted","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":0,"cacheReadInputTokens":5,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}},"usage":[{"inputTokens":8,"outputTokens":4,"totalTokens":12,"cachedInputTokens":5,"cacheWriteInputTokens":0}]}
        "#);
    }

    #[test]
    fn a_question_of_the_agents_interrupts_and_is_told_as_answered_when_the_model_reads_on() {
        let events = [begins()].into_iter().chain(calls(0, "delete_day")).chain([stops(StopReason::ToolUse)]);
        let end = answered("", vec![question("call-0", "delete_day")]);
        insta::assert_snapshot!(told(narration(&json!({})), events, Ok(end)), @r#"
        {"type":"RUN_STARTED","threadId":"thread","runId":"run","protocolVersion":"1.0"}
        {"type":"STEP_STARTED","stepName":"model"}
        {"type":"TOOL_CALL_START","toolCallId":"call-0","toolCallName":"delete_day","parentMessageId":"run-1"}
        {"type":"TOOL_CALL_END","toolCallId":"call-0"}
        {"type":"STEP_FINISHED","stepName":"model"}
        {"type":"STEP_STARTED","stepName":"tools"}
        {"type":"STEP_FINISHED","stepName":"tools"}
        {"type":"RUN_FINISHED","threadId":"thread","runId":"run","outcome":{"type":"interrupt","interrupts":[{"id":"call-0","reason":"input_required","message":"Which?","toolCallId":"call-0","metadata":{"tool":"delete_day","details":{"choices":[1,2]}}}]},"result":{"session_id":"session","stop_reason":"interrupted","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":0,"cacheReadInputTokens":5,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}},"usage":[{"inputTokens":8,"outputTokens":4,"totalTokens":12,"cachedInputTokens":5,"cacheWriteInputTokens":0}]}
        "#);

        let resume = json!({ "resume": [{ "interruptId": "call-0", "status": "resolved", "payload": "yes" }] });
        let events = [begins(), says("Done."), ends(0), stops(StopReason::EndTurn)];
        insta::assert_snapshot!(told(narration(&resume), events, Ok(answered("Done.", Vec::new()))), @r#"
        {"type":"RUN_STARTED","threadId":"thread","runId":"run","protocolVersion":"1.0"}
        {"type":"TOOL_CALL_RESULT","messageId":"answered-call-0","toolCallId":"call-0","content":"The agent has the answer."}
        {"type":"STEP_STARTED","stepName":"model"}
        {"type":"TEXT_MESSAGE_START","messageId":"run-1","role":"assistant"}
        {"type":"TEXT_MESSAGE_CONTENT","messageId":"run-1","delta":"Done."}
        {"type":"TEXT_MESSAGE_END","messageId":"run-1"}
        {"type":"STEP_FINISHED","stepName":"model"}
        {"type":"RUN_FINISHED","threadId":"thread","runId":"run","outcome":{"type":"success"},"result":{"session_id":"session","stop_reason":"end_turn","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":0,"cacheReadInputTokens":5,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}},"usage":[{"inputTokens":8,"outputTokens":4,"totalTokens":12,"cachedInputTokens":5,"cacheWriteInputTokens":0}]}
        "#);
    }

    /// Given a state of the client's, when guards find something, then the client has it in its state from then on, and the
    /// rest as it was; when they find nothing any more, then it is taken back.
    #[test]
    fn what_the_guards_found_is_in_the_state_while_it_is_so() {
        let states = |state: &Value, safety: &Safety| {
            let end = Answered { safety: safety.clone(), ..answered("", Vec::new()) };
            let told = narration(&json!({ "state": state })).end(Ok(end));
            let snapshots = told.iter().filter_map(|event| match event {
                Event::StateSnapshot { snapshot } => Some(snapshot.clone()),
                _ => None,
            });
            snapshots.collect::<Vec<_>>()
        };
        let crisis = Safety { severity: Severity::Crisis, action: SafetyAction::Answered, ..Safety::default() };
        let dark = json!({ "theme": "dark" });
        let with = |safety: &Safety| json!({ "theme": "dark", "safety": safety });

        assert_eq!(states(&dark, &crisis), [with(&crisis)]);
        assert_eq!(states(&with(&crisis), &crisis), [] as [Value; 0]);
        assert_eq!(states(&with(&crisis), &Safety::default()), [with(&Safety::default())]);
        assert_eq!(states(&dark, &Safety::default()), [] as [Value; 0]);
        assert_eq!(states(&Value::Null, &crisis), [json!({ "safety": crisis })]);
        assert_eq!(states(&json!([1]), &crisis), [] as [Value; 0]);
    }

    /// Cut at every event: whatever was begun is ended, and the run with it.
    #[test]
    fn nothing_is_left_open_wherever_a_turn_breaks_off() {
        let events = || {
            let round = [begins(), says("Let me see.")].into_iter().chain(calls(1, "pick_colour"));
            round.chain([says("And")]).chain(calls(3, "look_up")).chain([
                stops(StopReason::ToolUse),
                begins(),
                says("So"),
            ])
        };
        let count = |told: &str, kind: &str| told.matches(kind).count();
        for cut in 0..=events().count() {
            let failure = Failure::from(&TurnError::Cut);
            for end in [Err(failure), Ok(answered("So", Vec::new()))] {
                let told = told(narration(&json!({})), events().take(cut), end);
                assert_eq!(count(&told, "TEXT_MESSAGE_START"), count(&told, "TEXT_MESSAGE_END"), "{told}");
                assert_eq!(count(&told, "TOOL_CALL_START"), count(&told, "TOOL_CALL_END"), "{told}");
                assert_eq!(count(&told, "STEP_STARTED"), count(&told, "STEP_FINISHED"), "{told}");
                let finished = count(&told, "RUN_FINISHED");
                assert_eq!(finished + count(&told, "RUN_ERROR"), 1, "{told}");
                if finished == 1 {
                    assert_eq!(count(&told, "TOOL_CALL_START"), count(&told, "TOOL_CALL_RESULT"), "{told}");
                }
            }
        }
    }

    #[test]
    fn a_failure_ends_the_message_and_has_the_sentence_and_the_code() {
        let events = [begins(), says("Good ")];
        insta::assert_snapshot!(told(narration(&json!({})), events, Err(Failure::overloaded())), @r#"
        {"type":"RUN_STARTED","threadId":"thread","runId":"run","protocolVersion":"1.0"}
        {"type":"STEP_STARTED","stepName":"model"}
        {"type":"TEXT_MESSAGE_START","messageId":"run-1","role":"assistant"}
        {"type":"TEXT_MESSAGE_CONTENT","messageId":"run-1","delta":"Good "}
        {"type":"TEXT_MESSAGE_END","messageId":"run-1"}
        {"type":"STEP_FINISHED","stepName":"model"}
        {"type":"RUN_ERROR","message":"The agent is serving as many as it can. Please try again.","code":"OVERLOADED","metadata":{"request_id":"request","retry_after":1}}
        "#);
    }

    #[test]
    fn words_that_were_not_streamed_are_told_at_the_end_and_progress_meanwhile() {
        let mut narration = narration(&json!({}));
        let progress = ToolProgress {
            tool_use_id: "call-0".to_owned(),
            name: "look_up".to_owned(),
            message: "looking".to_owned(),
        };
        let line = |event: &Event| serde_json::to_string(event).expect("JSON");
        let progress: Vec<_> = narration.take(TurnEvent::Progress(progress)).iter().map(line).collect();
        insta::assert_snapshot!(progress.join("\n"), @r#"{"type":"CUSTOM","name":"tool_progress","value":{"toolUseId":"call-0","name":"look_up","message":"looking"}}"#);
        let end = Answered { output: Some(json!({ "kcal": 52 })), ..answered(r#"{"kcal":52}"#, Vec::new()) };
        insta::assert_snapshot!(told(narration, [begins()].into_iter().chain(calls(0, "give_meal")), Ok(end)), @r#"
        {"type":"RUN_STARTED","threadId":"thread","runId":"run","protocolVersion":"1.0"}
        {"type":"STEP_STARTED","stepName":"model"}
        {"type":"TOOL_CALL_START","toolCallId":"call-0","toolCallName":"give_meal","parentMessageId":"run-1"}
        {"type":"TOOL_CALL_END","toolCallId":"call-0"}
        {"type":"TEXT_MESSAGE_START","messageId":"run-2","role":"assistant"}
        {"type":"TEXT_MESSAGE_CONTENT","messageId":"run-2","delta":"{\"kcal\":52}"}
        {"type":"TEXT_MESSAGE_END","messageId":"run-2"}
        {"type":"TOOL_CALL_RESULT","messageId":"answered-call-0","toolCallId":"call-0","content":"The agent has the answer."}
        {"type":"STEP_FINISHED","stepName":"model"}
        {"type":"RUN_FINISHED","threadId":"thread","runId":"run","outcome":{"type":"success"},"result":{"session_id":"session","stop_reason":"end_turn","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":0,"cacheReadInputTokens":5,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]},"output":{"kcal":52}},"usage":[{"inputTokens":8,"outputTokens":4,"totalTokens":12,"cachedInputTokens":5,"cacheWriteInputTokens":0}]}
        "#);
    }
}
