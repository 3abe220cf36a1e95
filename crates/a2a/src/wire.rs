//! JSON-RPC in both versions: what is asked, and what of the answer there is to know.

use a2a::{JsonRpcResponse, Message, SendMessageRequest, SendMessageResponse, StreamResponse, Task, methods};
use serde_json::{Value, json};

use crate::card::Version;
use crate::older;

/// What is asked of an agent.
pub(crate) enum Asked<'a> {
    /// To answer a message, `streamed` or at its end.
    Send { request: &'a SendMessageRequest, streamed: bool },
    /// How a task stands.
    Get { task: &'a str },
    /// To end a task.
    Cancel { task: &'a str },
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The agent says so itself.
    #[error("{0}")]
    Refused(String),
    /// It cannot be read.
    #[error("its answer is none of the protocol's")]
    NotOfTheProtocol,
}

impl Version {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Older => "0.3",
            Self::Current => a2a::VERSION,
        }
    }

    /// A request, as it leaves.
    pub(crate) fn written(self, asked: &Asked<'_>) -> Vec<u8> {
        let (method, params) = match self {
            Self::Current => current(asked),
            Self::Older => older_of(asked),
        };
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string().into_bytes()
    }

    /// What an answer says, whole or as a piece of a stream.
    pub(crate) fn read(self, asked: &Asked<'_>, answer: &[u8]) -> Result<StreamResponse, AnswerError> {
        let answer: JsonRpcResponse = serde_json::from_slice(answer).map_err(|_| AnswerError::NotOfTheProtocol)?;
        if let Some(error) = answer.error {
            return Err(AnswerError::Refused(error.message));
        }
        let result = answer.result.ok_or(AnswerError::NotOfTheProtocol)?;
        let told = match (self, asked) {
            (Self::Older, _) => older::read(result),
            (Self::Current, Asked::Send { streamed: true, .. }) => serde_json::from_value(result),
            (Self::Current, Asked::Send { streamed: false, .. }) => {
                serde_json::from_value(result).map(|answer| match answer {
                    SendMessageResponse::Task(task) => StreamResponse::Task(task),
                    SendMessageResponse::Message(message) => StreamResponse::Message(message),
                })
            }
            (Self::Current, Asked::Get { .. } | Asked::Cancel { .. }) => {
                serde_json::from_value::<Task>(result).map(StreamResponse::Task)
            }
        };
        told.map_err(|_| AnswerError::NotOfTheProtocol)
    }
}

fn current(asked: &Asked<'_>) -> (&'static str, Value) {
    match asked {
        Asked::Send { request, streamed } => {
            let method = if *streamed { methods::SEND_STREAMING_MESSAGE } else { methods::SEND_MESSAGE };
            (method, json!(request))
        }
        Asked::Get { task } => (methods::GET_TASK, json!({ "id": task })),
        Asked::Cancel { task } => (methods::CANCEL_TASK, json!({ "id": task })),
    }
}

fn older_of(asked: &Asked<'_>) -> (&'static str, Value) {
    match asked {
        Asked::Send { request, streamed } => {
            let method = if *streamed { "message/stream" } else { "message/send" };
            let configuration = json!({ "acceptedOutputModes": ["text/plain", "application/json"], "blocking": true });
            (method, json!({ "message": older_message(&request.message), "configuration": configuration }))
        }
        Asked::Get { task } => ("tasks/get", json!({ "id": task })),
        Asked::Cancel { task } => ("tasks/cancel", json!({ "id": task })),
    }
}

/// A message of ours: words.
fn older_message(message: &Message) -> Value {
    let words: Vec<Value> =
        message.parts.iter().map(|part| json!({ "kind": "text", "text": part.as_text() })).collect();
    let mut written = json!({ "kind": "message", "messageId": message.message_id, "role": "user", "parts": words });
    for (member, id) in [("contextId", &message.context_id), ("taskId", &message.task_id)] {
        if let Some(id) = id {
            written[member] = id.as_str().into();
        }
    }
    written
}
