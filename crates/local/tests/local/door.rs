use std::collections::BTreeMap;

use agentcore_local::{InvocationFailure, LocalConfig, Notice};
use bytes::Bytes;
use futures::stream;
use reqwest::Body;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::aws::{Answer, config};
use crate::hosted::{Hosted, SESSION_ID, agent_name, patient, played, session};

const ARN: &str = "arn%3Aaws%3Abedrock-agentcore%3Aeu-west-1%3A123456789012%3Aruntime%2Fplayed-0ZUOP04U5z";

/// The largest payload, in bytes.
const LARGEST: usize = 100_000_000;

fn tell() -> Value {
    json!({ "do": "tell" })
}

/// The headers an agent was sent, by their names; several of one name are joined.
fn sent(told: &Value) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::<String, String>::new();
    for pair in told["headers"].as_array().expect("a list of headers") {
        let (name, value) = (pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value"));
        headers.entry(name.to_owned()).and_modify(|all| *all = format!("{all} | {value}")).or_insert(value.to_owned());
    }
    headers
}

impl Hosted {
    async fn told_to(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.aws.client.post(self.aws.url(path)).body(tell().to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::to(request).await
    }
}

// === who is called ===

#[tokio::test]
async fn a_session_id_has_33_to_256_characters() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let path = "/runtimes/played/invocations";
    for length in [33, 256] {
        let id = "i".repeat(length);
        let answer = hosted.told_to(path, &[(SESSION_ID, &id)]).await;
        assert_eq!((answer.status, answer.header(SESSION_ID)), (200, Some(id.as_str())), "{answer:?}");
        assert_eq!(sent(&answer.json())[SESSION_ID], id);
    }
    let mut told = Vec::new();
    for length in [0, 32, 257] {
        told.push(hosted.told_to(path, &[(SESSION_ID, &"i".repeat(length))]).await.sentence());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    400 ValidationException: 1 validation error detected: Value at 'runtimeSessionId' failed to satisfy constraint: Member must have length greater than or equal to 33
    400 ValidationException: 1 validation error detected: Value at 'runtimeSessionId' failed to satisfy constraint: Member must have length greater than or equal to 33
    400 ValidationException: 1 validation error detected: Value at 'runtimeSessionId' failed to satisfy constraint: Member must have length less than or equal to 256
    ");
}

#[tokio::test]
async fn a_caller_without_a_session_gets_one_and_can_stay_in_it() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let first = hosted.told_to("/runtimes/played/invocations", &[]).await;
    let id = first.header(SESSION_ID).expect("an id").to_owned();
    assert!(id.len() >= 33, "{id}");
    assert_eq!(sent(&first.json())[SESSION_ID], id, "the agent knows it too");
    let again = hosted.told_to("/runtimes/played/invocations", &[(SESSION_ID, &id)]).await;
    assert_eq!(again.json()["pid"], first.json()["pid"]);
    let other = hosted.told_to("/runtimes/played/invocations", &[]).await;
    assert_ne!(other.header(SESSION_ID), Some(id.as_str()));
}

#[tokio::test]
async fn an_agent_is_known_by_its_arn_its_id_its_name_and_its_alias() {
    let aliases = BTreeMap::from([(agent_name("agent"), agent_name("played"))]);
    let hosted = Hosted::of(LocalConfig { agents: vec![played(&[])], aliases, times: patient(), ..config() }).await;
    let pid = hosted.tell("one").await["pid"].clone();
    for runtime in [ARN, "played-0ZUOP04U5z", "played", "agent", "agent-0ZUOP04U5z"] {
        let path = format!("/runtimes/{runtime}/invocations?qualifier=DEFAULT");
        let answer = hosted.told_to(&path, &[(SESSION_ID, &session("one"))]).await;
        assert_eq!(answer.json()["pid"], pid, "{runtime}: one session, whatever it is called by");
    }
}

