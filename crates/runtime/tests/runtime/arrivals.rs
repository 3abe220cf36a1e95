//! Whoever comes first to a session is answered first, however long their payload travels.

use std::sync::Arc;

use agentcore_runtime::core::memory::process::ProcessMemory;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::played::Served;

/// An invocation whose headers and the first half of whose payload have been sent.
struct OnItsWay {
    connection: TcpStream,
    rest: Vec<u8>,
}

impl OnItsWay {
    /// Begins one, and waits until it has arrived.
    async fn begin(served: &Served, session: &str, payload: &str) -> Self {
        let mut connection = TcpStream::connect(served.address).await.expect("a connection");
        let (half, rest) = payload.as_bytes().split_at(payload.len() / 2);
        let head = format!(
            "POST /invocations HTTP/1.1\r\nhost: agent\r\nconnection: close\r\ncontent-length: {}\r\n\
             x-amzn-bedrock-agentcore-runtime-session-id: {session}\r\n\r\n",
            payload.len()
        );
        connection.write_all(&[head.as_bytes(), half].concat()).await.expect("sent");
        served.until(async || jobs(served).await.contains(&"reading a payload".to_owned())).await;
        Self { connection, rest: rest.to_vec() }
    }

    /// Sends what is left of it: the answer.
    async fn finish(mut self) -> String {
        self.connection.write_all(&self.rest).await.expect("sent");
        let mut answer = String::new();
        self.connection.read_to_string(&mut answer).await.expect("an answer");
        answer
    }
}

fn served() -> Served {
    Served::of(Arc::new(ProcessMemory::default()), agentcore_runtime::Server::debug)
}

/// What the process is busy with, but for the question.
async fn jobs(served: &Served) -> Vec<String> {
    let asking = served.invocation("somebody-else", r#"{"_agent_core_app_action": "job_status"}"#);
    let status: Value =
        serde_json::from_str(&asking.send().await.expect("an answer").text().await.expect("a body")).expect("JSON");
    let jobs = status["running_jobs"].as_array().unwrap_or_else(|| panic!("no jobs: {status}"));
    jobs.iter().map(|job| job["name"].as_str().expect("a name").to_owned()).collect()
}

/// Sends prompts one after another and waits until all of them stand in the row, read and understood.
async fn wait_in_row(served: &Served, session: &str, prompts: &[String]) -> JoinSet<(usize, String)> {
    let mut waiting = JoinSet::new();
    for (place, prompt) in prompts.iter().enumerate() {
        let request = served.prompt(session, prompt);
        waiting.spawn(async move {
            let answer = request.send().await.expect("an answer");
            (place, format!("{} {}", answer.status().as_u16(), answer.text().await.expect("a body")))
        });
        let understood = async || jobs(served).await.iter().filter(|job| *job == "invocation").count() > place;
        served.until(understood).await;
    }
    waiting
}

fn prompts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("words {number}")).collect()
}

fn picture() -> String {
    json!({ "prompt": "A picture", "pad": "x".repeat(1_000) }).to_string()
}

#[tokio::test]
async fn words_sent_after_a_picture_are_answered_after_it_and_after_each_other() {
    let served = served();
    let picture = OnItsWay::begin(&served, "one", &picture()).await;
    let mut words = wait_in_row(&served, "one", &prompts(3)).await;
    assert_eq!(served.ping().await["status"], "HealthyBusy", "nobody else waits");
    assert!(served.answer(served.prompt("two", "Hello")).await.starts_with("200"), "another session does not wait");

    assert!(picture.finish().await.contains("before: []; now: A picture"));
    let mut answers = vec![String::new(); 3];
    while let Some(answered) = words.join_next().await {
        let (place, answer) = answered.expect("no panic");
        answers[place] = answer;
    }
    for (place, answer) in answers.iter().enumerate() {
        let known: Vec<bool> = prompts(3).iter().map(|prompt| answer.contains(prompt)).collect();
        assert_eq!(known, [true, place > 0, place > 1], "{answers:#?}");
        assert!(answer.contains("A picture"), "{answers:#?}");
    }
}

#[tokio::test]
async fn a_payload_that_is_refused_gives_its_place_back() {
    let served = served();
    let refused = OnItsWay::begin(&served, "one", r#"{"prompt": 7, "message": "not a text"}"#).await;
    let mut words = wait_in_row(&served, "one", &prompts(1)).await;
    assert!(refused.finish().await.starts_with("HTTP/1.1 400"));
    let (_, answer) = words.join_next().await.expect("one").expect("no panic");
    assert!(answer.starts_with("200") && answer.contains("before: []"), "{answer}");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_of_its_payload_holds_nobody_up() {
    let served = served();
    let leaving = OnItsWay::begin(&served, "one", &picture()).await;
    let mut words = wait_in_row(&served, "one", &prompts(1)).await;
    drop(leaving);
    let (_, answer) = words.join_next().await.expect("one").expect("no panic");
    assert!(answer.starts_with("200") && answer.contains("before: []"), "{answer}");
    served.until(async || jobs(&served).await.is_empty()).await;
}

/// One is on its way, sixteen wait, and one is one too many, but not for who is in danger.
#[tokio::test]
async fn those_on_their_way_count_among_those_who_wait() {
    let served = served();
    let picture = OnItsWay::begin(&served, "one", &picture()).await;
    let mut words = wait_in_row(&served, "one", &prompts(16)).await;
    assert!(served.answer(served.prompt("one", "one more")).await.starts_with("409 retry-after: 2"));
    assert!(served.answer(served.prompt("one", "danger")).await.starts_with("200"));
    assert!(picture.finish().await.contains("200 OK"));
    while let Some(answered) = words.join_next().await {
        let (place, answer) = answered.expect("no panic");
        assert!(answer.starts_with("200"), "{place}: {answer}");
    }
    assert!(served.answer(served.prompt("one", "and now")).await.starts_with("200"));
}
