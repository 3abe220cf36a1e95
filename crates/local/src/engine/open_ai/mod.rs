//! An engine that asks any server with the `/chat/completions` of OpenAI: Ollama, llama.cpp, vLLM, others.
//!
//! The answer is streamed through as the server produces it. Whatever the server says wrong becomes
//! the Bedrock exception a caller would have met for the same reason.

mod request;
mod server_sent_events;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;

use self::server_sent_events::EventData;
use super::conversation::{Conversation, StopReason, ToolUse, Usage};
use super::{Engine, EngineError, Piece, Pieces, http_client, tokens};

/// A model behind the OpenAI protocol.
#[derive(Clone)]
pub struct OpenAi {
    peer: Arc<Peer>,
}

/// Why such a model can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenAiError {
    /// The address is none.
    #[error("`{address}` is not the address of a model server: give one like http://127.0.0.1:11434/v1")]
    Address {
        /// What was given.
        address: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up HTTP: {0}; check that this machine has root certificates")]
    Client(#[from] reqwest::Error),
}

/// The server, as far as it is known.
struct Peer {
    base: Url,
    api_key: Option<String>,
    named_model: Option<String>,
    /// The first model the server lists, asked for once when none is named.
    listed_model: OnceCell<String>,
    client: Client,
}

/// An answer that arrives.
struct Arriving {
    events: BoxStream<'static, Result<EventData, EngineError>>,
    due: VecDeque<Piece>,
    calls: BTreeMap<u64, PartialCall>,
    finish_reason: Option<String>,
    reported: Option<Usage>,
    estimated: Usage,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Arriving,
    Over,
}

/// A tool call of which parts have arrived.
#[derive(Default)]
struct PartialCall {
    id: Option<String>,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<ReportedUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: u64,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct ReportedUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

// === impl OpenAi ===

impl OpenAi {
    /// The model called `model` at `base` (the address up to `/v1`), or the first the server lists.
    pub fn new(base: &str, model: Option<String>, api_key: Option<String>) -> Result<Self, OpenAiError> {
        let wrong = || OpenAiError::Address { address: base.to_owned() };
        let base = Url::parse(base.trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(wrong)?;
        Ok(Self {
            peer: Arc::new(Peer {
                client: http_client::client_for(&base)?,
                base,
                api_key,
                named_model: model,
                listed_model: OnceCell::new(),
            }),
        })
    }
}

impl Engine for OpenAi {
    fn answer(&self, conversation: Conversation) -> Pieces {
        let peer = Arc::clone(&self.peer);
        let begun = futures::stream::once(async move { peer.begin(&conversation).await });
        Box::pin(begun.flat_map(|begun| match begun {
            Ok(arriving) => arriving.into_pieces(),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }))
    }
}

// === impl Peer ===

impl Peer {
    async fn begin(&self, conversation: &Conversation) -> Result<Arriving, EngineError> {
        request::check(conversation)?;
        let body = request::body(conversation, self.model().await?);
        let request = self.client.post(self.address("chat/completions")).json(&body);
        let answer = self.send(request).await?;
        Ok(Arriving {
            events: server_sent_events::read(answer),
            due: VecDeque::new(),
            calls: BTreeMap::new(),
            finish_reason: None,
            reported: None,
            estimated: Usage { input_tokens: tokens::count_conversation(conversation), output_tokens: 0 },
            state: State::Arriving,
        })
    }

    async fn model(&self) -> Result<&str, EngineError> {
        match &self.named_model {
            Some(model) => Ok(model),
            None => self.listed_model.get_or_try_init(|| self.first_listed()).await.map(String::as_str),
        }
    }

    async fn first_listed(&self) -> Result<String, EngineError> {
        let answer = self.send(self.client.get(self.address("models"))).await?;
        let list: Value = answer
            .json()
            .await
            .map_err(|error| EngineError::Failed(format!("{} lists no models: {error}.", self.base)))?;
        list.pointer("/data/0/id").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
            EngineError::UnknownModel(format!("{} has no models: load one there, or name one.", self.base))
        })
    }

    fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.base.as_str().trim_end_matches('/'))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, EngineError> {
        let request = match &self.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let answer = request.send().await.map_err(|error| {
            EngineError::Unavailable(format!(
                "No model server answers at {}: {}. Start it, or give its address.",
                self.base,
                http_client::causes_of(&error)
            ))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        Err(refusal(status, &body))
    }
}

// === impl Arriving ===

impl Arriving {
    fn into_pieces(self) -> BoxStream<'static, Result<Piece, EngineError>> {
        futures::stream::unfold(self, |mut arriving| async move {
            let piece = arriving.next_piece().await?;
            Some((piece, arriving))
        })
        .boxed()
    }

    async fn next_piece(&mut self) -> Option<Result<Piece, EngineError>> {
        loop {
            if let Some(piece) = self.due.pop_front() {
                return Some(Ok(piece));
            }
            if self.state == State::Over {
                return None;
            }
            let taken = match self.events.next().await {
                Some(Ok(EventData::Json(data))) => self.take(&data),
                Some(Err(error)) => Err(error),
                Some(Ok(EventData::Done)) | None => self.finish(),
            };
            if let Err(error) = taken {
                self.state = State::Over;
                return Some(Err(error));
            }
        }
    }

    fn take(&mut self, data: &str) -> Result<(), EngineError> {
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|error| EngineError::Failed(format!("The model server sent what is no chunk: {error}.")))?;
        if let Some(error) = chunk.error {
            return Err(EngineError::Failed(sentence_of(&error)));
        }
        if let Some(usage) = chunk.usage {
            self.reported = Some(Usage { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens });
        }
        for choice in chunk.choices {
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
            if let Some(delta) = choice.delta {
                self.take_delta(delta);
            }
        }
        Ok(())
    }

    fn take_delta(&mut self, delta: Delta) {
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.estimated.output_tokens += tokens::count(&text);
            self.due.push_back(Piece::Text(text));
        }
        for part in delta.tool_calls.unwrap_or_default() {
            let call = self.calls.entry(part.index).or_default();
            call.id = part.id.or(call.id.take());
            if let Some(function) = part.function {
                call.name.push_str(function.name.as_deref().unwrap_or_default());
                call.arguments.push_str(function.arguments.as_deref().unwrap_or_default());
            }
        }
    }

    /// The server has nothing more to say.
    fn finish(&mut self) -> Result<(), EngineError> {
        self.state = State::Over;
        let Some(finish_reason) = self.finish_reason.take() else {
            return Err(EngineError::Failed("The model server broke off before the end of the answer.".into()));
        };
        let calls = std::mem::take(&mut self.calls);
        let called = !calls.is_empty();
        for (index, call) in calls {
            self.estimated.output_tokens += tokens::count(&call.arguments);
            self.due.push_back(Piece::ToolUse(call.finish(index)?));
        }
        let reason = match finish_reason.as_str() {
            "length" => StopReason::MaxTokens,
            "content_filter" => StopReason::ContentFiltered,
            _ if called => StopReason::ToolUse,
            _ => StopReason::EndTurn,
        };
        let usage = self.reported.unwrap_or(self.estimated);
        self.due.push_back(Piece::End { reason, usage });
        Ok(())
    }
}

