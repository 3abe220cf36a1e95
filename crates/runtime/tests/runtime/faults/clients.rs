//! The clients of a simulation: HTTP/1.1 over pipes in memory, well-behaved and not.

use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::Answer;
use super::board::Board;
use super::disk::millis;
use super::model::payload;
use super::script::{Client, Turn};

/// How many bytes are between the two ends of a connection at the most.
const PIPE: usize = 1_024;

/// Takes connections that clients of the same process open.
pub(super) struct Pipes(mpsc::Receiver<DuplexStream>);

/// Where clients come in.
#[derive(Clone)]
pub(super) struct Door {
    pipes: mpsc::Sender<DuplexStream>,
    pub(super) began: Instant,
}

/// A door and what is behind it.
pub(super) fn door() -> (Door, Pipes) {
    let (sender, receiver) = mpsc::channel(1_024);
    (Door { pipes: sender, began: Instant::now() }, Pipes(receiver))
}

// === impl Pipes ===

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(pipe) => (pipe, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

// === impl Door ===

impl Door {
    /// Milliseconds since the process began.
    pub(super) fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    pub(super) async fn wait_until(&self, at: u64) {
        sleep_until(self.began + Duration::from_millis(at)).await;
    }

    /// A connection; none when nobody listens any more.
    async fn connect(&self) -> Option<DuplexStream> {
        let (ours, theirs) = duplex(PIPE);
        self.pipes.send(theirs).await.ok().map(|()| ours)
    }

    /// Asks whether the process is busy: the status, and since when.
    pub(super) async fn ping(&self) -> Option<(String, u64)> {
        let bytes = self.exchange(b"GET /ping HTTP/1.1\r\nhost: simulated\r\nconnection: close\r\n\r\n").await?;
        let body: Value = serde_json::from_str(String::from_utf8_lossy(&bytes).split_once("\r\n\r\n")?.1).ok()?;
        Some((body["status"].as_str()?.to_owned(), body["time_of_last_update"].as_u64()?))
    }

    /// Sends a request and reads its whole answer.
    async fn exchange(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut pipe = self.connect().await?;
        pipe.write_all(request).await.ok()?;
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).await.ok()?;
        Some(bytes)
    }

    /// Says something in a session and gives the answer.
    pub(super) async fn say(&self, turn: &Turn, padding: usize) -> Option<Answer> {
        let mut body = payload(turn);
        body["padding"] = "x".repeat(padding).into();
        let bytes = self.exchange(&[head(turn, body.to_string().len()), body.to_string().into_bytes()].concat()).await;
        Some(Answer::of(&bytes?))
    }

    /// Does what the client of the turn does, and writes down what it sees.
    pub(super) async fn visit(self, turn: Turn, life: usize, board: Arc<Board>) {
        self.wait_until(turn.at).await;
        board.of(&turn, |seen| (seen.began, seen.life) = (self.now(), Some(life)));
        if let Some(pipe) = self.connect().await {
            let visit = self.converse(pipe, &turn, &board);
            match turn.client {
                Client::Leaves { after: bound }
                | Client::NeverReads { leaves: bound }
                | Client::StopsSending { leaves: bound } => {
                    if tokio::time::timeout(Duration::from_millis(bound), visit).await.is_err() {
                        board.of(&turn, |seen| seen.left = true);
                    }
                }
                _ => visit.await,
            }
        }
        board.ended(&turn, self.now());
    }

    async fn converse(&self, mut pipe: DuplexStream, turn: &Turn, board: &Board) {
        let body = match turn.client {
            Client::Nonsense => format!("{{\"prompt\": {}", turn.prompt()),
            _ => payload(turn).to_string(),
        };
        let (one, other) = body.as_bytes().split_at(body.len() / 2);
        if pipe.write_all(&[&head(turn, body.len()), one].concat()).await.is_err() {
            return;
        }
        match turn.client {
            Client::SlowToSend { pause } => sleep(Duration::from_millis(pause)).await,
            // The answer, if one comes all the same, is read below.
            Client::StopsSending { .. } => return read(&mut pipe, turn, board).await,
            _ => {}
        }
        // A server that has closed by now has said why.
        let _ = pipe.write_all(other).await;
        match turn.client {
            Client::NeverReads { .. } => std::future::pending().await,
            _ => read(&mut pipe, turn, board).await,
        }
    }
}

async fn read(pipe: &mut DuplexStream, turn: &Turn, board: &Board) {
    let (pause, bite) = match turn.client {
        Client::Slow { pause, bite } => (Some(Duration::from_millis(pause)), bite),
        _ => (None, 4_096),
    };
    let mut bytes = vec![0; bite];
    while let Ok(count @ 1..) = pipe.read(&mut bytes).await {
        let had = board.of(turn, |seen| {
            seen.bytes.extend_from_slice(&bytes[..count]);
            seen.bytes.len()
        });
        if matches!(turn.client, Client::LeavesHaving { bytes } if had >= bytes) {
            board.of(turn, |seen| seen.left = true);
            return;
        }
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
}

fn head(turn: &Turn, length: usize) -> Vec<u8> {
    let (session, user) = turn.ids();
    let user = user.map(|user| format!("x-amzn-bedrock-agentcore-runtime-user-id: {user}\r\n")).unwrap_or_default();
    let accept = if turn.streamed { "text/event-stream" } else { "application/json" };
    let lines = format!(
        "POST /invocations HTTP/1.1\r\nhost: simulated\r\nconnection: close\r\naccept: {accept}\r\n\
         content-type: application/json\r\nx-amzn-bedrock-agentcore-runtime-session-id: {session}\r\n{user}\
         content-length: {length}\r\n\r\n"
    );
    lines.into_bytes()
}
