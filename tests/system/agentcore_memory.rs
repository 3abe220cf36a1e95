//! Sessions in AgentCore Memory: the core's store against the local one, which answers as AWS does.

use std::sync::Arc;

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::history::{CompleteTurn, PausedTurn, complete};
use agentcore_runtime::core::memory::agentcore::AgentCoreMemory;
use agentcore_runtime::core::memory::identity::SessionKey;
use agentcore_runtime::core::memory::{Entry, KeptTurn, MemoryError, Record, SessionMemory as _, Summary};
use agentcore_runtime::core::message::{ContentBlock, Message, Role, ToolResult, ToolUse};
use agentcore_runtime::core::model::residency::{Region, Residency};
use agentcore_runtime::core::tool::Question;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::local_aws::LocalAws;
use crate::process::free_port;

const ALL: usize = usize::MAX / 2;

fn memory(endpoint: &str) -> AgentCoreMemory {
    let region = Region::parse("eu-west-1", Residency::Eu).expect("Ireland is in the EU");
    AgentCoreMemory::new("coach_mem-0123456789", Arc::new(Aws::at(endpoint, region)))
}

fn record(sequence: u64, messages: Vec<Message>) -> Record {
    entry(sequence, Entry::Whole { turn: whole(messages), pinned: false, resumed: false })
}

fn entry(sequence: u64, entry: Entry) -> Record {
    let after = SignedDuration::from_millis(i64::try_from(sequence).expect("small"));
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).expect("a moment");
    Record { token: Uuid::new_v4(), at: now + after, sequence, entry }
}

fn whole(messages: Vec<Message>) -> Arc<CompleteTurn> {
    Arc::new(complete(messages).remove(0))
}

fn talk(question: &str) -> Vec<Message> {
    vec![Message::user(question), Message::assistant("Noted.")]
}

#[tokio::test]
async fn a_long_session_comes_back_whole_and_in_order_over_several_pages() {
    let aws = LocalAws::start();
    let (memory, session) = (memory(&aws.endpoint()), SessionKey::new(Some("aoife"), "a-long-session"));
    for number in 1..=230 {
        memory.append(&session, &record(number, talk(&format!("question {number}")))).await.expect("stored");
    }
    let loaded = memory.load(&session, ALL).await.expect("loaded");
    let questions: Vec<String> = loaded.turns.iter().map(|kept| kept.messages()[0].text()).collect();
    let expected: Vec<String> = (1..=230).map(|number| format!("question {number}")).collect();
    assert_eq!(questions, expected);
    assert_eq!(loaded.newest.expect("a newest turn").1, 230);

    let window = memory.load(&session, 100).await.expect("loaded");
    assert_eq!(window.turns.len(), 100, "one page holds the budget, so no other is read");
    assert_eq!(window.turns.last(), loaded.turns.last());
}

#[tokio::test]
async fn a_moment_comes_back_as_it_was_written_so_that_the_next_entry_comes_after_it() {
    let aws = LocalAws::start();
    let (memory, session) = (memory(&aws.endpoint()), SessionKey::new(Some("aoife"), "a-session-of-moments"));
    for number in 1..=40 {
        let record = record(number, talk(&format!("question {number}")));
        memory.append(&session, &record).await.expect("stored");
        let loaded = memory.load(&session, ALL).await.expect("loaded");
        assert_eq!(loaded.newest, Some((record.at, number)));
    }
}

#[tokio::test]
async fn a_turn_with_tools_and_one_too_long_for_an_item_come_back_exactly() {
    let aws = LocalAws::start();
    let (memory, session) = (memory(&aws.endpoint()), SessionKey::new(None, "an-odd-session"));
    let call = ToolUse { tool_use_id: "call-1".into(), name: "weigh".into(), input: json!({"unit": "kg", "n": -1.5}) };
    let with_tools = vec![
        Message::user("How heavy am I?"),
        Message { role: Role::Assistant, content: vec![ContentBlock::ToolUse(call)] },
        Message { role: Role::User, content: vec![ContentBlock::ToolResult(ToolResult::error("call-1", "no scale"))] },
        Message::assistant("I cannot tell."),
    ];
    let long = vec![Message::user("😀".repeat(60_000)), Message::assistant("a".repeat(100_001))];
    for (number, messages) in (1..).zip([with_tools.clone(), long.clone()]) {
        memory.append(&session, &record(number, messages)).await.expect("stored");
    }
    let loaded = memory.load(&session, ALL).await.expect("loaded");
    assert_eq!(loaded.turns[0].messages(), with_tools);
    assert_eq!(loaded.turns[1].messages(), long);
}

