use std::collections::BTreeSet;

use agentcore_local::{Agent, AgentSource, Exposure, LocalConfig, Protocol, StartError};
use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::aws::{Answer, Aws, config};
use crate::hosted::{agent_name, played};

/// One path of each service, and one of none.
const PATHS: [&str; 4] = [
    "/memories/coach_memory-abcdefghij/actors",
    "/runtimes/played/invocations",
    "/model/eu.anthropic.claude-3-5-sonnet-20240620-v1:0/converse",
    "/nothing/here",
];

async fn posted(aws: &Aws, path: &str, name: &str, value: &str) -> Answer {
    Answer::to(aws.client.post(aws.url(path)).header(name, value).body("{}")).await
}

async fn refused(config: LocalConfig) -> StartError {
    Aws::try_start(config).await.err().expect("it does not start")
}

// === who may come in ===

#[tokio::test]
async fn a_name_that_somebody_pointed_here_is_not_served() {
    let aws = Aws::start(config()).await;
    insta::assert_snapshot!(posted(&aws, PATHS[0], "host", "evil.example").await.refusal(), @r#"
    403 AccessDeniedException
    {"message":"The Host header names evil.example; call this server as localhost or 127.0.0.1."}
    "#);
    for path in PATHS {
        for host in ["evil.example:4570", "localhost.evil.example", "192.168.1.7"] {
            let answer = posted(&aws, path, "host", host).await;
            assert_eq!((answer.status, answer.header("x-amzn-errortype")), (403, Some("AccessDeniedException")));
        }
    }
    assert_eq!(posted(&aws, PATHS[0], "host", "localhost:4570").await.status, 200);
}

#[tokio::test]
async fn a_request_that_names_no_host_is_not_served() {
    let aws = Aws::start(config()).await;
    let mut stream = TcpStream::connect(aws.local.address()).await.expect("it listens");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    assert!(answer.starts_with("HTTP/1.0 403 "), "{answer}");
    assert!(
        answer.contains("The Host header names not one host; call this server as localhost or 127.0.0.1."),
        "{answer}"
    );
}

#[tokio::test]
async fn a_name_that_was_allowed_is_served() {
    let aws = Aws::start(LocalConfig { allowed_hosts: vec!["host.docker.internal".to_owned()], ..config() }).await;
    assert_eq!(posted(&aws, PATHS[0], "host", "host.docker.internal:4570").await.status, 200);
}

#[tokio::test]
async fn a_web_page_from_elsewhere_may_not_call() {
    let aws = Aws::start(config()).await;
    insta::assert_snapshot!(posted(&aws, PATHS[0], "origin", "https://evil.example").await.refusal(), @r#"
    403 AccessDeniedException
    {"message":"Web pages of other origins may not call this server."}
    "#);
    assert_eq!(posted(&aws, PATHS[0], "origin", "null").await.status, 403);
    assert_eq!(posted(&aws, PATHS[0], "origin", "http://localhost:3000").await.status, 200);
}

// === what every answer has ===

#[tokio::test]
async fn what_is_not_there_is_told_in_the_form_of_aws() {
    let aws = Aws::start(config()).await;
    let mut told = Vec::new();
    for (method, path) in [
        (Method::GET, "/"),
        (Method::POST, "/nothing/here"),
        (Method::GET, PATHS[1]),
        (Method::PUT, "/memories/coach_memory-abcdefghij/events"),
    ] {
        told.push(aws.call(method, path, "").await.refusal());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    404 UnknownOperationException
    {"message":"There is no GET / here."}
    404 UnknownOperationException
    {"message":"There is no POST /nothing/here here."}
    404 UnknownOperationException
    {"message":"There is no GET /runtimes/played/invocations here."}
    404 UnknownOperationException
    {"message":"There is no PUT /memories/coach_memory-abcdefghij/events here."}
    "#);
}

#[tokio::test]
async fn a_path_that_is_no_text_is_told_in_the_form_of_aws() {
    let aws = Aws::start(config()).await;
    let mut told = Vec::new();
    for path in
        ["/runtimes/%FF/invocations", "/memories/%FF/actors", "/memories/m/actor/%FF/sessions/s", "/model/%FF/converse"]
    {
        told.push(aws.post(path, &json!({})).await.refusal());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    400 ValidationException
    {"message":"Invalid URL: Invalid UTF-8 in `runtime`"}
    400 ValidationException
    {"message":"Invalid URL: Invalid UTF-8 in `memory`"}
    400 ValidationException
    {"message":"Invalid URL: Invalid UTF-8 in `actor`"}
    400 ValidationException
    {"message":"Invalid URL: Invalid UTF-8 in `model_id`"}
    "#);
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let aws = Aws::start(config()).await;
    let mut ids = BTreeSet::new();
    for path in PATHS {
        for host in ["localhost", "evil.example"] {
            let answer = posted(&aws, path, "host", host).await;
            let id = answer.header("x-amzn-requestid").unwrap_or_else(|| panic!("no id: {answer:?}"));
            assert!(ids.insert(id.to_owned()), "{id} came twice");
        }
    }
}

// === what cannot start ===

#[tokio::test]
async fn a_port_in_use_is_told_and_nothing_is_left_of_the_attempt() {
    let aws = Aws::start(config()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let kept = || LocalConfig { data_directory: Some(directory.path().to_owned()), ..config() };
    let error = refused(LocalConfig { address: aws.local.address(), ..kept() }).await;
    assert!(matches!(error, StartError::AddressInUse { .. }), "{error:?}");
    let address = aws.local.address().to_string();
    insta::assert_snapshot!(error.to_string().replace(&address, "[address]"), @"[address] is in use, perhaps by another local AWS; stop that one, or choose another port (0 picks a free one)");
    Aws::start(kept()).await;
}

#[tokio::test]
async fn a_failed_start_gives_its_port_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let kept = || LocalConfig { data_directory: Some(directory.path().to_owned()), ..config() };
    let owner = Aws::start(kept()).await;
    let free = Aws::start(config()).await;
    let address = free.local.address();
    free.local.shutdown().await;
    assert!(matches!(refused(LocalConfig { address, ..kept() }).await, StartError::Memory(_)));
    Aws::start(LocalConfig { address, ..config() }).await;
    owner.local.shutdown().await;
}

#[tokio::test]
async fn what_others_can_reach_is_listened_on_only_on_purpose() {
    let everywhere = LocalConfig { address: "0.0.0.0:0".parse().expect("an address"), ..config() };
    insta::assert_snapshot!(refused(everywhere.clone()).await, @"0.0.0.0:0 can be reached from other machines, and nobody has to prove who they are here; listen on 127.0.0.1, or allow it on purpose");
    let aws = Aws::start(LocalConfig { exposure: Exposure::Anyone, ..everywhere }).await;
    let port = aws.local.address().port();
    let called = |host: &str| {
        let request = aws.client.post(format!("http://127.0.0.1:{port}{}", PATHS[0]));
        Answer::to(request.header("host", host.to_owned()).body("{}"))
    };
    assert_eq!(called("192.168.1.7").await.status, 200, "by its address, from another machine");
    assert_eq!(called("evil.example").await.status, 403, "but by no name");
}

#[tokio::test]
async fn agents_that_cannot_be_hosted_are_told() {
    let at = |url: &str| Agent {
        name: agent_name("coach"),
        source: AgentSource::Url(url.parse().expect("a URL")),
        protocol: Protocol::Http,
    };
    let mut told = Vec::new();
    for agents in [vec![played(&[]), played(&[])], vec![at("https://127.0.0.1:8443")], vec![at("/relative")]] {
        told.push(refused(LocalConfig { agents, ..config() }).await.to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    there are two agents called played; give one of them another name
    agent coach: `https://127.0.0.1:8443/` is no agent's address: it has to be like http://127.0.0.1:8080 (https is not for local agents)
    agent coach: `/relative` is no agent's address: it has to be like http://127.0.0.1:8080 (https is not for local agents)
    ");
}
