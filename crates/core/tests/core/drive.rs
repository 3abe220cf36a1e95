use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::drive::{Delivery, Stage, TurnEvent, drive, gather_tools};
use agentcore_core::guard::{Guard, Heard, Verdict};
use agentcore_core::history::{CompleteTurn, complete};
use agentcore_core::message::{Message, Role, StopReason, Usage};
use agentcore_core::model::{
    BlockDelta, BlockStart, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest,
};
use agentcore_core::payload::{PayloadError, Prompt};
use agentcore_core::router::Router;
use agentcore_core::tool::{Tool, ToolCall, ToolFailure, ToolOutput, ToolSource, ToolSpec};
use agentcore_core::turn::{Step, TurnError, TurnOutcome, TurnRequest};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::converse_rules::assert_can_go_on;
use crate::outcome::{self, remembered};
use crate::played::{Played, calls, says};

/// Plays one list of events a call, and cuts the turn where it is told to.
struct Script {
    calls: Mutex<Vec<Vec<Result<ModelEvent, ModelError>>>>,
    cut: CancellationToken,
    /// Events until the cut, over all calls.
    events_left: Arc<Mutex<usize>>,
}

impl Model for Script {
    fn converse<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async { Err(ModelError::Unavailable { reason: "only streams here".into(), retry_after: None }) })
    }

    fn converse_stream<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        let events = self.calls.lock().expect("the script").remove(0);
        let (cut, left) = (self.cut.clone(), Arc::clone(&self.events_left));
        let played = stream::iter(events).then(move |event| {
            let (cut, left) = (cut.clone(), Arc::clone(&left));
            async move {
                let due = {
                    let mut left = left.lock().expect("the count");
                    *left = left.wrapping_sub(1);
                    *left == usize::MAX
                };
                if due {
                    cut.cancel();
                    std::future::pending::<()>().await;
                }
                event
            }
        });
        Box::pin(async { Ok(played.boxed()) })
    }
}

struct Weigh;

impl Tool for Weigh {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: "weigh".into(), description: "Weighs.".into(), input_schema: json!({"type": "object"}) }
    }

    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        Box::pin(async move {
            assert_ne!(call.input["scale"], "broken", "this panics on purpose");
            Ok(json!({"kg": 72}).into())
        })
    }
}

fn text(text: &str) -> ModelEvent {
    ModelEvent::ContentBlockDelta { content_block_index: 0, delta: BlockDelta::Text(text.into()) }
}

fn stop(stop_reason: StopReason) -> [ModelEvent; 2] {
    let usage = Usage { input_tokens: 3, output_tokens: 2, total_tokens: 5, ..Usage::default() };
    [
        ModelEvent::MessageStop { stop_reason },
        ModelEvent::Metadata { usage, metrics: Metrics::default(), guardrail: None, served: None },
    ]
}

fn weigh_call(arguments: &[&str]) -> Vec<ModelEvent> {
    let start = BlockStart::ToolUse { tool_use_id: "call-1".into(), name: "weigh".into() };
    let mut events = vec![
        ModelEvent::MessageStart { role: Role::Assistant },
        text("Let me "),
        text("look."),
        ModelEvent::ContentBlockStop { content_block_index: 0 },
        ModelEvent::ContentBlockStart { content_block_index: 1, start },
    ];
    events.extend(arguments.iter().map(|fragment| ModelEvent::ContentBlockDelta {
        content_block_index: 1,
        delta: BlockDelta::ToolUse { input: (*fragment).into() },
    }));
    events.push(ModelEvent::ContentBlockStop { content_block_index: 1 });
    events.extend(stop(StopReason::ToolUse));
    events
}

fn final_answer() -> Vec<ModelEvent> {
    let mut events = vec![ModelEvent::MessageStart { role: Role::Assistant }, text("72 "), text("kg.")];
    events.push(ModelEvent::ContentBlockStop { content_block_index: 0 });
    events.extend(stop(StopReason::EndTurn));
    events
}