#[tokio::test]
async fn paused_and_pinned_turns_and_summaries_are_events_that_come_back_as_they_were() {
    let aws = LocalAws::start();
    let (memory, session) = (memory(&aws.endpoint()), SessionKey::new(None, "of-every-kind"));
    let call = ToolUse { tool_use_id: "call-1".into(), name: "book".into(), input: json!({ "seats": 2 }) };
    let question = Question { id: "call-1".into(), tool: "book".into(), question: "Pay?".into(), details: json!([1]) };
    let paused = Arc::new(PausedTurn {
        messages: vec![
            Message::user("Book it"),
            Message { role: Role::Assistant, content: vec![ContentBlock::ToolUse(call)] },
        ],
        results: Vec::new(),
        broken_off: None,
        questions: vec![question],
        route: None,
    });
    let pinned = entry(1, Entry::Whole { turn: whole(talk("No nuts!")), pinned: true, resumed: false });
    let kept = KeptTurn { number: 1, at: pinned.at, pinned: true, turn: whole(talk("No nuts!")) };
    let summary = Summary { text: "They asked. ✓".into(), covers: 2, pinned: vec![kept.clone()] };
    let waits = |resumed| Entry::Paused { turn: Arc::clone(&paused), pinned: false, resumed };
    let records = [
        pinned,
        record(2, talk("two")),
        record(3, talk("three")),
        entry(4, Entry::Summary(summary.clone())),
        entry(5, waits(false)),
        entry(6, waits(true)),
    ];
    for record in records.iter().chain(&records) {
        memory.append(&session, record).await.expect("stored");
    }
    let loaded = memory.load(&session, ALL).await.expect("loaded");
    let questions: Vec<String> = loaded.turns.iter().map(|kept| kept.messages()[0].text()).collect();
    assert_eq!(questions, ["No nuts!", "three", "Book it"]);
    // Not the moment: the service's numbers round it.
    assert_eq!((loaded.turns[0].pinned, loaded.turns[0].number, &loaded.turns[0].turn), (true, 1, &kept.turn));
    assert_eq!(loaded.paused.map(|waiting| waiting.turn), Some(Arc::clone(&paused)));
    assert_eq!(loaded.summary, Some(summary));
    assert_eq!(loaded.newest.expect("the newest").1, 6);

    let rest = Entry::Whole { turn: whole(talk("Book it")), pinned: false, resumed: true };
    memory.append(&session, &entry(7, rest)).await.expect("stored");
    let loaded = memory.load(&session, ALL).await.expect("loaded");
    assert_eq!(loaded.paused, None);
    assert_eq!(loaded.turns.last().expect("the rest").messages()[1].text(), "Noted.");
}

#[tokio::test]
async fn a_summary_spares_the_pages_before_it_and_carries_what_is_pinned_there() {
    let aws = LocalAws::start();
    let (memory, session) = (memory(&aws.endpoint()), SessionKey::new(None, "a-long-session"));
    let pinned = entry(1, Entry::Whole { turn: whole(talk("No nuts!")), pinned: true, resumed: false });
    let kept = KeptTurn { number: 1, at: pinned.at, pinned: true, turn: whole(talk("No nuts!")) };
    memory.append(&session, &pinned).await.expect("stored");
    for number in 2..=120 {
        memory.append(&session, &record(number, talk(&format!("question {number}")))).await.expect("stored");
    }
    let summary = Summary { text: "Much was asked.".into(), covers: 118, pinned: vec![kept] };
    memory.append(&session, &entry(121, Entry::Summary(summary))).await.expect("stored");
    let loaded = memory.load(&session, ALL).await.expect("loaded");
    let questions: Vec<String> = loaded.turns.iter().map(|kept| kept.messages()[0].text()).collect();
    assert_eq!(questions, ["No nuts!", "question 119", "question 120"]);
}

#[tokio::test]
async fn a_turn_written_twice_is_there_once() {
    let aws = LocalAws::start();
    let (memory, session) = (memory(&aws.endpoint()), SessionKey::new(None, "a-session"));
    let turn = record(1, talk("Once?"));
    memory.append(&session, &turn).await.expect("stored");
    memory.append(&session, &turn).await.expect("stored already");
    assert_eq!(memory.load(&session, ALL).await.expect("loaded").turns.len(), 1);
}

#[tokio::test]
async fn a_session_nobody_spoke_in_is_empty_and_a_memory_nobody_reaches_is_an_error() {
    let aws = LocalAws::start();
    let session = SessionKey::new(None, "a-session");
    assert!(memory(&aws.endpoint()).load(&session, ALL).await.expect("loaded").turns.is_empty());
    let nowhere = memory(&format!("http://127.0.0.1:{}", free_port()));
    let error = nowhere.load(&session, ALL).await.expect_err("nobody there");
    assert!(matches!(error, MemoryError::Unavailable { .. }), "{error}");
}
