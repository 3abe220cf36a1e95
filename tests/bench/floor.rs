//! The least that must be done: a bare hyper proxy between the caller and the fake Bedrock, which decodes the event
//! stream. No signature, no session, no log; nothing that does a turn's work can be faster.

use std::net::Ipv4Addr;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use bytes::{Bytes, BytesMut};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Failure;

type Body = BoxBody<Bytes, hyper::Error>;
type Bedrock = Client<HttpConnector, Full<Bytes>>;

/// An event stream on its way to a caller.
struct Relay {
    from: Incoming,
    pending: BytesMut,
    decoder: MessageFrameDecoder,
    text: String,
    is_done: bool,
}

/// Serves until it is killed; prints its port.
pub(crate) fn serve(bedrock: u16) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client: Bedrock = Client::builder(TokioExecutor::new()).build(connector);
        let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (connection, _) = listener.accept().await?;
            connection.set_nodelay(true)?;
            let client = client.clone();
            let service = service_fn(move |request| forward(client.clone(), bedrock, request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
        }
    })
}

async fn forward(client: Bedrock, bedrock: u16, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    if request.uri().path() == "/ping" {
        return respond("application/json", whole(br#"{"status":"Healthy","time_of_last_update":1}"#.to_vec()));
    }
    let is_streamed = request.headers().get("accept").is_some_and(|accept| accept == "text/event-stream");
    let payload: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    let ask = json!({"messages": [{"role": "user", "content": [{"text": payload["prompt"]}]}]});
    let operation = if is_streamed { "converse-stream" } else { "converse" };
    let call = Request::builder()
        .method(Method::POST)
        .uri(format!("http://127.0.0.1:{bedrock}/model/floor/{operation}"))
        .header("content-type", "application/json")
        .body(Full::new(ask.to_string().into()))?;
    let answer = client.request(call).await?.into_body();
    if is_streamed {
        return respond("text/event-stream", StreamBody::new(Relay::new(answer).events()).boxed());
    }
    let answer: Value = serde_json::from_slice(&answer.collect().await?.to_bytes())?;
    respond("application/json", whole(json!({"response": answer["output"]["message"]}).to_string().into_bytes()))
}

fn whole(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

fn respond(content_type: &str, body: Body) -> Result<Response<Body>, Failure> {
    Ok(Response::builder().header("content-type", content_type).body(body)?)
}

// === impl Relay ===

impl Relay {
    fn new(from: Incoming) -> Self {
        let decoder = MessageFrameDecoder::new();
        Self { from, pending: BytesMut::new(), decoder, text: String::new(), is_done: false }
    }

    fn events(self) -> impl futures::Stream<Item = Result<Frame<Bytes>, hyper::Error>> + Send + Sync {
        futures::stream::unfold(self, |mut relay| async move {
            let event = relay.next().await?;
            Some((event.map(|line| Frame::data(line.into())), relay))
        })
    }

    /// The next line for the caller, the whole message behind the last event.
    async fn next(&mut self) -> Option<Result<String, hyper::Error>> {
        loop {
            if let Ok(DecodedFrame::Complete(message)) = self.decoder.decode_frame(&mut self.pending) {
                return Some(Ok(self.line(&message)));
            }
            match self.from.frame().await {
                Some(Ok(frame)) => self.pending.extend(frame.into_data().ok()),
                Some(Err(error)) => return Some(Err(error)),
                None if self.is_done => return None,
                None => {
                    self.is_done = true;
                    let message = json!({"role": "assistant", "content": [{"text": self.text}]});
                    return Some(Ok(format!("data: {}\n\n", json!({"message": message}))));
                }
            }
        }
    }

    fn line(&mut self, message: &Message) -> String {
        let event: Value = serde_json::from_slice(message.payload()).unwrap_or_default();
        if let Some(text) = event["delta"]["text"].as_str() {
            self.text.push_str(text);
        }
        let kind = message.headers().iter().find(|header| header.name().as_str() == ":event-type");
        let kind = kind.and_then(|header| header.value().as_string().ok());
        format!("data: {}\n\n", json!({"event": {kind.map_or("", |kind| kind.as_str()): event}}))
    }
}
