//! The shapes of version 0.3, which the crate a2a-lf does not know: it has the types of 1.0 and reads no other.
//!
//! What comes is made 1.0's; what leaves is made of it. They differ in names, in `kind`, which tells the members of a
//! choice apart, and in `final`, by which a stream says that it ends.

use std::collections::HashMap;

use a2a::{
    A2AError, Artifact, Message, Part, PartContent, Role, SendMessageConfiguration, SendMessageRequest, StreamResponse,
    Task, TaskPushNotificationConfig, TaskState, TaskStatus,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::request::read;
use super::version::written;

#[derive(Deserialize)]
struct SendParams {
    message: SentMessage,
    configuration: Option<Configuration>,
    metadata: Option<HashMap<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentMessage {
    message_id: String,
    context_id: Option<String>,
    task_id: Option<String>,
    role: Speaker,
    parts: Vec<SentPart>,
    metadata: Option<HashMap<String, Value>>,
    extensions: Option<Vec<String>>,
    reference_task_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    User,
    Agent,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum SentPart {
    Text { text: String, metadata: Option<HashMap<String, Value>> },
    File { file: SentFile, metadata: Option<HashMap<String, Value>> },
    Data { data: Map<String, Value>, metadata: Option<HashMap<String, Value>> },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentFile {
    bytes: Option<String>,
    uri: Option<String>,
    name: Option<String>,
    mime_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    accepted_output_modes: Option<Vec<String>>,
    blocking: Option<bool>,
    history_length: Option<i32>,
    push_notification_config: Option<PushNotificationConfig>,
}

#[derive(Deserialize)]
struct PushNotificationConfig {
    url: String,
}

// === what comes ===

/// The parameters of `message/send` and `message/stream`.
pub(super) fn read_send(params: &str) -> Result<SendMessageRequest, A2AError> {
    let SendParams { message, configuration, metadata } = read(params)?;
    let message = message.into_message()?;
    Ok(SendMessageRequest { message, configuration: configuration.map(Into::into), metadata, tenant: None })
}

impl SentMessage {
    fn into_message(self) -> Result<Message, A2AError> {
        let parts = self.parts.into_iter().enumerate().map(|(number, part)| {
            part.into_part().map_err(|problem| {
                A2AError::invalid_params(format!("In `params`, `message.parts[{number}].file` {problem}."))
            })
        });
        Ok(Message {
            message_id: self.message_id,
            context_id: self.context_id,
            task_id: self.task_id,
            role: match self.role {
                Speaker::User => Role::User,
                Speaker::Agent => Role::Agent,
            },
            parts: parts.collect::<Result<_, _>>()?,
            metadata: self.metadata,
            extensions: self.extensions,
            reference_task_ids: self.reference_task_ids,
        })
    }
}

impl SentPart {
    fn into_part(self) -> Result<Part, &'static str> {
        Ok(match self {
            Self::Text { text, metadata } => Part { metadata, ..Part::text(text) },
            Self::Data { data, metadata } => Part { metadata, ..Part::data(Value::Object(data)) },
            Self::File { file: SentFile { bytes, uri, name, mime_type }, metadata } => {
                let content = match (bytes, uri) {
                    (Some(bytes), _) => {
                        PartContent::Raw(BASE64.decode(bytes).map_err(|_| "has `bytes` that are not base64")?)
                    }
                    (None, Some(uri)) => PartContent::Url(uri),
                    (None, None) => return Err("has neither `bytes` nor `uri`"),
                };
                Part { content, filename: name, media_type: mime_type, metadata }
            }
        })
    }
}

impl From<Configuration> for SendMessageConfiguration {
    fn from(configuration: Configuration) -> Self {
        let Configuration { accepted_output_modes, blocking, history_length, push_notification_config } = configuration;
        let push = push_notification_config.map(|PushNotificationConfig { url }| TaskPushNotificationConfig {
            url,
            id: None,
            task_id: String::new(),
            token: None,
            authentication: None,
            tenant: None,
        });
        Self {
            accepted_output_modes,
            task_push_notification_config: push,
            history_length,
            return_immediately: blocking.map(|blocking| !blocking),
        }
    }
}

// === what leaves ===

pub(super) fn task(task: &Task) -> Value {
    let mut written = json!({
        "kind": "task", "id": task.id, "contextId": task.context_id, "status": status(&task.status),
    });
    if let Some(artifacts) = &task.artifacts {
        written["artifacts"] = artifacts.iter().map(artifact).collect();
    }
    if let Some(history) = &task.history {
        written["history"] = history.iter().map(message).collect();
    }
    add_metadata(&mut written, task.metadata.as_ref());
    written
}

pub(super) fn event(event: &StreamResponse, last: bool) -> Value {
    match event {
        StreamResponse::Task(told) => task(told),
        StreamResponse::Message(told) => message(told),
        StreamResponse::StatusUpdate(update) => {
            let mut written = json!({
                "kind": "status-update", "taskId": update.task_id, "contextId": update.context_id,
                "status": status(&update.status), "final": last,
            });
            add_metadata(&mut written, update.metadata.as_ref());
            written
        }
        StreamResponse::ArtifactUpdate(update) => json!({
            "kind": "artifact-update", "taskId": update.task_id, "contextId": update.context_id,
            "artifact": artifact(&update.artifact), "append": update.append.unwrap_or(false),
            "lastChunk": update.last_chunk.unwrap_or(false),
        }),
    }
}

fn status(status: &TaskStatus) -> Value {
    let mut written = json!({ "state": state(&status.state) });
    if let Some(said) = &status.message {
        written["message"] = message(said);
    }
    if let Some(timestamp) = &status.timestamp {
        written["timestamp"] = self::written(timestamp);
    }
    written
}

fn state(state: &TaskState) -> &'static str {
    match state {
        TaskState::Unspecified => "unknown",
        TaskState::Submitted => "submitted",
        TaskState::Working => "working",
        TaskState::Completed => "completed",
        TaskState::Failed => "failed",
        TaskState::Canceled => "canceled",
        TaskState::InputRequired => "input-required",
        TaskState::Rejected => "rejected",
        TaskState::AuthRequired => "auth-required",
    }
}

fn message(message: &Message) -> Value {
    let role = if message.role == Role::Agent { "agent" } else { "user" };
    let parts: Value = message.parts.iter().map(part).collect();
    let mut written = json!({ "kind": "message", "messageId": message.message_id, "role": role, "parts": parts });
    if let Some(context_id) = &message.context_id {
        written["contextId"] = context_id.as_str().into();
    }
    if let Some(task_id) = &message.task_id {
        written["taskId"] = task_id.as_str().into();
    }
    add_metadata(&mut written, message.metadata.as_ref());
    written
}

fn artifact(artifact: &Artifact) -> Value {
    let parts: Value = artifact.parts.iter().map(part).collect();
    let mut written = json!({ "artifactId": artifact.artifact_id, "parts": parts });
    if let Some(name) = &artifact.name {
        written["name"] = name.as_str().into();
    }
    written
}

/// Of files nothing leaves but what they were called: see `record`.
fn part(part: &Part) -> Value {
    let mut written = match &part.content {
        PartContent::Text(text) => json!({ "kind": "text", "text": text }),
        PartContent::Data(data) => json!({ "kind": "data", "data": data }),
        PartContent::Raw(bytes) => file(part, "bytes", BASE64.encode(bytes)),
        PartContent::Url(uri) => file(part, "uri", uri.clone()),
    };
    add_metadata(&mut written, part.metadata.as_ref());
    written
}

fn file(part: &Part, member: &str, content: String) -> Value {
    let mut file = Map::new();
    file.insert(member.to_owned(), content.into());
    file.extend(part.filename.clone().map(|name| ("name".to_owned(), name.into())));
    file.extend(part.media_type.clone().map(|media_type| ("mimeType".to_owned(), media_type.into())));
    json!({ "kind": "file", "file": file })
}

fn add_metadata(written: &mut Value, metadata: Option<&HashMap<String, Value>>) {
    if let Some(metadata) = metadata {
        written["metadata"] = self::written(metadata);
    }
}
