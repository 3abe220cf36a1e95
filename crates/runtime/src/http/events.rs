//! An answer as events, while it is written.
//!
//! Each is a JSON text. The model's events come in Bedrock's own shape under `event`, what tools say of their progress
//! under `progress`; the last text has the whole message, told only when the turn is stored. A failure, before the first
//! event or in the middle, is a text as well: whatever status there is has long been sent. As server-sent events, each
//! text is a frame: `data: `, the text and an empty line.

use agentcore_core::drive::TurnEvent;
use agentcore_core::model::{BlockDelta, ModelEvent};
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// What there is to tell of an invocation. Dropping it cuts the turn.
pub(super) struct Telling(Option<Invocation>);

/// One thing that is told.
pub(super) enum Told {
    /// The JSON text of an event, or of the whole message at the end.
    Text(Vec<u8>),
    /// The turn failed; there is nothing more to tell.
    Failed(Failure),
}

// === impl Telling ===

impl Telling {
    pub(super) fn of(invocation: Invocation) -> Self {
        Self(Some(invocation))
    }

    /// What comes next; nothing after the turn's end.
    pub(super) async fn next(&mut self) -> Option<Told> {
        while let Some(events) = &mut self.0.as_mut()?.events
            && let Some(event) = events.recv().await
        {
            let told = match event {
                TurnEvent::Model(event) if is_about_a_tool(&event) => continue,
                TurnEvent::Model(event) => json(&json!({ "event": event })),
                TurnEvent::Progress(progress) => json(&json!({ "progress": progress })),
            };
            return Some(Told::Text(told));
        }
        let ended = self.0.take()?.end().await;
        Some(ended.map_or_else(Told::Failed, |answered| Told::Text(json(&answered))))
    }
}

/// Answers with the invocation's events. A client that goes away drops the body, and that cuts the turn.
pub(super) fn response(invocation: Invocation, request_id: String) -> Response {
    let frames = stream::unfold(Telling::of(invocation), move |mut telling| {
        let request_id = request_id.clone();
        async move {
            let text = match telling.next().await? {
                Told::Text(text) => text,
                Told::Failed(failure) => json(&failed(&failure, &request_id)),
            };
            Some((Ok::<_, std::convert::Infallible>(frame(&text)), telling))
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(frames)).into_response()
}

/// What the agent asks its tools is between the two.
fn is_about_a_tool(event: &ModelEvent) -> bool {
    matches!(
        event,
        ModelEvent::ContentBlockStart { .. } | ModelEvent::ContentBlockDelta { delta: BlockDelta::ToolUse { .. }, .. }
    )
}

/// A failure, as it is told where there is no status any more.
pub(super) fn failed(failure: &Failure, request_id: &str) -> Value {
    let mut body = json!({
        "error": failure.sentence,
        "error_type": failure.code.as_str(),
        "message": "An error occurred during streaming",
        "code": failure.code.as_str(),
        "request_id": request_id,
    });
    if let Some(details) = &failure.details {
        body["details"] = details.as_str().into();
    }
    if let Some(wait) = failure.retry_after {
        body["retry_after"] = super::whole_seconds(wait).into();
    }
    body
}

/// The JSON text of something of ours.
pub(super) fn json(content: &impl Serialize) -> Vec<u8> {
    // The keys of our own types are strings: that cannot fail.
    serde_json::to_vec(content).unwrap_or_else(|_| b"null".to_vec())
}

fn frame(text: &[u8]) -> Bytes {
    [b"data: ", text, b"\n\n"].concat().into()
}
