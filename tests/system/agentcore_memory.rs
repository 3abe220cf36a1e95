//! Sessions in AgentCore Memory: the core's store against the local one, which answers as AWS does.

use std::sync::Arc;

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::history::complete;
use agentcore_runtime::core::memory::agentcore::AgentCoreMemory;
use agentcore_runtime::core::memory::identity::SessionKey;
use agentcore_runtime::core::memory::{MemoryError, SessionMemory as _, TurnRecord};
use agentcore_runtime::core::message::{ContentBlock, Message, Role, ToolResult, ToolUse};
use agentcore_runtime::core::model::residency::{Region, Residency};
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

fn record(sequence: u64, messages: Vec<Message>) -> TurnRecord {
    let after = SignedDuration::from_millis(i64::try_from(sequence).expect("small"));
    TurnRecord {
        token: Uuid::new_v4(),
        at: Timestamp::now() + after,
        sequence,
        turn: Arc::new(complete(messages).remove(0)),
    }
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
    let questions: Vec<String> = loaded.turns.iter().map(|turn| turn.messages()[0].text()).collect();
    let expected: Vec<String> = (1..=230).map(|number| format!("question {number}")).collect();
    assert_eq!(questions, expected);
    assert_eq!(loaded.newest.expect("a newest turn").1, 230);

    let window = memory.load(&session, 100).await.expect("loaded");
    assert_eq!(window.turns.len(), 100, "one page holds the budget, so no other is read");
    assert_eq!(window.turns.last(), loaded.turns.last());
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
