//! The shapes of Memory's event operations, as the service's model has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// `CreateEvent`, without the members that stand in the URI.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateEvent {
    pub(super) actor_id: String,
    /// One is made when absent.
    pub(super) session_id: Option<String>,
    /// Unix seconds, with fractions.
    pub(super) event_timestamp: Number,
    pub(super) payload: Vec<PayloadItem>,
    pub(super) branch: Option<Branch>,
    pub(super) client_token: Option<String>,
    pub(super) metadata: Option<Metadata>,
    /// What the service extracts long-term memories by. Checked, and without effect here.
    pub(super) extraction_mode: Option<ExtractionMode>,
    pub(super) extraction_config: Option<ExtractionConfig>,
}

/// An event, as it is stored and answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the members' names on the wire")]
pub(super) struct Event {
    pub(super) memory_id: String,
    pub(super) actor_id: String,
    pub(super) session_id: String,
    pub(super) event_id: String,
    pub(super) event_timestamp: Number,
    /// Absent from a list that was asked for without payloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<Vec<PayloadItem>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) branch: Option<Branch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Metadata>,
}

pub(super) type Metadata = BTreeMap<String, MetadataValue>;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum PayloadItem {
    Conversational(Conversational),
    Blob(Value),
    Json(JsonItem),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Conversational {
    pub(super) content: Content,
    pub(super) role: Role,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Content {
    Text(String),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Role {
    Assistant,
    User,
    Tool,
    Other,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JsonItem {
    pub(super) content: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Branch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) root_event_id: Option<String>,
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum MetadataValue {
    StringValue(String),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ExtractionMode {
    Skip,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExtractionConfig {
    pub(super) namespace_variables: Option<BTreeMap<String, String>>,
}

/// `ListEvents`, without the members that stand in the URI.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListEvents {
    pub(super) include_payloads: Option<bool>,
    pub(super) filter: Option<EventFilter>,
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EventFilter {
    pub(super) branch: Option<BranchFilter>,
    pub(super) event_metadata: Option<Vec<MetadataExpression>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BranchFilter {
    pub(super) name: String,
    pub(super) include_parent_branches: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MetadataExpression {
    pub(super) left: LeftExpression,
    pub(super) operator: Operator,
    pub(super) right: Option<RightExpression>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum LeftExpression {
    MetadataKey(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RightExpression {
    MetadataValue(MetadataValue),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Operator {
    EqualsTo,
    Exists,
    NotExists,
}

/// `ListSessions`, without the members that stand in the URI.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListSessions {
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
    pub(super) filter: Option<SessionFilter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SessionFilter {
    pub(super) event_filter: Option<EventCondition>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum EventCondition {
    HasEvents,
}

/// `ListActors`, without the members that stand in the URI.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListActors {
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
}

// === impl CreateEvent ===

impl CreateEvent {
    /// The event's moment in Unix milliseconds, rounded down; absent when no calendar has it.
    pub(super) fn milliseconds(&self) -> Option<u64> {
        /// The last second of the year 9999.
        const LAST: f64 = 253_402_300_799.0;
        let seconds = self.event_timestamp.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked above")]
        let milliseconds = (seconds * 1000.0).floor() as u64;
        Some(milliseconds)
    }
}

// === impl EventFilter ===

impl EventFilter {
    /// Whether an event's metadata passes every expression.
    pub(super) fn passes(&self, metadata: Option<&Metadata>) -> bool {
        self.event_metadata.iter().flatten().all(|expression| expression.holds(metadata))
    }
}

// === impl MetadataExpression ===

impl MetadataExpression {
    fn holds(&self, metadata: Option<&Metadata>) -> bool {
        let LeftExpression::MetadataKey(key) = &self.left;
        let value = metadata.and_then(|metadata| metadata.get(key));
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::NotExists => value.is_none(),
            Operator::EqualsTo => match &self.right {
                Some(RightExpression::MetadataValue(wanted)) => value == Some(wanted),
                None => false,
            },
        }
    }
}
