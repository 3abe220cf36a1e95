//! An answer as server-sent events, while it is written.
//!
//! Each frame is `data: <json>` and an empty line. The model's events come in Bedrock's own shape under
//! `event`, what tools say of their progress under `progress`; the last frame has the whole message, sent only when the turn is stored. A failure, before
//! the first event or in the middle, is a frame as well: the status has long been 200.

use agentcore_core::drive::TurnEvent;
use agentcore_core::model::{BlockDelta, ModelEvent};
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::invocation::Invocation;

/// What the wire still has to say.
enum Writing {
    Events(Invocation),
    Nothing,
}

/// Answers with the invocation's events. A client that goes away drops the body, and that cuts the turn.
pub(super) fn response(invocation: Invocation, request_id: String) -> Response {
    let frames = stream::unfold(Writing::Events(invocation), move |writing| {
        let request_id = request_id.clone();
        async move {
            let Writing::Events(invocation) = writing else {
                return None;
            };
            let (frame, rest) = next_frame(invocation, &request_id).await;
            Some((Ok::<_, std::convert::Infallible>(frame), rest))
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(frames)).into_response()
}

async fn next_frame(mut invocation: Invocation, request_id: &str) -> (Bytes, Writing) {
    while let Some(events) = &mut invocation.events
        && let Some(event) = events.recv().await
    {
        let told = match event {
            TurnEvent::Model(event) if is_about_a_tool(&event) => continue,
            TurnEvent::Model(event) => frame(&json!({ "event": event })),
            TurnEvent::Progress(progress) => frame(&json!({ "progress": progress })),
        };
        return (told, Writing::Events(invocation));
    }
    let last = match invocation.end().await {
        Ok(answered) => frame(&answered),
        Err(failure) => frame(&failed(&failure, request_id)),
    };
    (last, Writing::Nothing)
}

/// What the agent asks its tools is between the two.
fn is_about_a_tool(event: &ModelEvent) -> bool {
    matches!(
        event,
        ModelEvent::ContentBlockStart { .. } | ModelEvent::ContentBlockDelta { delta: BlockDelta::ToolUse { .. }, .. }
    )
}

fn failed(failure: &Failure, request_id: &str) -> serde_json::Value {
    let mut body = json!({
        "error": failure.sentence,
        "error_type": failure.code.as_str(),
        "message": "An error occurred during streaming",
        "code": failure.code.as_str(),
        "request_id": request_id,
    });
    if let Some(wait) = failure.retry_after {
        body["retry_after"] = super::whole_seconds(wait).into();
    }
    body
}

fn frame(content: &impl Serialize) -> Bytes {
    let mut frame = b"data: ".to_vec();
    // What is written here are our own types, whose keys are strings: that cannot fail.
    if serde_json::to_writer(&mut frame, content).is_err() {
        frame.extend_from_slice(b"null");
    }
    frame.extend_from_slice(b"\n\n");
    frame.into()
}