#[tokio::test]
async fn an_agent_that_is_not_here_is_told_with_those_that_are() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let mut told = Vec::new();
    for runtime in ["coach_companion", &ARN.replace("played", "coach_companion"), "agent", "9lives", &ARN[..20]] {
        told.push(hosted.told_to(&format!("/runtimes/{runtime}/invocations"), &[]).await.sentence());
    }
    told.push(hosted.told_to("/runtimes/coach_companion/stopruntimesession", &[]).await.sentence());
    insta::assert_snapshot!(told.join("\n"), @"
    404 ResourceNotFoundException: No endpoint or agent found with qualifier 'DEFAULT' for agent 'coach_companion'. Agents here: played.
    404 ResourceNotFoundException: No endpoint or agent found with qualifier 'DEFAULT' for agent 'coach_companion'. Agents here: played.
    404 ResourceNotFoundException: No endpoint or agent found with qualifier 'DEFAULT' for agent 'agent'. Agents here: played.
    400 ValidationException: 1 validation error detected: Value at 'agentRuntimeArn' failed to satisfy constraint: `9lives` names no runtime; it should be like arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/NAME-0123456789, or the name alone
    400 ValidationException: 1 validation error detected: Value at 'agentRuntimeArn' failed to satisfy constraint: `arn:aws:bedrock-` names no runtime; it should be like arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/NAME-0123456789, or the name alone
    404 ResourceNotFoundException: No endpoint or agent found with qualifier 'DEFAULT' for agent 'coach_companion'. Agents here: played.
    ");
}

// === what passes ===

#[tokio::test]
async fn headers_of_the_model_and_the_callers_own_reach_the_agent_and_no_others() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let session = session("one");
    let signature = "AWS4-HMAC-SHA256 Credential=AKIA/20261123/eu-west-1/bedrock-agentcore/aws4_request";
    let headers = [
        (SESSION_ID, session.as_str()),
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("authorization", signature),
        ("x-amz-date", "20261123T090000Z"),
        ("x-amz-security-token", "secret"),
        ("x-amzn-bedrock-agentcore-runtime-user-id", "ann"),
        ("x-amzn-bedrock-agentcore-runtime-request-id", "made up"),
        ("x-amzn-bedrock-agentcore-runtime-custom-mood", "fine"),
        ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "a=b"),
        ("baggage", "c=d"),
        ("mcp-session-id", "m"),
        ("cookie", "secret"),
        ("x-forwarded-for", "10.0.0.1"),
    ];
    let answer = hosted.told_to("/runtimes/played/invocations", &headers).await;
    let mut passed = sent(&answer.json());
    let request_id = passed.remove("x-amzn-bedrock-agentcore-runtime-request-id");
    assert_eq!(request_id.as_deref(), answer.header("x-amzn-requestid"), "the id is the service's, and one");
    assert!(passed.remove("host").is_some_and(|host| host.starts_with("127.0.0.1:")));
    let lines: Vec<String> = passed.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    accept: text/event-stream
    baggage: c=d
    content-length: 13
    content-type: application/json
    mcp-session-id: m
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
    tracestate: a=b
    x-amzn-bedrock-agentcore-runtime-custom-mood: fine
    x-amzn-bedrock-agentcore-runtime-session-id: one------------------------------
    x-amzn-bedrock-agentcore-runtime-user-id: ann
    x-amzn-trace-id: Root=1-5759e988-bd862e3fe1be46a994272793
    ");
}

#[tokio::test]
async fn a_bearer_token_is_for_the_agent() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let answer = hosted.told_to("/runtimes/played/invocations", &[("authorization", "Bearer token")]).await;
    assert_eq!(sent(&answer.json())["authorization"], "Bearer token");
}

