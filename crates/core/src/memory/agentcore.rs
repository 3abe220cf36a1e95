//! Sessions in AgentCore Memory: one event a turn.
//!
//! The service allows about one event in four seconds for a session and bills each, so a turn is one
//! event, whatever happened in it. What was said stands in it as conversational items, which the
//! service's own strategies and consoles can read; a turn that is more than a question and an answer
//! (tools, several blocks) carries its exact messages beside them in a blob.

use std::sync::Arc;

use aws_sdk_bedrockagentcore::Client;
use aws_sdk_bedrockagentcore::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockagentcore::primitives::DateTime;
use aws_sdk_bedrockagentcore::types::{Content, Conversational, Event, MetadataValue, PayloadType, Role as EventRole};
use aws_smithy_types::error::display::DisplayErrorContext;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::identity::SessionKey;
use super::{Loaded, MemoryError, SessionMemory, TurnRecord};
use crate::aws::{Aws, json};
use crate::history::complete;
use crate::message::{ContentBlock, Message, Role};

/// The largest page ListEvents gives.
const PAGE: i32 = 100;

/// The longest text of a conversational item, in UTF-16 units, the narrowest way to count.
const LONGEST_ITEM: usize = 100_000;

/// The metadata key of a turn's number. The service may round timestamps; numbers keep the order.
const SEQUENCE: &str = "sequence";

/// Keeps sessions in one AgentCore Memory.
#[derive(Debug)]
pub struct AgentCoreMemory {
    memory_id: String,
    aws: Arc<Aws>,
    client: OnceCell<Client>,
}

/// The exact messages of a turn, as text in a blob: the service gives other documents back in a
/// spelling of its own.
#[derive(Serialize, Deserialize)]
struct ExactTurn {
    messages: Vec<Message>,
}

/// An event read back.
struct StoredTurn {
    at: Timestamp,
    sequence: Option<u64>,
    messages: Vec<Message>,
}

// === impl AgentCoreMemory ===

impl AgentCoreMemory {
    /// The memory of that id or ARN. Nothing is connected yet.
    pub fn new(memory_id: impl Into<String>, aws: Arc<Aws>) -> Self {
        Self { memory_id: memory_id.into(), aws, client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(self.aws.config().await) }).await
    }

    async fn read(&self, session: &SessionKey, budget_tokens: usize) -> Result<Loaded, MemoryError> {
        let mut stored = self.events(session, budget_tokens).await?;
        // Pages come newest first; turned round, ties of the clock stay in order, and the turns' own
        // numbers settle those that a rounded clock made.
        stored.reverse();
        stored.sort_by_key(|turn| (turn.at, turn.sequence));
        let newest = stored.last().map(|turn| {
            let highest = stored.iter().filter_map(|turn| turn.sequence).max();
            (turn.at, highest.unwrap_or(stored.len() as u64))
        });
        let turns = complete(stored.into_iter().flat_map(|turn| turn.messages));
        Ok(Loaded { turns: turns.into_iter().map(Arc::new).collect(), newest })
    }

    /// Events as the service lists them, newest first, until they hold more than the budget.
    async fn events(&self, session: &SessionKey, budget_tokens: usize) -> Result<Vec<StoredTurn>, MemoryError> {
        let mut stored: Vec<StoredTurn> = Vec::new();
        let mut tokens = 0;
        let mut next_token = None;
        loop {
            let page = self
                .client()
                .await
                .list_events()
                .memory_id(&self.memory_id)
                .actor_id(session.actor())
                .session_id(session.session())
                .include_payloads(true)
                .max_results(PAGE)
                .set_next_token(next_token)
                .send()
                .await;
            let page = page.map_err(|error| failed(&error))?;
            for event in page.events {
                let turn = stored_turn(event)?;
                tokens += turn.messages.iter().map(crate::history::estimate_message).sum::<usize>();
                stored.push(turn);
            }
            next_token = page.next_token.filter(|token| !token.is_empty());
            let newest_first = stored.first().map(|turn| turn.at) >= stored.last().map(|turn| turn.at);
            if next_token.is_none() || (newest_first && tokens > budget_tokens) {
                return Ok(stored);
            }
        }
    }

    async fn write(&self, session: &SessionKey, record: &TurnRecord) -> Result<(), MemoryError> {
        let at = DateTime::from_millis(record.at.as_millisecond());
        self.client()
            .await
            .create_event()
            .memory_id(&self.memory_id)
            .actor_id(session.actor())
            .session_id(session.session())
            .event_timestamp(at)
            .client_token(record.token.to_string())
            .metadata(SEQUENCE, MetadataValue::StringValue(record.sequence.to_string()))
            .set_payload(Some(payload(record.turn.messages())?))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| failed(&error))
    }
}

