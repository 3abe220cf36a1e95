//! Sessions in AgentCore Memory: one event an entry.
//!
//! The service allows about one event in four seconds for a session and bills each, so a turn is one
//! event, whatever happened in it. What was said stands in it as conversational items, which the
//! service's own strategies and consoles can read; a turn that is more than a question and an answer
//! (tools, several blocks, a pin) carries its exact messages beside them in a blob.
//!
//! A paused turn, a summary and a note are blobs alone: their words stand in the events of whole turns, and a strategy that
//! read them here would take them for said twice. Their metadata names the kind, for people and filters.

use std::sync::Arc;

use aws_sdk_bedrockagentcore::Client;
use aws_sdk_bedrockagentcore::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockagentcore::primitives::DateTime;
use aws_sdk_bedrockagentcore::types::{Content, Conversational, Event, MetadataValue, PayloadType, Role as EventRole};
use aws_smithy_types::error::display::DisplayErrorContext;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::identity::SessionKey;
use super::reading::Reading;
use super::stored::StoredEntry;
use super::{Loaded, MemoryError, Record, SessionMemory};
use crate::aws::{Aws, json};
use crate::message::{ContentBlock, Message, Role};

/// The largest page ListEvents gives.
const PAGE: i32 = 100;

/// The longest text of a conversational item, in UTF-16 units, the narrowest way to count.
const LONGEST_ITEM: usize = 100_000;

/// The metadata key of an entry's number. The service may round timestamps; numbers keep the order.
const SEQUENCE: &str = "sequence";

/// The metadata key of what an entry is, where it is no whole turn.
const KIND: &str = "kind";

/// Keeps sessions in one AgentCore Memory.
#[derive(Debug)]
pub struct AgentCoreMemory {
    memory_id: String,
    aws: Arc<Aws>,
    client: OnceCell<Client>,
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

    /// Events as the service lists them, newest first, until they are enough. A page counts as a whole: it is
    /// there.
    async fn read(&self, session: &SessionKey, budget_tokens: usize) -> Result<Loaded, MemoryError> {
        let mut reading = Reading::within(budget_tokens);
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
                take(&mut reading, event)?;
            }
            next_token = page.next_token.filter(|token| !token.is_empty());
            if next_token.is_none() || (reading.is_newest_first() && reading.is_enough()) {
                return Ok(reading.finish());
            }
        }
    }

    async fn write(&self, session: &SessionKey, record: &Record) -> Result<(), MemoryError> {
        let entry = StoredEntry::from(&record.entry);
        let kind = (!entry.kind.is_whole()).then(|| entry.kind.as_str());
        let metadata = [(SEQUENCE, Some(record.sequence.to_string())), (KIND, kind.map(str::to_owned))];
        let metadata = metadata
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key.to_owned(), MetadataValue::StringValue(value))));
        let at = DateTime::from_millis(record.at.as_millisecond());
        self.client()
            .await
            .create_event()
            .memory_id(&self.memory_id)
            .actor_id(session.actor())
            .session_id(session.session())
            .event_timestamp(at)
            .client_token(record.token.to_string())
            .set_metadata(Some(metadata.collect()))
            .set_payload(Some(payload(&entry)?))
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

    fn append<'a>(&'a self, session: &'a SessionKey, record: &'a Record) -> BoxFuture<'a, Result<(), MemoryError>> {
        Box::pin(self.write(session, record))
    }
}

// === an entry as an event ===

/// The items of an entry's event. Plain talk is told by its conversational items alone.
fn payload(entry: &StoredEntry) -> Result<Vec<PayloadType>, MemoryError> {
    let mut items = Vec::new();
    if entry.kind.is_whole() {
        items.extend(entry.messages.iter().filter_map(conversational));
        if !entry.is_flagged() && entry.messages.iter().all(is_one_short_text) {
            return Ok(items);
        }
    }
    // As text: the service gives other documents back in a spelling of its own.
    let exact = serde_json::to_string(entry).map_err(|error| MemoryError::Refused { reason: error.to_string() })?;
    // An event takes 100 items; a turn of more rounds than that is whole in its blob.
    items.truncate(99);
    items.push(PayloadType::Blob(exact.into()));
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

// === an event as an entry ===

fn take(reading: &mut Reading, event: Event) -> Result<(), MemoryError> {
    let at = Timestamp::from_millisecond(nearest_millisecond(event.event_timestamp)).map_err(corrupt)?;
    let sequence = event.metadata.as_ref().and_then(|metadata| metadata.get(SEQUENCE));
    let sequence = sequence.and_then(|value| value.as_string_value().ok()).and_then(|number| number.parse().ok());
    let entry = entry(event.payload);
    match sequence {
        Some(number) => reading.stored(at, number, entry),
        None => reading.foreign(at, entry.messages),
    }
    Ok(())
}

/// The wire has seconds with a fraction, which is rarely exact: cut off, the moment would be a millisecond earlier than it
/// was written, and the next entry would get the same.
fn nearest_millisecond(at: DateTime) -> i64 {
    at.secs().saturating_mul(1_000).saturating_add((i64::from(at.subsec_nanos()) + 500_000) / 1_000_000)
}

/// The exact entry where the event has it, else what its conversational items say. Items that
/// somebody else wrote and that say nothing to us are passed over.
fn entry(payload: Vec<PayloadType>) -> StoredEntry {
    let mut said = Vec::new();
    for item in payload {
        match item {
            PayloadType::Blob(blob) => {
                if let Some(exact) = exact_entry(json(blob)) {
                    return exact;
                }
            }
            PayloadType::Conversational(item) => said.extend(message(item)),
            _ => {}
        }
    }
    StoredEntry::of_messages(said)
}

fn exact_entry(blob: serde_json::Value) -> Option<StoredEntry> {
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
