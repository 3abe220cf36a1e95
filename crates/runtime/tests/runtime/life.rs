use std::sync::Arc;
use std::time::{Duration, Instant};

use agentcore_runtime::Server;
use agentcore_runtime::core::memory::identity::SessionKey;
use agentcore_runtime::core::memory::process::ProcessMemory;
use agentcore_runtime::core::memory::{KeptTurn, SessionMemory};
use agentcore_runtime::core::message::Message;
use agentcore_runtime::prelude::*;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::played::{Playing, Served};

/// Says when it prepares, and takes for ever.
struct Thorough {
    prepares: Arc<Notify>,
}

impl Agent for Thorough {
    type Payload = Prompt;
    const NAME: &'static str = "thorough";

    fn prepare(&self) {
        self.prepares.notify_one();
        loop {
            std::thread::park();
        }
    }

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        payload.turn()
    }
}

#[tokio::test]
async fn an_agent_prepares_itself_beside_everything_else() {
    let (prepares, end) = (Arc::new(Notify::new()), CancellationToken::new());
    let agent = Thorough { prepares: Arc::clone(&prepares) };
    let memory = Arc::new(ProcessMemory::default());
    let listening = Server::new(agent, Arc::new(Playing::new()), memory).listen().expect("a free port");
    let ping = format!("http://{}/ping", listening.address());
    let ended = tokio::spawn(listening.serve_until(end.clone()));
    prepares.notified().await;
    // Nothing here is encrypted; the client wants to know how it would be.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
    let answer = client.get(ping).send().await.expect("a ping");
    assert!(answer.status().is_success());
    end.cancel();
    ended.await.expect("no panic").expect("a quiet end");
}

async fn remembered(memory: &ProcessMemory, session: &str) -> Vec<String> {
    let loaded = memory.load(&SessionKey::new(None, session), usize::MAX / 2).await.expect("readable");
    loaded.turns.iter().flat_map(KeptTurn::messages).map(Message::text).collect()
}

#[tokio::test]
async fn a_client_that_goes_away_cuts_its_turn_and_what_was_said_is_remembered() {
    let memory = Arc::new(ProcessMemory::default());
    let served = Served::with_memory(Arc::clone(&memory) as Arc<dyn SessionMemory>);
    let request = served.prompt("one", "slow story").header("accept", "text/event-stream");
    let mut response = request.send().await.expect("a stream");
    served.model.words.add_permits(1);
    let mut read = String::new();
    while !read.contains("before: []") {
        let chunk = response.chunk().await.expect("a chunk").expect("not the end");
        read += &String::from_utf8_lossy(&chunk);
    }
    drop(response);
    served.until(async || served.ping().await["status"] == "Healthy").await;
    assert_eq!(remembered(&memory, "one").await, ["slow story", "before: []; "]);
    let next = served.answer(served.prompt("one", "Go on")).await;
    assert!(next.starts_with("200") && next.contains("slow story"), "{next}");
}

#[tokio::test]
async fn a_client_that_goes_away_before_a_whole_answer_leaves_no_trace() {
    let memory = Arc::new(ProcessMemory::default());
    let served = Served::with_memory(Arc::clone(&memory) as Arc<dyn SessionMemory>);
    let asking = tokio::spawn(served.prompt("one", "slow").send());
    served.until(async || served.ping().await["status"] == "HealthyBusy").await;
    asking.abort();
    served.until(async || served.ping().await["status"] == "Healthy").await;
    assert!(remembered(&memory, "one").await.is_empty());
}

#[tokio::test]
async fn given_the_end_then_a_turn_may_finish_within_the_bound() {
    let served = Served::start();
    let asking = tokio::spawn(served.prompt("one", "slow").send());
    served.until(async || served.model.asked() > 0).await;
    let model = served.model.clone();
    served.begin_to_end();
    model.words.add_permits(1);
    let response = asking.await.expect("no panic").expect("an answer");
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.text().await.expect("a body").contains("now: slow"));
    served.end().await.expect("a quiet end");
}

#[tokio::test]
async fn given_the_end_then_a_turn_beyond_the_bound_is_cut_told_and_remembered() {
    let memory = Arc::new(ProcessMemory::default());
    let store = Arc::clone(&memory) as Arc<dyn SessionMemory>;
    let served = Served::of(store, |server| server.drain(Duration::from_millis(50)));
    let request = served.prompt("one", "slow story").header("accept", "text/event-stream");
    let mut response = request.send().await.expect("a stream");
    served.model.words.add_permits(1);
    let mut read = String::new();
    while !read.contains("before: []") {
        read += &String::from_utf8_lossy(&response.chunk().await.expect("a chunk").expect("not the end"));
    }
    let began = Instant::now();
    served.end().await.expect("a quiet end");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let rest = response.text().await.expect("the last frame");
    assert!(rest.contains(r#""code":"cut""#), "{rest}");
    assert_eq!(remembered(&memory, "one").await, ["slow story", "before: []; "]);
}

#[tokio::test]
async fn given_the_end_then_nobody_new_is_let_in() {
    let served = Served::start();
    let (address, client) = (served.address, served.client.clone());
    served.end().await.expect("a quiet end");
    assert!(client.get(format!("http://{address}/ping")).send().await.is_err());
}

/// One is served, sixteen wait, and one is one too many.
#[tokio::test]
async fn a_session_in_which_too_many_wait_turns_the_next_one_away_and_serves_the_others() {
    let served = Served::start();
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..18 {
        let request = served.prompt("one", &format!("slow {number}"));
        asking.spawn(async move { request.send().await.expect("an answer") });
    }
    let refused = asking.join_next().await.expect("one").expect("no panic");
    assert_eq!(refused.status().as_u16(), 409);
    assert_eq!(refused.headers()["retry-after"], "2");
    let body = refused.text().await.expect("a body");
    assert!(body.contains("session_busy") && body.contains("Please try again"), "{body}");
    served.model.words.add_permits(100);
    while let Some(answered) = asking.join_next().await {
        assert_eq!(answered.expect("no panic").status().as_u16(), 200);
    }
}
