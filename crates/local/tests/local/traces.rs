use agentcore_local::{LocalConfig, Notice, Traces};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::Value;

use crate::aws::{Answer, Aws, config};
use crate::hosted::{Hosted, patient, played};

fn request() -> Vec<u8> {
    let span =
        Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "invoke_agent haiku".to_owned(), ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

async fn posted(aws: &Aws, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let request = aws.client.post(aws.url(path)).body(body);
    Answer::to(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

fn told() -> LocalConfig {
    LocalConfig { traces: Traces::Told, ..config() }
}

#[tokio::test]
async fn spans_that_are_handed_over_are_told() {
    let aws = Aws::start(told()).await;
    let mut notices = aws.local.notices();
    let answer = posted(&aws, "/v1/traces", &[PROTOBUF], request()).await;
    assert_eq!((answer.status, answer.header("content-type"), answer.body.as_str()), (200, Some(PROTOBUF.1), ""));
    let Ok(Notice::Traced { spans }) = notices.recv().await else { panic!("spans are told") };
    assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["invoke_agent haiku"]);
}

#[tokio::test]
async fn metrics_and_log_records_are_let_go() {
    let aws = Aws::start(told()).await;
    for path in ["/v1/metrics", "/v1/logs"] {
        assert_eq!(posted(&aws, path, &[PROTOBUF], Vec::new()).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_a_sentence() {
    let aws = Aws::start(told()).await;
    let refused = [
        posted(&aws, "/v1/traces", &[("content-type", "application/json")], b"{}".to_vec()).await,
        posted(&aws, "/v1/traces", &[PROTOBUF, ("content-encoding", "gzip")], request()).await,
        posted(&aws, "/v1/traces", &[PROTOBUF], b"{}".to_vec()).await,
    ];
    insta::assert_snapshot!(refused.map(|answer| answer.refusal()).join("\n"), @r#"
    415 UnsupportedMediaType
    {"message":"application/json is not read here; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf."}
    415 UnsupportedMediaType
    {"message":"gzip is not unpacked here; unset OTEL_EXPORTER_OTLP_COMPRESSION."}
    400 SerializationException
    {"message":"This is no ExportTraceServiceRequest: failed to decode Protobuf message: buffer underflow."}
    "#);
}

#[tokio::test]
async fn unless_they_are_asked_for_nobody_takes_traces() {
    let aws = Aws::start(config()).await;
    assert_eq!(posted(&aws, "/v1/traces", &[PROTOBUF], request()).await.status, 404);
}

#[tokio::test]
async fn an_agent_finds_where_its_traces_go() {
    let hosting = LocalConfig { agents: vec![played(&[])], times: patient(), ..told() };
    let traced = Hosted::of(hosting).await;
    let untraced = Hosted::start(played(&[]), patient()).await;
    let endpoint = |told: &Value| told["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"].clone();
    assert_eq!(endpoint(&traced.tell("one").await), traced.aws.url(""));
    assert_eq!(endpoint(&untraced.tell("one").await), Value::Null);
}