impl SessionMemory for AgentCoreMemory {
    fn load<'a>(&'a self, session: &'a SessionKey, budget_tokens: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>> {
        Box::pin(self.read(session, budget_tokens))
    }

    fn append<'a>(&'a self, session: &'a SessionKey, turn: &'a TurnRecord) -> BoxFuture<'a, Result<(), MemoryError>> {
        Box::pin(self.write(session, turn))
    }
}

// === a turn as an event ===

/// The items of a turn's event. Plain talk is told by its conversational items alone.
fn payload(messages: &[Message]) -> Result<Vec<PayloadType>, MemoryError> {
    let mut items = messages.iter().filter_map(conversational).collect::<Vec<_>>();
    let said_exactly = messages.iter().all(is_one_short_text);
    if !said_exactly {
        let exact = serde_json::to_string(&ExactTurn { messages: messages.to_vec() });
        let exact = exact.map_err(|error| MemoryError::Refused { reason: error.to_string() })?;
        // An event takes 100 items; a turn of more rounds than that is whole in its blob.
        items.truncate(99);
        items.push(PayloadType::Blob(exact.into()));
    }
    Ok(items)
}

fn is_one_short_text(message: &Message) -> bool {
    matches!(&message.content[..], [ContentBlock::Text(text)] if text.encode_utf16().count() <= LONGEST_ITEM)
}

fn conversational(message: &Message) -> Option<PayloadType> {
    let text = within_an_item(&message.text());
    let role = match message.role {
        Role::User => EventRole::User,
        Role::Assistant => EventRole::Assistant,
    };
    let item = Conversational::builder().content(Content::Text(text.clone())).role(role).build().ok()?;
    (!text.trim().is_empty()).then_some(PayloadType::Conversational(item))
}

fn within_an_item(text: &str) -> String {
    let mut units = 0;
    text.chars()
        .take_while(|c| {
            units += c.len_utf16();
            units <= LONGEST_ITEM
        })
        .collect()
}

// === an event as a turn ===

fn stored_turn(event: Event) -> Result<StoredTurn, MemoryError> {
    let millis = event.event_timestamp.to_millis().map_err(corrupt)?;
    let sequence = event.metadata.as_ref().and_then(|metadata| metadata.get(SEQUENCE));
    let sequence = sequence.and_then(|value| value.as_string_value().ok()).and_then(|number| number.parse().ok());
    Ok(StoredTurn {
        at: Timestamp::from_millisecond(millis).map_err(corrupt)?,
        sequence,
        messages: messages(event.payload),
    })
}

/// The exact messages where the event has them, else what its conversational items say. Items that
/// somebody else wrote and that say nothing to us are passed over.
fn messages(payload: Vec<PayloadType>) -> Vec<Message> {
    let mut said = Vec::new();
    for item in payload {
        match item {
            PayloadType::Blob(blob) => {
                if let Some(exact) = exact_turn(json(blob)) {
                    return exact.messages;
                }
            }
            PayloadType::Conversational(item) => said.extend(message(item)),
            _ => {}
        }
    }
    said
}

fn exact_turn(blob: serde_json::Value) -> Option<ExactTurn> {
    match blob {
        serde_json::Value::String(text) => serde_json::from_str(&text).ok(),
        document => serde_json::from_value(document).ok(),
    }
}

fn message(item: Conversational) -> Option<Message> {
    let role = match item.role {
        EventRole::User => Role::User,
        EventRole::Assistant => Role::Assistant,
        _ => return None,
    };
    let text = item.content?.as_text().ok()?.clone();
    Some(Message { role, content: vec![ContentBlock::Text(text)] })
}

// === how it fails ===

fn failed<E, R>(error: &SdkError<E, R>) -> MemoryError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let Some(refusal) = error.as_service_error() else {
        return MemoryError::Unavailable { reason: DisplayErrorContext(error).to_string() };
    };
    let code = refusal.code().unwrap_or("no error code");
    let reason = format!("{code}: {}", refusal.message().unwrap_or("no reason given"));
    match code {
        "ValidationException" | "InvalidInputException" | "ResourceNotFoundException" | "AccessDeniedException" => {
            MemoryError::Refused { reason }
        }
        _ => MemoryError::Unavailable { reason },
    }
}

fn corrupt(error: impl std::fmt::Display) -> MemoryError {
    MemoryError::Corrupt { reason: error.to_string() }
}
