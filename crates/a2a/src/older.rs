//! What an agent of version 0.3 tells, as the types of 1.0 have it. The crate a2a-lf knows no other.

use a2a::{
    Artifact, Message, Part, Role, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus,
    TaskStatusUpdateEvent,
};
use serde::Deserialize;
use serde_json::Value;

/// Anything that such an agent answers with.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Told {
    Task {
        id: String,
        context_id: String,
        status: OlderStatus,
        #[serde(default)]
        artifacts: Vec<OlderArtifact>,
    },
    Message(OlderMessage),
    StatusUpdate {
        task_id: String,
        context_id: String,
        status: OlderStatus,
    },
    ArtifactUpdate {
        task_id: String,
        context_id: String,
        artifact: OlderArtifact,
        append: Option<bool>,
    },
}

#[derive(Deserialize)]
struct OlderStatus {
    state: String,
    message: Option<OlderMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OlderMessage {
    #[serde(default)]
    message_id: String,
    context_id: Option<String>,
    parts: Vec<OlderPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OlderArtifact {
    artifact_id: String,
    parts: Vec<OlderPart>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum OlderPart {
    Text { text: String },
    Data { data: Value },
    File { file: OlderFile },
}

#[derive(Deserialize)]
struct OlderFile {
    name: Option<String>,
    #[serde(rename = "mimeType")]
    mime_type: Option<String>,
}

/// Reads what such an agent tells.
pub(crate) fn read(told: Value) -> Result<StreamResponse, serde_json::Error> {
    Ok(match serde_json::from_value(told)? {
        Told::Message(message) => StreamResponse::Message(message.into()),
        Told::Task { id, context_id, status, artifacts } => StreamResponse::Task(Task {
            id,
            context_id,
            status: status.into(),
            artifacts: Some(artifacts.into_iter().map(Into::into).collect()),
            history: None,
            metadata: None,
        }),
        Told::StatusUpdate { task_id, context_id, status } => {
            let status = status.into();
            StreamResponse::StatusUpdate(TaskStatusUpdateEvent { task_id, context_id, status, metadata: None })
        }
        Told::ArtifactUpdate { task_id, context_id, artifact, append } => {
            let artifact = artifact.into();
            let (last_chunk, metadata) = (None, None);
            StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
                task_id,
                context_id,
                artifact,
                append,
                last_chunk,
                metadata,
            })
        }
    })
}

impl From<OlderStatus> for TaskStatus {
    fn from(OlderStatus { state, message }: OlderStatus) -> Self {
        let state = match state.as_str() {
            "submitted" => TaskState::Submitted,
            "working" => TaskState::Working,
            "completed" => TaskState::Completed,
            "failed" => TaskState::Failed,
            "canceled" => TaskState::Canceled,
            "input-required" => TaskState::InputRequired,
            "rejected" => TaskState::Rejected,
            "auth-required" => TaskState::AuthRequired,
            _ => TaskState::Unspecified,
        };
        Self { state, message: message.map(Into::into), timestamp: None }
    }
}

impl From<OlderMessage> for Message {
    fn from(OlderMessage { message_id, context_id, parts }: OlderMessage) -> Self {
        Self {
            message_id,
            context_id,
            task_id: None,
            role: Role::Agent,
            parts: parts.into_iter().map(Into::into).collect(),
            metadata: None,
            extensions: None,
            reference_task_ids: None,
        }
    }
}

impl From<OlderArtifact> for Artifact {
    fn from(OlderArtifact { artifact_id, parts }: OlderArtifact) -> Self {
        let parts = parts.into_iter().map(Into::into).collect();
        Self { artifact_id, name: None, description: None, parts, metadata: None, extensions: None }
    }
}

impl From<OlderPart> for Part {
    fn from(part: OlderPart) -> Self {
        match part {
            OlderPart::Text { text } => Self::text(text),
            OlderPart::Data { data } => Self::data(data),
            // That there is a file is told, and not what is in it.
            OlderPart::File { file: OlderFile { name, mime_type } } => {
                Self { filename: name, media_type: mime_type, ..Self::raw(Vec::new()) }
            }
        }
    }
}
