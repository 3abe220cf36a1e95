//! Clients, so many at a time, and what they saw.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use crate::Failure;
use crate::contender::{Bedrock, Contender, PATIENCE, Running};
use crate::fake_bedrock::ANSWER;
use crate::subject;

/// The header that names a session.
pub(crate) const SESSION: &str = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id";

/// What is in a stream once the model has spoken: in frames of Bedrock's shape, and in the peer's.
const FIRST_TOKENS: [&[u8]; 2] = [b"contentBlockDelta", b"token_delta"];

/// Between two pings under load.
const PING_EVERY: Duration = Duration::from_millis(20);

/// How an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Json,
    Sse,
}

/// Clients that ask one thing after another, each in a new session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) format: Format,
    /// How long new turns begin. Those begun are waited for.
    pub(crate) time: Duration,
}

/// What came of a load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) contender: Contender,
    pub(crate) clients: usize,
    pub(crate) format: Format,
    pub(crate) turns: u64,
    /// Turns that were not answered with 200 and the model's words, or not at all.
    pub(crate) failures: u64,
    pub(crate) seconds: f64,
    pub(crate) turns_per_second: f64,
    /// Milliseconds.
    pub(crate) latency: Quantiles,
    /// Milliseconds to the first piece of the answer's text.
    pub(crate) first_token: Quantiles,
    /// Milliseconds of `/ping` meanwhile, and how many there were.
    pub(crate) ping: Quantiles,
    pub(crate) pings: u64,
    /// CPU seconds of 1000 turns: the contender's.
    pub(crate) cpu: f64,
    /// How much of one processor each took: the contender, the fake Bedrock, the clients.
    pub(crate) shares: [f64; 3],
}

/// Some of a distribution.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// What one or more clients saw, in microseconds.
struct Seen {
    latency: Histogram<u64>,
    first_token: Histogram<u64>,
    failures: u64,
}

/// A turn that was answered: when its first piece was there, and when all.
struct Answered {
    first_token: Duration,
    whole: Duration,
}

static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// Holds the load, and tells what came of it.
pub(crate) fn hold(load: Load, on: &Running, bedrock: &Bedrock) -> Result<Outcome, Failure> {
    let before = [on.process.cpu()?, bedrock.process.cpu()?, subject::own_cpu()?];
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (seen, pings) = runtime.block_on(clients(load, on.port, on.contender))?;
    let seconds = began.elapsed().as_secs_f64();
    let after = [on.process.cpu()?, bedrock.process.cpu()?, subject::own_cpu()?];
    let turns = seen.latency.len();
    Ok(Outcome {
        contender: on.contender,
        clients: load.clients,
        format: load.format,
        turns,
        failures: seen.failures,
        seconds,
        turns_per_second: number(turns) / seconds,
        latency: Quantiles::of(&seen.latency),
        first_token: Quantiles::of(&seen.first_token),
        ping: Quantiles::of(&pings),
        pings: pings.len(),
        cpu: (after[0] - before[0]) / number(turns.max(1)) * 1000.0,
        shares: [0, 1, 2].map(|one| (after[one] - before[one]) / seconds),
    })
}

async fn clients(load: Load, port: u16, contender: Contender) -> Result<(Seen, Histogram<u64>), Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    let pings = tokio::spawn(ping(port, is_over.clone()));
    let end = Instant::now() + load.time;
    let clients: Vec<_> = (0..load.clients).map(|_| tokio::spawn(client(load.format, end, port, contender))).collect();
    let mut seen = Seen::new()?;
    for client in clients {
        seen.add(&client.await??)?;
    }
    is_over.store(true, Ordering::Relaxed);
    Ok((seen, pings.await??))
}

async fn client(format: Format, end: Instant, port: u16, contender: Contender) -> Result<Seen, Failure> {
    let mut seen = Seen::new()?;
    let mut connection = None;
    // Once at least, however slow the others are.
    loop {
        let answered = tokio::time::timeout(PATIENCE, turn(&mut connection, format, port, contender)).await;
        if let Ok(Ok(answered)) = answered {
            seen.latency.record(microseconds(answered.whole))?;
            seen.first_token.record(microseconds(answered.first_token))?;
        } else {
            connection = None;
            seen.failures += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if Instant::now() > end {
            return Ok(seen);
        }
    }
}

async fn turn(
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    format: Format,
    port: u16,
    contender: Contender,
) -> Result<Answered, Failure> {
    let (accept, prompt) = match format {
        Format::Json => ("application/json", r#"{"prompt": "Are you there?"}"#),
        Format::Sse => ("text/event-stream", r#"{"prompt": "Are you there?", "stream": true}"#),
    };
    let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let request = Request::post("/invocations")
        .header("host", "localhost")
        .header("accept", accept)
        .header("content-type", "application/json")
        .header(SESSION, format!("session-{session:0>40}"))
        .body(Full::new(Bytes::from_static(prompt.as_bytes())))?;
    let began = Instant::now();
    let sender = connected(connection, port).await?;
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string().into());
    }
    let (mut first_token, mut body, mut heard) = (None, answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            heard.extend_from_slice(&data);
        }
        let has_words = || FIRST_TOKENS.iter().any(|sign| contains(&heard, sign));
        if first_token.is_none() && (format == Format::Json || has_words()) {
            first_token = Some(began.elapsed());
        }
    }
    let whole = began.elapsed();
    let wanted = if contender.has_model() { ANSWER } else { "Are you there?" };
    contains(&heard, wanted.as_bytes()).then_some(()).ok_or("the answer is not whole")?;
    Ok(Answered { first_token: first_token.unwrap_or(whole), whole })
}

async fn connected(
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    port: u16,
) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
    let is_open = match connection {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    };
    if !is_open {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        *connection = Some(sender);
    }
    connection.as_mut().ok_or_else(|| "no connection".into())
}

/// Asks for its health again and again, each time on a new connection, as the service does.
async fn ping(port: u16, is_over: Arc<AtomicBool>) -> Result<Histogram<u64>, Failure> {
    let mut took = histogram()?;
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let request = Request::get("/ping").header("host", "localhost").body(Full::default())?;
        let asked = async {
            let mut connection = None;
            let answer = connected(&mut connection, port).await?.send_request(request).await?;
            answer.into_body().collect().await?;
            Ok::<(), Failure>(())
        };
        if tokio::time::timeout(PATIENCE, asked).await.is_ok_and(|asked| asked.is_ok()) {
            took.record(microseconds(began.elapsed()))?;
        }
        tokio::time::sleep(PING_EVERY).await;
    }
    Ok(took)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| std::str::from_utf8(part).is_ok_and(|part| text.contains(part)))
}

fn histogram() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new(3)?)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts of some millions at most")]
fn number(count: u64) -> f64 {
    count as f64
}

// === impl Seen ===

impl Seen {
    fn new() -> Result<Self, Failure> {
        Ok(Self { latency: histogram()?, first_token: histogram()?, failures: 0 })
    }

    fn add(&mut self, other: &Self) -> Result<(), Failure> {
        self.latency.add(&other.latency)?;
        self.first_token.add(&other.first_token)?;
        self.failures += other.failures;
        Ok(())
    }
}

// === impl Quantiles ===

impl Quantiles {
    /// In milliseconds, from microseconds.
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| number(histogram.value_at_quantile(quantile)) / 1000.0;
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}
