//! A message to an agent that speaks MCP: told what is wrong with it as JSON-RPC tells it, or answered.

use std::sync::LazyLock;

use agentcore_runtime::Protocol;
use serde_json::Value;

use super::aws::Aws;
use super::served::Served;

const LINES: &[u8] = b"content-type: application/json\r\naccept: application/json, text/event-stream";

static COACH: LazyLock<(Aws, Served)> = LazyLock::new(|| Aws::behind_the_coach(Protocol::Mcp));

pub(crate) fn run(bytes: &[u8]) {
    let (aws, served) = &*COACH;
    aws.say([], None);
    let answer = served.ask(b"POST /mcp", LINES, bytes).expect("an answer");
    assert!(matches!(answer.status, 200 | 202 | 400 | 404 | 422), "{} {}", answer.status, answer.text());
    for message in messages(answer.header("content-type"), answer.text()) {
        let message: Value = serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {message}"));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        assert_ne!(message["result"]["structuredContent"]["code"], "internal_error", "{message}");
    }
    aws.assert_was_asked_well();
}

/// The messages of an answer in one piece, or of a stream.
fn messages<'a>(kind: Option<&str>, text: &'a str) -> Vec<&'a str> {
    match kind {
        Some(kind) if kind.starts_with("text/event-stream") => text
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(str::trim)
            .filter(|json| !json.is_empty())
            .collect(),
        Some(kind) if kind.starts_with("application/json") => vec![text],
        _ => Vec::new(),
    }
}