// === impl PartialCall ===

impl PartialCall {
    fn finish(self, index: u64) -> Result<ToolUse, EngineError> {
        let arguments = if self.arguments.trim().is_empty() { "{}" } else { &self.arguments };
        let input: Value = serde_json::from_str(arguments).ok().filter(Value::is_object).ok_or_else(|| {
            EngineError::Failed(format!("The model called `{}` with arguments that are no JSON object.", self.name))
        })?;
        Ok(ToolUse { tool_use_id: tool_use_id(self.id, index), name: self.name, input })
    }
}

/// The server's id where Bedrock's rules allow it, else one of our own.
fn tool_use_id(id: Option<String>, index: u64) -> String {
    let fits = |id: &String| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
    };
    id.filter(fits).unwrap_or_else(|| format!("tooluse_{index}_{}", uuid::Uuid::new_v4().simple()))
}

/// What Bedrock would have said for the server's refusal.
fn refusal(status: StatusCode, body: &str) -> EngineError {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body.trim()));
    let sentence = format!("The model server answered {}: {}", status.as_u16(), sentence_of(&body));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => EngineError::AccessDenied(sentence),
        StatusCode::NOT_FOUND => EngineError::UnknownModel(sentence),
        StatusCode::TOO_MANY_REQUESTS => EngineError::Throttled(sentence),
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => EngineError::TimedOut(sentence),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => EngineError::Unavailable(sentence),
        StatusCode::PAYLOAD_TOO_LARGE => EngineError::TooLong,
        _ if is_too_long(&body) => EngineError::TooLong,
        _ if status.is_client_error() => EngineError::Unacceptable(sentence),
        _ => EngineError::Failed(sentence),
    }
}

/// OpenAI has a code for it, llama.cpp a type.
fn is_too_long(body: &Value) -> bool {
    let says = |place: &str| body.pointer(place).and_then(Value::as_str);
    says("/error/code") == Some("context_length_exceeded") || says("/error/type") == Some("exceed_context_size_error")
}

/// The sentence in an error, in any of the forms such servers use.
fn sentence_of(error: &Value) -> String {
    ["/error/message", "/message", "/error", "/detail"]
        .iter()
        .find_map(|place| error.pointer(place)?.as_str())
        .or(error.as_str())
        .filter(|sentence| !sentence.is_empty())
        .map_or_else(|| error.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
