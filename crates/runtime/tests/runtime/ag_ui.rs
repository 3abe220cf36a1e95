//! An app over AG-UI that reads nothing for a while. What AG-UI's own client makes of an agent is in
//! `tests/system/ag_ui.rs`.

use std::sync::Arc;

use agentcore_runtime::Protocol;
use agentcore_runtime::core::memory::process::ProcessMemory;
use serde_json::{Value, json};

use crate::played::Served;

fn served() -> Served {
    Served::of(Arc::new(ProcessMemory::default()), |server| server.speaking(Protocol::AgUi))
}

fn run(served: &Served, prompt: &str) -> reqwest::RequestBuilder {
    run_in(served, "a-thread", prompt)
}

fn run_in(served: &Served, thread: &str, prompt: &str) -> reqwest::RequestBuilder {
    served.client.post(served.url("/invocations")).body(input(thread, prompt).to_string())
}

fn input(thread: &str, prompt: &str) -> Value {
    let message = json!({ "id": "1", "role": "user", "content": prompt });
    json!({ "threadId": thread, "runId": "a-run", "messages": [message] })
}

/// The events of a stream.
fn events(body: &str) -> Vec<Value> {
    let frames = body.split("\n\n").filter_map(|frame| frame.strip_prefix("data: "));
    frames.map(|text| serde_json::from_str(text).expect("a frame is JSON")).collect()
}

fn said(body: &str) -> String {
    let events = events(body);
    assert_eq!(events.last().expect("an end")["type"], "RUN_FINISHED", "{body}");
    events.iter().filter_map(|event| event["delta"].as_str()).collect()
}

/// The answer is larger than all that sockets hold.
#[tokio::test]
async fn a_slow_reader_keeps_nobody_else_waiting_and_misses_nothing() {
    let served = served();
    let long = "word ".repeat(1_600_000);
    let slow = run_in(&served, "a slow one", &long).send().await.expect("a stream");
    assert_eq!(slow.headers()["content-type"], "text/event-stream; charset=utf-8");

    for number in 0..20 {
        let quick = run_in(&served, &format!("thread-{number}"), "Hello!").send().await.expect("a stream");
        assert_eq!(said(&quick.text().await.expect("a body")), "before: []; now: Hello!");
    }

    let text = said(&slow.text().await.expect("the whole of it"));
    assert!(text.ends_with(&long), "{} bytes of more than {}", text.len(), long.len());
    served.until(async || served.ping().await["status"] == "Healthy").await;
}

#[tokio::test]
async fn an_agent_that_panics_fails_alone() {
    let served = served();
    let failed = run(&served, "panic").send().await.expect("an answer");
    assert_eq!(failed.status(), 500);
    assert!(failed.text().await.expect("a body").contains("internal_error"));
    let next = run(&served, "Hello!").send().await.expect("an answer").text().await.expect("a body");
    assert_eq!(said(&next), "before: []; now: Hello!");
}

#[tokio::test]
async fn somebody_in_danger_is_answered_by_the_guard() {
    let served = served();
    let told = run(&served, "danger").send().await.expect("a stream").text().await.expect("a body");
    assert_eq!(said(&told), "Help is on its way.");
    assert_eq!(events(&told).last().expect("an end")["result"]["safety"]["severity"], "crisis");
}

#[cfg(feature = "websocket")]
mod over_a_websocket {
    use futures::{SinkExt as _, StreamExt as _};
    use tokio::net::TcpStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::{WebSocketStream, client_async};

    use super::*;

    async fn connected(served: &Served) -> WebSocketStream<TcpStream> {
        let stream = TcpStream::connect(served.address).await.expect("it listens");
        client_async(format!("ws://{}/ws", served.address), stream).await.expect("a handshake").0
    }

    async fn say(socket: &mut WebSocketStream<TcpStream>, message: &Value) {
        socket.send(Message::text(message.to_string())).await.expect("it reads");
    }

    async fn next(socket: &mut WebSocketStream<TcpStream>) -> Value {
        loop {
            if let Message::Text(text) = socket.next().await.expect("a message").expect("a message") {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }

    /// The kinds of the events up to a run's end, and the last of them.
    async fn told(socket: &mut WebSocketStream<TcpStream>) -> (String, Value) {
        let mut kinds = Vec::new();
        loop {
            let event = next(socket).await;
            kinds.push(event["type"].as_str().expect("a type").to_owned());
            if kinds.last().is_some_and(|kind| kind == "RUN_FINISHED" || kind == "RUN_ERROR") {
                kinds.dedup();
                return (kinds.join(" "), event);
            }
        }
    }

    #[tokio::test]
    async fn runs_are_told_one_after_another_and_what_makes_no_sense_is_refused() {
        let served = served();
        let mut socket = connected(&served).await;
        say(&mut socket, &input("a-thread", "One")).await;
        say(&mut socket, &input("another", "Two")).await;
        let (kinds, first) = told(&mut socket).await;
        insta::assert_snapshot!(kinds, @"RUN_STARTED STEP_STARTED TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END STEP_FINISHED RUN_FINISHED");
        let (_, second) = told(&mut socket).await;
        assert_eq!((&first["threadId"], &second["threadId"]), (&json!("a-thread"), &json!("another")));
        assert_eq!(first["result"]["session_id"], second["result"]["session_id"], "the session is the connection's");

        say(&mut socket, &json!({ "prompt": "One" })).await;
        let (kinds, refused) = told(&mut socket).await;
        assert_eq!((kinds.as_str(), &refused["message"]), ("RUN_ERROR", &json!("Invalid RunAgentInput")), "{refused}");
    }

    #[tokio::test]
    async fn a_run_that_is_cancelled_ends_its_message_and_says_so() {
        let served = served();
        let mut socket = connected(&served).await;
        served.model.words.add_permits(1);
        say(&mut socket, &input("a-thread", "slow")).await;
        while next(&mut socket).await["type"] != "TEXT_MESSAGE_CONTENT" {}

        say(&mut socket, &json!({ "cancel": true })).await;

        let (kinds, cancelled) = told(&mut socket).await;
        insta::assert_snapshot!(kinds, @"TEXT_MESSAGE_END STEP_FINISHED RUN_ERROR");
        assert_eq!(cancelled["code"], "CANCELLED", "{cancelled}");
    }
}
