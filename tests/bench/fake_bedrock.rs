//! A Bedrock that is no bottleneck: two answers, made once, whatever is asked.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Failure;

/// What the model says, in as many pieces as it has words.
pub(crate) const ANSWER: &str =
    "Hello from AgentCore! It is good to see you: your deployment works, I heard you well, and I am ready for more.";

/// In a prompt, before the number of tool rounds that the model asks for.
pub(crate) const ROUNDS: &str = "tool-rounds=";

/// How fast the model is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// To its first token.
    pub(crate) first_token: Duration,
    /// From one token to the next.
    pub(crate) token: Duration,
}

/// Everything there is to say, as bytes on the wire.
struct Answers {
    pace: Pace,
    whole: Bytes,
    frames: Vec<Bytes>,
    at_once: Bytes,
}

type Body = BoxBody<Bytes, Infallible>;

/// Serves until it is killed; prints its port.
pub(crate) fn serve(pace: Pace) -> Result<(), Failure> {
    let answers = Arc::new(Answers::new(pace)?);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (connection, _) = listener.accept().await?;
            connection.set_nodelay(true)?;
            let answers = answers.clone();
            let service = service_fn(move |request| answer(answers.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
        }
    })
}

async fn answer(answers: Arc<Answers>, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let is_streamed = request.uri().path().ends_with("/converse-stream");
    let asked = request.into_body().collect().await?.to_bytes();
    if let Some(call) = tool_call(&asked) {
        return Ok(whole(call.to_string().into()));
    }
    if !is_streamed {
        tokio::time::sleep(answers.pace.whole(answers.frames.len())).await;
        return Ok(whole(answers.whole.clone()));
    }
    let body = if answers.pace.token.is_zero() {
        tokio::time::sleep(answers.pace.first_token).await;
        Full::new(answers.at_once.clone()).boxed()
    } else {
        paced(answers)
    };
    Ok(Response::builder().header("content-type", "application/vnd.amazon.eventstream").body(body).unwrap_or_default())
}

fn whole(body: Bytes) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Full::new(body).boxed()).unwrap_or_default()
}

fn paced(answers: Arc<Answers>) -> Body {
    let frames = futures::stream::unfold((answers, 0), |(answers, next)| async move {
        let frame = answers.frames.get(next)?.clone();
        tokio::time::sleep(if next == 0 { answers.pace.first_token } else { answers.pace.token }).await;
        Some((Ok(Frame::data(frame)), (answers, next + 1)))
    });
    StreamBody::new(frames).boxed()
}

/// A call of the coach's tool for units, until as many are in the conversation as its first message wants.
fn tool_call(asked: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(asked).ok()?;
    let (_, wanted) = text.split_once(ROUNDS)?;
    let wanted: usize = wanted.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
    let had = text.matches("\"toolResult\"").count();
    let call = json!({"toolUse": {
        "toolUseId": format!("call-{had}"), "name": "convert_units", "input": {"centimetres": 170},
    }});
    (had < wanted).then(|| message(&call, "tool_use"))
}

fn message(content: &Value, stop_reason: &str) -> Value {
    json!({
        "output": {"message": {"role": "assistant", "content": [content]}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": 60, "outputTokens": 26, "totalTokens": 86},
        "metrics": {"latencyMs": 1},
    })
}

// === impl Answers ===

impl Answers {
    fn new(pace: Pace) -> Result<Self, Failure> {
        let mut events = vec![("messageStart", json!({"role": "assistant"}))];
        events.extend(
            ANSWER
                .split_inclusive(' ')
                .map(|word| ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": word}}))),
        );
        let usage = json!({"inputTokens": 60, "outputTokens": 26, "totalTokens": 86});
        events.extend([
            ("contentBlockStop", json!({"contentBlockIndex": 0})),
            ("messageStop", json!({"stopReason": "end_turn"})),
            ("metadata", json!({"usage": usage, "metrics": {"latencyMs": 1}})),
        ]);
        let frames = events.iter().map(|(kind, event)| encode(kind, event)).collect::<Result<Vec<_>, _>>()?;
        let whole = message(&json!({"text": ANSWER}), "end_turn").to_string().into();
        Ok(Self { pace, whole, at_once: frames.concat().into(), frames })
    }
}

fn encode(kind: &'static str, event: &Value) -> Result<Bytes, Failure> {
    let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(event.to_string())
        .add_header(header(":event-type", kind))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", "event"));
    let mut frame = BytesMut::new().writer();
    write_message_to(&message, frame.get_mut())?;
    Ok(frame.into_inner().freeze())
}

// === impl Pace ===

impl Pace {
    /// How long an answer in one piece takes.
    fn whole(self, frames: usize) -> Duration {
        self.first_token + self.token * u32::try_from(frames).unwrap_or(u32::MAX)
    }
}
