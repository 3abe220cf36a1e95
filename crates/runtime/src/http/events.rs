//! An answer as events, while it is written.
//!
//! Each is a JSON text. The model's events come in Bedrock's own shape under `event`, what tools say of their progress
//! under `progress`; the last text has the whole message, told only when the turn is stored. A failure, before the first
//! event or in the middle, is a text as well: whatever status there is has long been sent. As server-sent events, each
//! text is a frame: `data: `, the text and an empty line. Protocols with events of their own are told the same way: see
//! [`Telling`].

use agentcore_core::drive::TurnEvent;
use agentcore_core::model::{BlockDelta, ModelEvent};
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
#[cfg(feature = "websocket")]
use crate::invocation::Answered;
use crate::invocation::Invocation;

/// What there is to tell of an invocation, in the texts of a protocol. Dropping it cuts the turn.
pub(crate) trait Telling: Send + 'static {
    /// Tells of `invocation` from now on.
    fn follow(&mut self, invocation: Invocation);

    /// What comes next; nothing after the turn's end.
    fn next(&mut self) -> impl Future<Output = Option<Told>> + Send;

    /// The texts of a failure.
    fn failed(&mut self, failure: Failure) -> Vec<Vec<u8>>;

    /// The texts of a whole answer, of which nothing was told while it was written.
    #[cfg(feature = "websocket")]
    fn whole(&mut self, answered: Answered) -> Vec<Vec<u8>>;
}

/// One thing that is told.
pub(crate) enum Told {
    /// The JSON text of an event, or of the whole message at the end.
    Text(Vec<u8>),
    /// The turn failed; there is nothing more to tell.
    Failed(Failure),
}

/// The telling of the contract's own.
pub(super) struct ConverseEvents {
    under_way: Option<Invocation>,
    request_id: String,
}

// === impl ConverseEvents ===

impl ConverseEvents {
    pub(super) fn of_request(request_id: String) -> Self {
        Self { under_way: None, request_id }
    }
}

impl Telling for ConverseEvents {
    fn follow(&mut self, invocation: Invocation) {
        self.under_way = Some(invocation);
    }

    async fn next(&mut self) -> Option<Told> {
        while let Some(events) = &mut self.under_way.as_mut()?.events
            && let Some(event) = events.recv().await
        {
            let told = match event {
                TurnEvent::Model(event) if is_about_a_tool(&event) => continue,
                TurnEvent::Model(event) => json(&json!({ "event": event })),
                TurnEvent::Progress(progress) => json(&json!({ "progress": progress })),
            };
            return Some(Told::Text(told));
        }
        let ended = self.under_way.take()?.end().await;
        Some(ended.map_or_else(Told::Failed, |answered| Told::Text(json(&answered))))
    }

    fn failed(&mut self, failure: Failure) -> Vec<Vec<u8>> {
        vec![json(&failed(&failure, &self.request_id))]
    }

    #[cfg(feature = "websocket")]
    fn whole(&mut self, answered: Answered) -> Vec<Vec<u8>> {
        vec![json(&answered)]
    }
}

/// Answers with what is told. A client that goes away drops the body, and that cuts the turn.
pub(crate) fn response(telling: impl Telling) -> Response {
    let frames = stream::unfold(telling, async |mut telling| {
        let texts = match telling.next().await? {
            Told::Text(text) => vec![text],
            Told::Failed(failure) => telling.failed(failure),
        };
        let frames: Vec<&[u8]> = texts.iter().flat_map(|text| [b"data: ", &text[..], b"\n\n"]).collect();
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(frames.concat())), telling))
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
pub(crate) fn json(content: &impl Serialize) -> Vec<u8> {
    // The keys of our own types are strings: that cannot fail.
    serde_json::to_vec(content).unwrap_or_else(|_| b"null".to_vec())
}