#[tokio::test]
async fn headers_have_bounds() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let custom = |name: &str| format!("x-amzn-bedrock-agentcore-runtime-custom-{name}");
    let numbered: Vec<String> = (0..21).map(|number| custom(&format!("{number:02}"))).collect();
    let many: Vec<(&str, &str)> = numbered.iter().map(|name| (name.as_str(), "1")).collect();
    let path = "/runtimes/played/invocations";
    assert_eq!(hosted.told_to(path, &many[..20]).await.status, 200);
    let (long, longer) = ("v".repeat(4096), "v".repeat(4097));
    let own = custom("mood");
    assert_eq!(hosted.told_to(path, &[(&own, &long)]).await.status, 200);
    let (user, trace) = ("x-amzn-bedrock-agentcore-runtime-user-id", "traceparent");
    let mut told = Vec::new();
    for headers in [&many[..], &[(&own, &longer)], &[(user, &longer)], &[(user, "")], &[(trace, &longer)]] {
        told.push(hosted.told_to(path, headers).await.sentence());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    400 ValidationException: 1 validation error detected: Value at 'x-amzn-bedrock-agentcore-runtime-custom-20' failed to satisfy constraint: A request has at most 20 custom headers
    400 ValidationException: 1 validation error detected: Value at 'x-amzn-bedrock-agentcore-runtime-custom-mood' failed to satisfy constraint: Member must have length less than or equal to 4096
    400 ValidationException: 1 validation error detected: Value at 'x-amzn-bedrock-agentcore-runtime-user-id' failed to satisfy constraint: Member must have length between 1 and 1024
    400 ValidationException: 1 validation error detected: Value at 'x-amzn-bedrock-agentcore-runtime-user-id' failed to satisfy constraint: Member must have length between 1 and 1024
    400 ValidationException: 1 validation error detected: Value at 'traceparent' failed to satisfy constraint: Member must have length between 0 and 128
    ");
}

#[tokio::test]
async fn an_answer_has_the_agents_status_and_body_and_the_headers_of_the_model() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let headers = json!({
        "content-type": "text/plain", "x-secret": "1", "set-cookie": "a=b", "server": "cellar",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "mcp-session-id": "m",
    });
    let order = json!({ "do": "reply", "status": 202, "body": "Grüezi", "headers": headers });
    let answer = hosted.invoke("one", &order).await;
    let varying = ["date", "x-amzn-requestid"];
    let lines: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !varying.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
        .collect();
    insta::assert_snapshot!(format!("{}\n{}\n\n{}", answer.status, lines.join("\n"), answer.body), @"
    202
    content-type: text/plain
    mcp-session-id: m
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
    x-amzn-bedrock-agentcore-runtime-session-id: one------------------------------
    content-length: 7

    Grüezi
    ");
}

#[tokio::test]
async fn a_stream_arrives_frame_by_frame_as_it_is_written() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let order = json!({ "do": "stream", "frames": ["one", "two", "three"] });
    let mut answer = hosted.invocation("one", &order).send().await.expect("a stream");
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    // The agent writes each after the first only when this test has read the one before and says so.
    for frame in ["one", "two"] {
        let expected = format!("data: {frame}\n\n");
        assert_eq!(answer.chunk().await.expect("a frame").as_deref(), Some(expected.as_bytes()));
        hosted.invoke("one", &json!({ "do": "release" })).await.json();
    }
    assert_eq!(answer.text().await.expect("the rest"), "data: three\n\n");
    let finished = |notice: &Notice| match notice {
        Notice::InvocationFinished { number: 1, status, first_byte, total, .. } => {
            Some((status.as_u16(), first_byte < total))
        }
        _ => None,
    };
    assert_eq!(hosted.hear("the end of the stream", finished).await, (200, true));
}

// === what fails ===

