//! The body of `converse`: the answer taken to its end, and one JSON object.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;

use super::answer::Gathered;
use super::fault::{self, Fault};
use super::part::{Part, Parts};
use super::watch::CallRecord;
use crate::aws_error::AwsError;
use crate::engine::EngineError;

/// Takes the answer to its end and answers with one body.
pub(super) async fn answer(parts: Parts, fault: Option<Fault>, record: &mut CallRecord) -> Result<Response, AwsError> {
    match fault {
        Some(Fault::StreamError { .. }) => {
            return Err(EngineError::Failed("The model ended with an error.".into()).into());
        }
        Some(Fault::ThrottleStream { .. }) => {
            let slow_down = "Too many tokens, please wait before trying again.";
            return Err(EngineError::Throttled(slow_down.into()).into());
        }
        Some(Fault::Slow { pause }) => tokio::time::sleep(pause).await,
        _ => {}
    }
    let body = gather(parts, record).await?;
    Ok(match fault {
        Some(Fault::Cut { .. } | Fault::Corrupt { .. } | Fault::Silence { .. }) => {
            record.failed("FaultInjected");
            broken(&body, fault)
        }
        _ => Json(body).into_response(),
    })
}

async fn gather(mut parts: Parts, record: &mut CallRecord) -> Result<Value, AwsError> {
    let mut gathered = Gathered::default();
    while let Some(part) = parts.next().await {
        match part? {
            Part::Text(text) => {
                record.produced();
                gathered.push_text(&text);
            }
            Part::ToolUse(call) => {
                record.produced();
                gathered.push_call(&call);
            }
            Part::End(end) => {
                record.used(end.usage);
                record.succeeded();
                return Ok(gathered.finish(&end, record.latency_milliseconds()));
            }
        }
    }
    let reason = "The model ended its answer without a stop reason.";
    Err(EngineError::Failed(reason.into()).into())
}

/// A whole answer with the trouble a stream would have had in its midst.
fn broken(body: &Value, fault: Option<Fault>) -> Response {
    let bytes = body.to_string().into_bytes();
    let promised = bytes.len();
    let half = Bytes::from(bytes).slice(..promised / 2);
    let content_type = (header::CONTENT_TYPE, "application/json".to_owned());
    let content_length = (header::CONTENT_LENGTH, promised.to_string());
    match fault {
        Some(Fault::Cut { .. }) => {
            let broken_off = futures::stream::once(async { Err(fault::cut().await) });
            let body = futures::stream::once(async { Ok(half) }).chain(broken_off);
            ([content_type, content_length], Body::from_stream(body)).into_response()
        }
        Some(Fault::Silence { .. }) => {
            let body = futures::stream::pending::<io::Result<Bytes>>();
            ([content_type, content_length], Body::from_stream(body)).into_response()
        }
        _ => ([content_type], half).into_response(),
    }
}
