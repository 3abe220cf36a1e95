//! Traces of agents, where somebody reads along: OTLP over HTTP in protobuf, which every OpenTelemetry SDK speaks.
//!
//! What comes is decoded by OpenTelemetry's own definitions, told as a [`Notice`] and not kept. An
//! SDK that is given an endpoint sends metrics and log records there as well; those are taken and let go, or the
//! agent would complain of a collector that is half there.

mod span;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, body::Bytes};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use crate::aws_error::AwsError;
use crate::config::Traces;
use crate::notice::{Notice, Notices};

pub use self::span::{Span, SpanId, TraceId};

/// The longest request that is read, in bytes. A batch has 512 spans unless an agent was told otherwise.
const LONGEST_REQUEST: usize = 16 << 20;

/// What OTLP over HTTP says it is.
const PROTOBUF: &str = "application/x-protobuf";

/// Where an SDK sends what it has no more special place for.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Where an SDK sends traces.
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// How long SDKs gather spans unless the user says how long, in milliseconds: somebody waits for them.
const GATHERED_FOR: &str = "200";

/// The variable by which an environment sends traces to a place of its own, if it does.
pub fn sent_elsewhere(read: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    [TRACES_ENDPOINT, ENDPOINT].into_iter().find(|name| is_set(name, &read))
}

/// The variables that bring an agent's traces to `endpoint`, but for those the user has set.
pub(crate) fn environment(endpoint: &str, read: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    if sent_elsewhere(&read).is_some() {
        return Vec::new();
    }
    let wanted = [
        (ENDPOINT, endpoint.to_owned()),
        // Some SDKs would speak gRPC.
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", GATHERED_FOR.to_owned()),
    ];
    wanted.into_iter().filter(|(name, _)| !is_set(name, &read)).collect()
}

fn is_set(name: &str, read: &impl Fn(&str) -> Option<String>) -> bool {
    read(name).is_some_and(|value| !value.trim().is_empty())
}

/// The routes of a collector, where traces are to be told.
pub(crate) fn router(traces: Traces, notices: Notices) -> Router {
    match traces {
        Traces::LeftAlone => Router::new(),
        Traces::Told => Router::new()
            .route("/v1/traces", post(take))
            .route("/v1/metrics", post(let_go))
            .route("/v1/logs", post(let_go))
            .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
            .with_state(notices),
    }
}

async fn take(State(notices): State<Notices>, headers: HeaderMap, body: Bytes) -> Result<Response, AwsError> {
    refuse_other_forms(&headers)?;
    let request = ExportTraceServiceRequest::decode(body).map_err(|error| {
        let message = format!("This is no ExportTraceServiceRequest: {error}.");
        AwsError::new(StatusCode::BAD_REQUEST, "SerializationException", message)
    })?;
    let spans: Vec<Span> = span::of(request).collect();
    if !spans.is_empty() {
        notices.announce(Notice::Traced { spans: spans.into() });
    }
    Ok(taken())
}

async fn let_go() -> Response {
    taken()
}

/// That all of it was taken, which is a message without members and therefore no bytes.
fn taken() -> Response {
    ([(CONTENT_TYPE, PROTOBUF)], Bytes::new()).into_response()
}

fn refuse_other_forms(headers: &HeaderMap) -> Result<(), AwsError> {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = |message: String| AwsError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message);
    let form = value(CONTENT_TYPE).unwrap_or("nothing");
    if !form.starts_with(PROTOBUF) {
        return Err(refused(format!("{form} is not read here; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.")));
    }
    match value(CONTENT_ENCODING) {
        None | Some("identity") => Ok(()),
        Some(encoding) => {
            Err(refused(format!("{encoding} is not unpacked here; unset OTEL_EXPORTER_OTLP_COMPRESSION.")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(set: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| set.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn agents_send_their_traces_here_and_soon() {
        let given = environment("http://127.0.0.1:4570", set(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]));
        let wanted = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4570".to_owned()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
        ];
        assert_eq!(given, wanted);
    }

    #[test]
    fn a_viewer_of_the_users_own_is_left_alone() {
        for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
            let read = |asked: &str| (asked == name).then(|| "http://127.0.0.1:4318".to_owned());
            assert_eq!(sent_elsewhere(read), Some(name));
            assert_eq!(environment("http://127.0.0.1:4570", read), []);
        }
    }

    #[test]
    fn what_else_the_user_set_is_not_set_over() {
        let given = environment("http://h", set(&[("OTEL_BSP_SCHEDULE_DELAY", "5000")]));
        assert!(given.iter().all(|(name, _)| *name != "OTEL_BSP_SCHEDULE_DELAY"), "{given:?}");
    }
}