#[tokio::test]
async fn an_agents_error_is_a_runtime_client_error_and_what_it_said_is_told_here() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let order = json!({ "do": "reply", "status": 500, "body": "{\"error\":\"the cellar is locked\"}" });
    insta::assert_snapshot!(hosted.invoke("one", &order).await.refusal(), @r#"
    424 RuntimeClientError
    {"message":"Received error (500) from runtime. Please check your CloudWatch logs for more information."}
    "#);
    insta::assert_snapshot!(hosted.hear_failure().await, @r#"the agent answered 500 Internal Server Error: {"error":"the cellar is locked"}"#);
    for status in [302, 400, 404, 503] {
        let answer = hosted.invoke("one", &json!({ "do": "reply", "status": status })).await;
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (424, Some("RuntimeClientError")), "{status}");
        assert!(answer.sentence().contains(&format!("({status})")), "{answer:?}");
    }
    assert_eq!(hosted.tell("one").await["path"], "/invocations", "the session goes on");
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_noticed_by_the_agent_before_its_answer() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let calling = tokio::spawn(hosted.invocation("one", &json!({ "do": "until_hung_up" })).send());
    hosted.hear_line("listening").await;
    calling.abort();
    hosted.hear_line("the caller is gone").await;
    assert_eq!(hosted.hear_failure().await, InvocationFailure::CallerLeft);
    assert_eq!(hosted.invoke("one", &tell()).await.status, 200, "and the session goes on");
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_noticed_by_the_agent_in_its_answer() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let order = json!({ "do": "until_hung_up", "streaming": true });
    let mut answer = hosted.invocation("one", &order).send().await.expect("a stream");
    assert_eq!(answer.chunk().await.expect("a frame").as_deref(), Some(&b"data: first\n\n"[..]));
    drop(answer);
    hosted.hear_line("the caller is gone").await;
    assert_eq!(hosted.hear_failure().await, InvocationFailure::CallerLeft);
}

#[tokio::test]
async fn a_fault_asked_for_with_an_invocation_meets_the_model_calls_of_its_session_alone() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let order = json!({ "do": "call_the_model" });
    let asking = hosted.invocation("one", &order).header("x-amzn-bedrock-agentcore-runtime-custom-fault", "throttle");
    let faulty = Answer::to(asking).await;
    assert_eq!(faulty.json()["status"], 429);
    for name in ["one", "two"] {
        assert_eq!(hosted.invoke(name, &order).await.json()["status"], 200, "{name}");
    }
    let of = |notice: &Notice| match notice {
        Notice::ModelCalled { session: of, .. } if *of.id == session("two") => Some(()),
        _ => None,
    };
    hosted.hear("the second session's model call", of).await;
}

// === a hundred megabytes ===

/// A body that says its length only by its end.
fn unsaid_length(length: usize) -> Body {
    const PIECE: usize = 1 << 20;
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let sizes = (0..length.div_ceil(PIECE)).map(move |number| PIECE.min(length - number * PIECE));
    Body::wrap_stream(stream::iter(sizes.map(move |size| Ok::<_, std::io::Error>(piece.slice(..size)))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_of_a_hundred_megabytes_passes_and_one_more_byte_does_not() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let request = || hosted.invocation("one", &Value::Null);
    let passed = Answer::to(request().body(unsaid_length(LARGEST))).await;
    assert_eq!((passed.status, passed.body.as_str()), (200, "100000000"));
    let refused = Answer::to(request().body(unsaid_length(LARGEST + 1))).await;
    insta::assert_snapshot!(refused.refusal(), @r#"
    400 ValidationException
    {"message":"1 validation error detected: Value at 'payload' failed to satisfy constraint: Member must have length less than or equal to 100000000","reason":"FieldValidationFailed","fieldList":[{"name":"payload","message":"Member must have length less than or equal to 100000000"}]}
    "#);
    let failure = hosted.hear_failure().await;
    assert!(matches!(failure, InvocationFailure::Refused(_)), "{failure:?}");
}

#[tokio::test]
async fn a_payload_that_says_it_is_too_long_is_refused_before_it_is_sent() {
    let hosted = Hosted::start(played(&[]), patient()).await;
    let mut stream = TcpStream::connect(hosted.aws.local.address()).await.expect("it listens");
    let head = format!(
        "POST /runtimes/played/invocations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        LARGEST + 1
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("x-amzn-errortype: ValidationException"),
        "{answer}"
    );
    assert!(answer.contains("Member must have length less than or equal to 100000000"), "{answer}");
    assert!(hosted.so_far().is_empty(), "no session began");
}
