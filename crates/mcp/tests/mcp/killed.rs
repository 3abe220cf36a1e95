//! Must show: a server is killed and started again in the middle of a conversation, over both transports,
//! and its tools work again without this process being started again.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::conversation::{SOON, call, call_twice, eventually, failure, offered, text};
use crate::everything;
use crate::kitchen::Kitchen;
use crate::process::signal;

/// Kills a process of ours, and waits until it is gone.
async fn kill(process: u32) {
    signal("KILL", process);
    let deadline = Instant::now() + SOON;
    while is_there(process) {
        assert!(Instant::now() < deadline, "{process} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_there(process: u32) -> bool {
    let asked = Command::new("kill").args(["-0", &process.to_string()]).stderr(Stdio::null()).status();
    asked.expect("kill runs").success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_ours_that_is_killed_is_started_again_by_the_next_call() {
    let Kitchen { server, .. } = &Kitchen::over_stdio();
    let first = text(&call(server, "kitchen__process", json!({})).await).to_owned();
    call(server, "kitchen__learn", json!({ "name": "fry" })).await;

    kill(first.parse().expect("a process")).await;
    let second = text(&call(server, "kitchen__process", json!({})).await).to_owned();

    assert_ne!(first, second);
    assert!(!offered(server).await.contains(&"kitchen__fry".to_owned()), "the tools were listed again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_between_two_rounds_of_one_turn_is_back_in_the_second() {
    let Kitchen { server, .. } = &Kitchen::over_stdio();
    let killed: u32 = text(&call(server, "kitchen__process", json!({})).await).parse().expect("a process");
    let [before, after] = call_twice(server, "kitchen__process", json!({}), move || Box::pin(kill(killed))).await;
    assert_eq!(text(&before), killed.to_string());
    assert_ne!(text(&after), killed.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn mcps_own_server_that_is_killed_is_started_again_between_turns_and_between_the_rounds_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let process = folder.path().join("process");
    let server = &everything::over_stdio_noting(&process);
    let running = move || -> u32 {
        let noted = std::fs::read_to_string(&process).expect("its number is noted");
        noted.trim().parse().expect("a process")
    };
    assert_eq!(text(&call(server, "all__echo", json!({ "message": "one" })).await), "Echo: one");
    let first = running();

    kill(first).await;
    assert_eq!(text(&call(server, "all__echo", json!({ "message": "two" })).await), "Echo: two");
    let second = running();
    assert_ne!(first, second);

    let now = running.clone();
    let [before, after] =
        call_twice(server, "all__get-sum", json!({ "a": 2, "b": 3 }), move || Box::pin(kill(now()))).await;
    assert_eq!([text(&before), text(&after)], ["The sum of 2 and 3 is 5."; 2]);
    assert_ne!(running(), second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_under_way_when_its_server_is_killed_is_not_repeated() {
    let kitchen = &Kitchen::over_stdio();
    let process = text(&call(&kitchen.server, "kitchen__process", json!({})).await).parse().expect("a process");
    let turn = call(&kitchen.server, "kitchen__slow", json!({ "steps": 600, "seconds": 0.1 }));
    let killing = async {
        eventually("the call", async || kitchen.journal().iter().any(|line| line == "begun").then_some(())).await;
        signal("KILL", process);
    };

    let (broken, ()) = tokio::join!(turn, killing);

    insta::assert_snapshot!(failure(&broken), @"The connection to the server of kitchen__slow broke off during the call. It may have done its work.");
    assert_eq!(kitchen.journal(), ["begun"], "it was called once");
    assert_eq!(text(&call(&kitchen.server, "kitchen__echo", json!({ "text": "here" })).await), "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_http_that_is_started_again_is_found_again() {
    let mut kitchen = Kitchen::over_http();
    let first = text(&call(&kitchen.server, "kitchen__process", json!({})).await).to_owned();

    kitchen.close();
    let known = offered(&kitchen.server).await;
    assert!(known.contains(&"kitchen__echo".to_owned()), "its last known tools stay: {known:?}");
    let down = call(&kitchen.server, "kitchen__echo", json!({ "text": "anybody?" })).await;
    insta::assert_snapshot!(failure(&down), @"The server of kitchen__echo cannot be reached now. Go on without it.");

    kitchen.open_again();
    let second = eventually("an answer", async || {
        let called = call(&kitchen.server, "kitchen__process", json!({})).await;
        (called.result["status"] == "success").then(|| text(&called).to_owned())
    });
    assert_ne!(second.await, first);
    let learnt = call(&kitchen.server, "kitchen__learn", json!({ "name": "fry" })).await;
    assert_eq!(text(&learnt), "learnt");
    let server = &kitchen.server;
    eventually("a new tool", async || offered(server).await.contains(&"kitchen__fry".to_owned()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_http_that_goes_away_during_a_call_does_not_hold_the_turn_up() {
    let mut kitchen = Kitchen::over_http();
    let process = text(&call(&kitchen.server, "kitchen__process", json!({})).await).parse().expect("a process");
    let server = kitchen.server.clone();
    let turn =
        tokio::spawn(async move { call(&server, "kitchen__slow", json!({ "steps": 600, "seconds": 0.1 })).await });
    eventually("the call", async || kitchen.journal().iter().any(|line| line == "begun").then_some(())).await;

    signal("KILL", process);
    kitchen.close();

    let broken = turn.await.expect("no panic");
    assert!(failure(&broken).contains("broke off during the call"), "{broken:?}");
}
