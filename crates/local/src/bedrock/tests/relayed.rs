//! The relay, with a stand-in for the real service that keeps what reaches it.

use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::*;
use crate::bedrock::Relay;

/// What the stand-in was sent.
type Sent = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

#[derive(Clone)]
struct Upstream {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    sent: Sent,
}

impl Upstream {
    fn answering(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into(), sent: Sent::default() }
    }

    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new().fallback(keep).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    }

    fn sent(&self) -> (String, HeaderMap, Bytes) {
        self.sent.lock().expect("no panic before").pop().expect("a request")
    }
}

async fn keep(State(upstream): State<Upstream>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    upstream.sent.lock().expect("no panic before").push((parts.uri.to_string(), parts.headers, body));
    let headers = [
        (header::CONTENT_TYPE.as_str(), upstream.content_type),
        ("x-amzn-requestid", "from-upstream"),
        ("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/"),
    ];
    (upstream.status, headers, upstream.body).into_response()
}

async fn relay_to(upstream: &Upstream, watch: &Arc<Watch>) -> Service {
    let credentials = Credentials::new("AKIDREAL", "secret", Some("token".into()), None, "test");
    let credentials = SharedCredentialsProvider::new(credentials);
    let relay = Relay::new(&upstream.start().await, "eu-west-1".into(), credentials).expect("an address");
    Service::start(Bedrock::new(Brain::Relay(relay)).watched_by(Arc::clone(watch) as _)).await
}

#[tokio::test]
async fn a_request_goes_on_byte_for_byte_under_another_signature() {
    let upstream = Upstream::answering(StatusCode::OK, "application/json", "{}");
    let service = relay_to(&upstream, &Arc::default()).await;
    let odd_spacing = "{ \"messages\" :[ ] , \"x\": \"\\u00e9\" }";

    http_client()
        .post(format!("{}/model/eu.anthropic.claude-x%3A0/converse?a=b", service.base))
        .header("content-type", "application/json")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIDLOCAL/…")
        .header("x-amz-security-token", "of the agent")
        .body(odd_spacing)
        .send()
        .await
        .expect("an answer");

    let (uri, headers, body) = upstream.sent();
    assert_eq!(uri, "/model/eu.anthropic.claude-x%3A0/converse?a=b");
    assert_eq!(body, odd_spacing);
    assert_eq!(headers["x-amz-security-token"], "token");
    let authorization = headers["authorization"].to_str().expect("text");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDREAL/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/bedrock/aws4_request"), "{authorization}");
    assert!(authorization.contains("content-type;host;x-amz-date"), "{authorization}");
}

#[tokio::test]
async fn a_streamed_answer_comes_back_byte_for_byte_and_is_counted() {
    let body = Service::scripted().await.post("converse-stream", hello()).await.bytes().await.expect("a stream");
    let upstream = Upstream::answering(StatusCode::OK, "application/vnd.amazon.eventstream", body.clone());
    let watch = Arc::new(Watch::default());

    let answer = relay_to(&upstream, &watch).await.post("converse-stream", hello()).await;

    assert_eq!(answer.headers()["x-amzn-requestid"], "from-upstream");
    assert_eq!(answer.bytes().await.expect("a body"), body);
    let call = watch.next().await;
    assert_eq!((call.input_tokens, call.output_tokens, call.error), (5, 9, None));
    assert!(call.first_token.is_some());
}

#[tokio::test]
async fn an_error_comes_back_as_it_is_and_is_counted() {
    let sentence = r#"{"message":"Too many requests"}"#;
    let upstream = Upstream::answering(StatusCode::TOO_MANY_REQUESTS, "application/json", sentence);
    let watch = Arc::new(Watch::default());

    let answer = relay_to(&upstream, &watch).await.post("converse", hello()).await;

    assert_eq!(answer.status(), 429);
    assert_eq!(answer.text().await.expect("a body"), sentence);
    assert_eq!(watch.next().await.error, Some("ThrottlingException"));
}

#[tokio::test]
async fn a_fault_that_would_change_the_answer_is_refused() {
    let upstream = Upstream::answering(StatusCode::OK, "application/json", "{}");
    let service = relay_to(&upstream, &Arc::default()).await;
    let ask = |fault: &'static str| {
        http_client().post(format!("{}/model/{MODEL}/converse", service.base)).header("x-local-fault", fault).send()
    };
    assert_eq!(ask("unavailable").await.expect("an answer").status(), 503);
    assert_eq!(ask("cut@1").await.expect("an answer").status(), 400);
    assert!(upstream.sent.lock().expect("no panic before").is_empty());
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let credentials = SharedCredentialsProvider::new(Credentials::new("A", "S", None, None, "test"));
    let relay = Relay::new(&base, "eu-west-1".into(), credentials).expect("an address");
    let answer = Service::start(Bedrock::new(Brain::Relay(relay))).await.post("converse", hello()).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["x-amzn-errortype"], "ServiceUnavailableException");
}