/// Performs a scripted turn, cut after that many events, and gives what the caller saw of it.
async fn perform(calls: Vec<Vec<ModelEvent>>, cut_after: usize) -> (TurnOutcome, Vec<ModelEvent>) {
    let cut = CancellationToken::new();
    let model = Script {
        calls: Mutex::new(calls.into_iter().map(|events| events.into_iter().map(Ok).collect()).collect()),
        cut: cut.clone(),
        events_left: Arc::new(Mutex::new(cut_after)),
    };
    let request = TurnRequest::new("How heavy am I?").tool(Weigh);
    let (events, mut seen) = mpsc::channel(100);
    let deadline = Instant::now() + Duration::from_mins(1);
    let stage = Stage {
        model: Arc::new(model),
        delivery: Delivery::Streamed(events),
        deadline,
        cut,
        first_token: Arc::default(),
    };
    let outcome = drive(request.begin(Vec::new()), &stage).await;
    drop(stage);
    let mut saw = Vec::new();
    while let Some(event) = seen.recv().await {
        if let TurnEvent::Model(event) = event {
            saw.push(event);
        }
    }
    (outcome, saw)
}

fn texts(events: &[ModelEvent]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(text), .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[tokio::test]
async fn a_turn_with_a_tool_is_performed_to_its_end_and_streamed() {
    let (outcome, saw) = perform(vec![weigh_call(&["{\"scale\":", "\"bathroom\"}"]), final_answer()], usize::MAX).await;
    assert_eq!(outcome.result.clone().expect("an answer").message, Message::assistant("72 kg."));
    assert_eq!(texts(&saw), "Let me look.72 kg.");
    assert_eq!(outcome.usage.total_tokens, 10);
    assert_can_go_on(remembered(&outcome));
    insta::assert_json_snapshot!(remembered(&outcome)[2], @r#"
    {
      "role": "user",
      "content": [
        {
          "toolResult": {
            "toolUseId": "call-1",
            "content": [
              {
                "json": {
                  "kg": 72
                }
              }
            ],
            "status": "success"
          }
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_tool_that_panics_fails_alone() {
    let (outcome, _) = perform(vec![weigh_call(&["{\"scale\":\"broken\"}"]), final_answer()], usize::MAX).await;
    insta::assert_json_snapshot!(remembered(&outcome)[2], @r#"
    {
      "role": "user",
      "content": [
        {
          "toolResult": {
            "toolUseId": "call-1",
            "content": [
              {
                "text": "The tool failed unexpectedly."
              }
            ],
            "status": "error"
          }
        }
      ]
    }
    "#);
}

/// Must show 6: cut at every possible step, the next call can use what is left.
#[tokio::test]
async fn a_turn_cut_at_every_event_leaves_a_history_that_the_next_call_can_use() {
    let script = || vec![weigh_call(&["{\"scale\":", "\"bathroom\"}"]), final_answer()];
    let events: usize = script().iter().map(Vec::len).sum();
    for cut_after in 0..events {
        let (outcome, saw) = perform(script(), cut_after).await;
        assert_eq!(outcome.result, Err(TurnError::Cut), "cut after {cut_after}");
        let kept = outcome::whole(&outcome).into_iter().flatten();
        let words: String = kept.clone().filter(|message| message.role == Role::Assistant).map(Message::text).collect();
        assert!(words.starts_with(&texts(&saw)), "cut after {cut_after}: {words:?} of {:?}", texts(&saw));
        assert_can_go_on(kept.clone());
        let next = complete(kept.cloned().chain([Message::user("Again?"), Message::assistant("Yes.")]));
        assert_can_go_on(next.iter().flat_map(CompleteTurn::messages));
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_a_reason_is_broken_and_keeps_its_words() {
    let (outcome, _) = perform(vec![vec![text("Hel")]], usize::MAX).await;
    assert!(matches!(outcome.result, Err(TurnError::Model(ModelError::BrokenStream { .. }))));
    assert_eq!(remembered(&outcome)[1], Message::assistant("Hel"));
}

#[tokio::test]
async fn a_reader_that_goes_away_cuts_the_turn() {
    let model = Script {
        calls: Mutex::new(vec![final_answer().into_iter().map(Ok).collect()]),
        cut: CancellationToken::new(),
        events_left: Arc::new(Mutex::new(usize::MAX)),
    };
    let (events, seen) = mpsc::channel(1);
    drop(seen);
    let request = TurnRequest::new("Hi");
    let stage = Stage {
        model: Arc::new(model),
        delivery: Delivery::Streamed(events),
        deadline: Instant::now() + Duration::from_mins(1),
        cut: CancellationToken::new(),
        first_token: Arc::default(),
    };
    let outcome = drive(request.begin(Vec::new()), &stage).await;
    assert_eq!(outcome.result, Err(TurnError::Cut));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_reads_nothing_keeps_no_turn_beyond_its_time_whoever_answers() {
    let (events, _unread) = mpsc::channel(1);
    let stage = Played::new([]).stage(Delivery::Streamed(events));
    let answered = TurnRequest::new("danger").guard(Lifeguard).begin(Vec::new());
    let (began, deadline) = (Instant::now(), stage.deadline);
    let outcome = drive(answered, &stage).await;
    assert_eq!(outcome.result.expect("an answer").message, Message::assistant("Help is on its way."));
    assert_eq!(Instant::now(), deadline, "begun {began:?}");
}

/// Answers by itself.
struct Lifeguard;

impl Guard for Lifeguard {
    fn inspect(&self, _heard: &Heard<'_>) -> Verdict {
        Verdict::Answer { text: "Help is on its way.".into(), flags: Vec::new() }
    }
}

// === long turns ===

/// A source that says what it has when it is told to, and how often it was asked.
struct Source {
    names: &'static [&'static str],
    leave: Arc<tokio::sync::Barrier>,
    asked: AtomicU32,
}

/// A tool of nothing but a name.
struct Named(&'static str);

impl Tool for Named {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: self.0.into(), description: self.0.into(), input_schema: json!({"type": "object"}) }
    }

    fn call(&self, _call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        Box::pin(async { Ok("done".into()) })
    }
}

impl ToolSource for Source {
    fn tools(&self) -> BoxFuture<'_, Vec<Arc<dyn Tool>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            self.leave.wait().await;
            self.names.iter().map(|name| Arc::new(Named(name)) as Arc<dyn Tool>).collect()
        })
    }
}

/// Two sources that answer when `together` are asked at the same time.
fn sources(together: usize) -> [Arc<Source>; 2] {
    let leave = Arc::new(tokio::sync::Barrier::new(together));
    [&["weigh", "measure"][..], &["measure", "cook"]]
        .map(|names| Arc::new(Source { names, leave: Arc::clone(&leave), asked: AtomicU32::new(0) }))
}

fn tool_names(request: &TurnRequest) -> Vec<&str> {
    request.toolbox().specs().iter().map(|tool| tool.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn sources_of_tools_are_asked_at_the_same_time_and_their_tools_come_in_the_order_of_the_sources() {
    let [one, other] = sources(2);
    let mut request = TurnRequest::new("?").tool_source(one).tool_source(other);
    gather_tools(&mut request, &Played::new([]).stage(Delivery::Whole)).await;
    assert_eq!(tool_names(&request), ["weigh", "measure", "cook"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_routes_share_is_asked_once_for_all_of_them() {
    struct Cook(Arc<Source>);
    struct Trainer(Arc<Source>);
    impl Agent for Cook {
        type Payload = Prompt;
        const NAME: &'static str = "cook";
        fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
            Ok(payload.turn()?.tool_source(Arc::clone(&self.0) as Arc<dyn ToolSource>))
        }
    }
    impl Agent for Trainer {
        type Payload = Prompt;
        const NAME: &'static str = "trainer";
        fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
            Ok(payload.turn()?.tool_source(Arc::clone(&self.0) as Arc<dyn ToolSource>))
        }
    }
    let [shared, _] = sources(1);
    let desk = Router::new("food", Cook(Arc::clone(&shared))).agent("sports", Trainer(Arc::clone(&shared)));
    let payload = Prompt { prompt: Some("?".into()), ..Prompt::default() };
    let mut request = desk.turn(payload, &Context::default()).expect("a request");
    gather_tools(&mut request, &Played::new([]).stage(Delivery::Whole)).await;
    let offered: Vec<Vec<&str>> = request.routes_mut().map(|route| tool_names(route)).collect();
    assert_eq!(offered, [["weigh", "measure"], ["weigh", "measure"]]);
    assert_eq!(shared.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn sources_that_say_nothing_leave_the_turn_its_time() {
    for (seconds, at_the_most) in [(60, 5), (2, 1)] {
        let [one, other] = sources(3);
        let mut request = TurnRequest::new("?").tool_source(one).tool_source(other);
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let stage = Stage { deadline, ..Played::new([]).stage(Delivery::Whole) };
        let began = Instant::now();
        gather_tools(&mut request, &stage).await;
        assert!(began.elapsed() <= Duration::from_secs(at_the_most), "{:?} of {seconds} s", began.elapsed());
        assert!(tool_names(&request).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_cut_waits_for_no_source() {
    let [one, _] = sources(2);
    let mut request = TurnRequest::new("?").tool_source(one);
    let stage = Played::new([]).stage(Delivery::Whole);
    stage.cut.cancel();
    let began = Instant::now();
    gather_tools(&mut request, &stage).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(drive(request.begin(Vec::new()), &stage).await.result, Err(TurnError::Cut));
}

/// Asks for a tool as often as it is told to, and keeps nothing of what it was asked.
struct Asks {
    left: AtomicU32,
    /// What it counts, where somebody wants to know.
    counts: Option<u64>,
    lengths: Mutex<Vec<usize>>,
}

impl Asks {
    fn times(left: u32) -> Arc<Self> {
        Arc::new(Self { left: AtomicU32::new(left), counts: None, lengths: Mutex::default() })
    }
}

impl Model for Asks {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        self.lengths.lock().expect("the list").push(request.history.len());
        let left = self.left.load(Ordering::SeqCst);
        self.left.store(left.saturating_sub(1), Ordering::SeqCst);
        let call = ("call", "weigh", json!({"scale": "bathroom"}));
        let answer = if left == 0 { says("72 kg.") } else { calls(&[call]) };
        Box::pin(async { Ok(answer) })
    }

    fn converse_stream<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(async { Err(ModelError::Unavailable { reason: "answers whole only".into(), retry_after: None }) })
    }

    fn count_tokens<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        let counted = self.counts.filter(|_| !request.history.is_empty());
        Box::pin(async move { Ok(counted) })
    }
}

async fn whole(model: &Arc<Asks>, step: Step) -> TurnOutcome {
    let deadline = Instant::now() + Duration::from_mins(10);
    let stage = Stage {
        model: model.clone(),
        delivery: Delivery::Whole,
        deadline,
        cut: CancellationToken::new(),
        first_token: Arc::default(),
    };
    drive(step, &stage).await
}

/// How long this thread has been at work, in nanoseconds: it waits while other tests and other programs run.
fn at_work() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).expect("a number")
}

/// Microseconds of work a round after a history of so many messages, the fastest of a few turns: everything else a
/// machine does only adds.
async fn a_round_takes(rounds: u32, messages: usize) -> f64 {
    let said = (0..messages / 2).flat_map(|_| [Message::user("Some words. ".repeat(20)), Message::assistant("Noted.")]);
    let history: Vec<_> = complete(said).into_iter().map(Arc::new).collect();
    let mut fastest = f64::MAX;
    for _ in 0..5 {
        let step = TurnRequest::new("How heavy am I?").tool(Weigh).tool_rounds(rounds).begin(history.clone());
        let began = at_work();
        let outcome = whole(&Asks::times(rounds), step).await;
        assert_eq!(outcome.tools.calls, rounds);
        fastest = fastest.min((at_work() - began) / 1e3 / f64::from(rounds));
    }
    fastest
}

/// Must show 2 of the loop; `cargo bench -p agentcore-core` has the table.
#[tokio::test]
async fn a_round_costs_the_same_however_many_came_before() {
    let (few, many) = (a_round_takes(200, 0).await, a_round_takes(1_000, 0).await);
    assert!(many < few * 3.0, "{few} us a round of 200, {many} us a round of 1000");
}

/// A round that copied or read the history would cost ten times as much and more at a thousand messages.
#[tokio::test]
async fn a_round_costs_the_same_whatever_was_said_before() {
    let without = a_round_takes(200, 0).await;
    for messages in [200, 1_000] {
        let with = a_round_takes(200, messages).await;
        println!("{without} us a round, {with} us after {messages} messages");
        assert!(with < without * 3.0, "{without} us a round, {with} us after {messages} messages");
    }
}

#[tokio::test]
async fn a_conversation_near_the_models_bound_is_counted_exactly_and_shortened_before_it_is_asked() {
    let history = || {
        let said = (0..40).flat_map(|_| [Message::user("word ".repeat(2_500)), Message::assistant("Noted.")]);
        complete(said).into_iter().map(Arc::new).collect::<Vec<_>>()
    };
    for (counts, expected) in [(None, 40), (Some(150_000), 40), (Some(199_500), 20)] {
        let model = Arc::new(Asks { counts, ..Arc::into_inner(Asks::times(0)).expect("nobody else has it") });
        whole(&model, TurnRequest::new("Hi").begin(history())).await.result.expect("an answer");
        assert_eq!(*model.lengths.lock().expect("the list"), [expected], "counted {counts:?}");
    }
}
