//! A task as it stands, and as the memory keeps it.

use std::collections::HashMap;

use a2a::{Artifact, Message, Part, PartContent, Role, Task, TaskState, TaskStatus};
use agentcore_core::message::Question;
use chrono::{DateTime, Utc};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::version::written;
use crate::failure::Failure;
use crate::http::whole_seconds;
use crate::invocation::Answered;

/// The id of the artifact that is the answer.
const ANSWER: &str = "answer";

/// How much of a message stays in a task's history, in bytes: the session has all of it.
const REMEMBERED: usize = 20_000;

/// A task, and what is known of it beside what clients see.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) task: Task,
    /// The session that it is worked on in.
    pub(super) session: String,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) questions: Vec<Question>,
    /// Until when it may be worked on, in milliseconds since 1970, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until_ms: Option<i64>,
}

// === impl Record ===

impl Record {
    /// A new task, which is being worked on.
    pub(super) fn begin(context_id: String, session: String) -> Self {
        let id = Uuid::new_v4().to_string();
        let task = Task {
            id,
            context_id,
            status: status(TaskState::Working, None),
            artifacts: None,
            history: None,
            metadata: None,
        };
        Self { task, session, questions: Vec::new(), until_ms: None }
    }

    /// Takes in what the client says, and begins to work on it.
    pub(super) fn hear(&mut self, message: &Message, until_ms: i64) {
        // What it was asked is history now that it answers.
        let asked = self.task.status.message.take();
        let heard = remembered(message, &self.task);
        self.task.history.get_or_insert_default().extend(asked.into_iter().chain([heard]));
        self.task.status = status(TaskState::Working, None);
        self.questions.clear();
        self.until_ms = Some(until_ms);
    }

    /// Takes in the answer, whose words and type have been put into the artifact.
    pub(super) fn answer(&mut self, answered: Answered) {
        let Answered { session_id, stop_reason, usage, safety, questions, message, .. } = answered;
        let metadata = [
            ("session_id", json!(session_id)),
            ("stop_reason", json!(stop_reason)),
            ("usage", json!(usage)),
            ("safety", json!(safety)),
        ];
        self.task.metadata = Some(metadata.map(|(member, value)| (member.to_owned(), value)).into());
        self.until_ms = None;
        self.task.status = match questions.first() {
            None => status(TaskState::Completed, None),
            Some(first) => {
                let said = [message.text(), first.question.clone()].into_iter().filter(|words| !words.is_empty());
                let parts = said.map(Part::text).chain([Part::data(json!({ "questions": questions }))]);
                status(TaskState::InputRequired, Some(self.said(parts.collect())))
            }
        };
        self.questions = questions;
    }

    /// Takes in why there is no answer.
    pub(super) fn fail(&mut self, failure: &Failure, request_id: &str) {
        let mut metadata = HashMap::from([
            ("code".to_owned(), json!(failure.code.as_str())),
            ("request_id".to_owned(), json!(request_id)),
        ]);
        if let Some(wait) = failure.retry_after {
            metadata.insert("retry_after".to_owned(), whole_seconds(wait).into());
        }
        self.task.metadata = Some(metadata);
        self.end(TaskState::Failed, Some(failure.sentence.clone()));
    }

    /// The task is over without an answer.
    pub(super) fn end(&mut self, state: TaskState, why: Option<String>) {
        let why = why.map(|sentence| self.said(vec![Part::text(sentence)]));
        self.task.status = status(state, why);
        self.questions.clear();
        self.until_ms = None;
    }

    /// Words of the agent's in this task.
    pub(super) fn said(&self, parts: Vec<Part>) -> Message {
        Message {
            message_id: Uuid::new_v4().to_string(),
            context_id: Some(self.task.context_id.clone()),
            task_id: Some(self.task.id.clone()),
            role: Role::Agent,
            parts,
            metadata: None,
            extensions: None,
            reference_task_ids: None,
        }
    }

    /// Whether it is being worked on, as far as is known.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.task.status.state, TaskState::Submitted | TaskState::Working)
    }

    /// Whether it is being worked on by nobody any more, though nobody could say so.
    pub(super) fn is_abandoned(&self) -> bool {
        self.is_under_way() && self.until_ms.is_none_or(|until| Timestamp::now().as_millisecond() > until)
    }

    /// The task with no more than the newest so many messages of its history.
    pub(super) fn shown(mut self, history_length: Option<i32>) -> Task {
        if let (Some(most), Some(history)) = (history_length, &mut self.task.history) {
            let most = usize::try_from(most).unwrap_or(0);
            history.drain(..history.len().saturating_sub(most));
        }
        self.task.history = self.task.history.filter(|history| !history.is_empty());
        self.task
    }

    /// As the memory keeps it.
    pub(super) fn stored(&self) -> String {
        written(self).to_string()
    }
}

pub(super) fn status(state: TaskState, message: Option<Message>) -> TaskStatus {
    TaskStatus { state, message, timestamp: now() }
}

fn now() -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(Timestamp::now().as_millisecond())
}

/// The answer, or a piece of it.
pub(super) fn artifact(parts: Vec<Part>) -> Artifact {
    Artifact {
        artifact_id: ANSWER.to_owned(),
        name: Some(ANSWER.to_owned()),
        description: None,
        parts,
        metadata: None,
        extensions: None,
    }
}

/// An answer that is a type, as a part: data is an object's.
pub(super) fn data(output: Value) -> Part {
    if output.is_object() { Part::data(output) } else { Part::data(json!({ "output": output })) }
}

/// What a history has of a message: no bytes of pictures and files, as in a session, and no endless words.
fn remembered(message: &Message, task: &Task) -> Message {
    let parts = message.parts.iter().map(|part| match &part.content {
        PartContent::Text(text) if text.len() > REMEMBERED => {
            let end = text.floor_char_boundary(REMEMBERED);
            Part::text(format!("{}…", &text[..end]))
        }
        PartContent::Data(data) if data.to_string().len() > REMEMBERED => Part::text("[data]"),
        PartContent::Text(_) | PartContent::Data(_) | PartContent::Url(_) => part.clone(),
        PartContent::Raw(_) => {
            let name = part.filename.as_deref().or(part.media_type.as_deref()).unwrap_or("file");
            Part::text(format!("[{name}]"))
        }
    });
    Message {
        parts: parts.collect(),
        context_id: Some(task.context_id.clone()),
        task_id: Some(task.id.clone()),
        ..message.clone()
    }
}
