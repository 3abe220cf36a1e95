//! A message as it came: JSON-RPC, one of the protocol's methods, in one of its two versions.
//!
//! The names of the methods tell the versions apart, and each has its own shapes. `A2A-Version` is looked at only for a
//! version that is neither: a client that leaves it out, as the older ones do, has said by the method what it speaks.

use a2a::{
    A2AError, CancelTaskRequest, GetTaskRequest, JsonRpcId, SVC_PARAM_VERSION, SendMessageRequest,
    SubscribeToTaskRequest, error_code, methods,
};
use agentcore_core::payload::Object;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::older;
use super::version::Version;
use crate::failure::{Code, Failure};
use crate::payload;

/// What is asked, by whose id, in which version.
pub(super) struct Call {
    pub(super) id: JsonRpcId,
    pub(super) version: Version,
    pub(super) asked: Asked,
}

/// What is asked.
pub(super) enum Asked {
    /// That a message be answered; `streamed` as it is written.
    Send { request: Box<SendMessageRequest>, streamed: bool },
    /// How a task stands.
    Get(GetTaskRequest),
    /// That a task be ended.
    Cancel(CancelTaskRequest),
    /// That a task be told of from now on.
    Subscribe(SubscribeToTaskRequest),
}

/// A message that is not taken, with its id where it could be read.
pub(super) struct Refused {
    pub(super) id: JsonRpcId,
    pub(super) error: A2AError,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    jsonrpc: Option<Value>,
    id: Option<Value>,
    method: Option<Value>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

// === impl Call ===

impl Call {
    /// Reads a message.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refused> {
        let Envelope { jsonrpc, id, method, params } = envelope(body)?;
        let (id, is_id) = match id.map(serde_json::from_value) {
            Some(Ok(id)) => (id, true),
            Some(Err(_)) | None => (JsonRpcId::Null, false),
        };
        let refused = |error| Refused { id: id.clone(), error };
        if jsonrpc.as_ref().and_then(Value::as_str) != Some("2.0") {
            return Err(refused(A2AError::invalid_request("`jsonrpc` must be \"2.0\".")));
        }
        if !is_id {
            return Err(refused(A2AError::invalid_request("`id` must be a string or a whole number.")));
        }
        let Some(Value::String(method)) = method else {
            return Err(refused(A2AError::invalid_request("`method` must be a string.")));
        };
        check_version(headers).map_err(refused)?;
        let (version, asked) = read_method(&method, params.map_or("{}", RawValue::get)).map_err(refused)?;
        Ok(Self { id, version, asked })
    }
}

fn envelope(body: &[u8]) -> Result<Envelope<'_>, Refused> {
    let refused = |error| Refused { id: JsonRpcId::Null, error };
    match serde_json::from_slice(body) {
        Ok(Object(envelope)) => Ok(envelope),
        // Says where, and never what was found there: that may be somebody's words.
        Err(error) if error.is_data() => {
            let sentence = "The message must be one request of JSON-RPC 2.0; lists of them are not taken.";
            Err(refused(A2AError::invalid_request(sentence)))
        }
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let sentence = format!("The message is no JSON: see line {line}, column {column}.");
            Err(refused(A2AError::parse_error(sentence)))
        }
    }
}

/// Refuses versions that are not spoken here.
fn check_version(headers: &HeaderMap) -> Result<(), A2AError> {
    let Some(asked) = headers.get(SVC_PARAM_VERSION) else { return Ok(()) };
    let asked = asked.to_str().unwrap_or_default().trim();
    let mut numbers = asked.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        _ if asked.is_empty() => Ok(()),
        (Some(Ok(1)), None | Some(Ok(_))) | (Some(Ok(0)), Some(Ok(3))) => Ok(()),
        _ => {
            let sentence = "This version of A2A is not spoken here; there are 1.0 and 0.3.";
            Err(A2AError::new(error_code::VERSION_NOT_SUPPORTED, sentence))
        }
    }
}

fn read_method(method: &str, params: &str) -> Result<(Version, Asked), A2AError> {
    let (version, asked) = match method {
        methods::SEND_MESSAGE => (Version::Current, send(read(params)?, false)),
        methods::SEND_STREAMING_MESSAGE => (Version::Current, send(read(params)?, true)),
        "message/send" => (Version::Older, send(older::read_send(params)?, false)),
        "message/stream" => (Version::Older, send(older::read_send(params)?, true)),
        // Of these both versions have the same shapes.
        methods::GET_TASK => (Version::Current, Asked::Get(read(params)?)),
        "tasks/get" => (Version::Older, Asked::Get(read(params)?)),
        methods::CANCEL_TASK => (Version::Current, Asked::Cancel(read(params)?)),
        "tasks/cancel" => (Version::Older, Asked::Cancel(read(params)?)),
        methods::SUBSCRIBE_TO_TASK => (Version::Current, Asked::Subscribe(read(params)?)),
        "tasks/resubscribe" => (Version::Older, Asked::Subscribe(read(params)?)),
        _ => return Err(not_served(method)),
    };
    Ok((version, asked))
}

fn send(request: SendMessageRequest, streamed: bool) -> Asked {
    Asked::Send { request: Box::new(request), streamed }
}

/// What the protocol has and this agent has not.
fn not_served(method: &str) -> A2AError {
    match method {
        methods::CREATE_PUSH_CONFIG
        | methods::GET_PUSH_CONFIG
        | methods::LIST_PUSH_CONFIGS
        | methods::DELETE_PUSH_CONFIG
        | "tasks/pushNotificationConfig/set"
        | "tasks/pushNotificationConfig/get"
        | "tasks/pushNotificationConfig/list"
        | "tasks/pushNotificationConfig/delete" => no_push_notifications(),
        methods::LIST_TASKS => {
            A2AError::unsupported_operation("Tasks are not listed here; ask for one by its id, with GetTask.")
        }
        methods::GET_EXTENDED_AGENT_CARD => A2AError::unsupported_operation("There is no card but the public one."),
        "agent/getAuthenticatedExtendedCard" => A2AError::extended_card_not_configured(),
        _ => A2AError::new(error_code::METHOD_NOT_FOUND, "A2A has no such method, in its versions 1.0 and 0.3."),
    }
}

pub(super) fn no_push_notifications() -> A2AError {
    let sentence = "This agent calls nobody back; stream the answer, or ask for the task.";
    A2AError::new(error_code::PUSH_NOTIFICATION_NOT_SUPPORTED, sentence)
}

/// Reads parameters as an agent's payload is read: what is wrong is told by its place.
pub(super) fn read<T: DeserializeOwned>(params: &str) -> Result<T, A2AError> {
    payload::read(params.as_bytes()).map_err(|failure| {
        let failure = Failure { code: Code::InvalidPayload, ..failure };
        A2AError::invalid_params(format!("In `params`, {}.", failure.sentence))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        refused_with(&HeaderMap::new(), body)
    }

    fn refused_with(headers: &HeaderMap, body: &str) -> String {
        match Call::read(headers, body.as_bytes()) {
            Ok(_) => "taken".to_owned(),
            Err(Refused { id, error }) => {
                format!("{} {} {}", serde_json::to_string(&id).expect("JSON"), error.code, error.message)
            }
        }
    }

    #[test]
    fn what_is_no_request_is_told_by_place_and_not_by_what_it_says() {
        insta::assert_snapshot!(refused(r#"{"method": secret}"#), @"null -32700 The message is no JSON: see line 1, column 12.");
        insta::assert_snapshot!(refused(""), @"null -32700 The message is no JSON: see line 1, column 0.");
        insta::assert_snapshot!(refused("[{}]"), @"null -32600 The message must be one request of JSON-RPC 2.0; lists of them are not taken.");
        insta::assert_snapshot!(refused(r#"{"id":1,"method":"tasks/get"}"#), @r#"1 -32600 `jsonrpc` must be "2.0"."#);
        insta::assert_snapshot!(refused(r#"{"jsonrpc":"2.0","id":1.5,"method":"tasks/get"}"#), @"null -32600 `id` must be a string or a whole number.");
        insta::assert_snapshot!(refused(r#"{"jsonrpc":"2.0","method":"tasks/get"}"#), @"null -32600 `id` must be a string or a whole number.");
        insta::assert_snapshot!(refused(r#"{"jsonrpc":"2.0","id":"a"}"#), @r#""a" -32600 `method` must be a string."#);
        insta::assert_snapshot!(refused(r#"{"jsonrpc":"2.0","id":"a","method":"tasks/forget"}"#), @r#""a" -32601 A2A has no such method, in its versions 1.0 and 0.3."#);
        insta::assert_snapshot!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[1]}"#), @"1 -32602 In `params`, the payload must be a JSON object.");
        insta::assert_snapshot!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get"}"#), @"1 -32602 In `params`, the payload has a missing field `id`.");
    }

    #[test]
    fn both_versions_are_taken_and_no_others() {
        let headers = |version: &str| {
            HeaderMap::from_iter([("a2a-version".parse().expect("a name"), version.parse().expect("a value"))])
        };
        let get = r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"1"}}"#;
        for version in ["", "1", "1.0", "1.1", "1.0.0", "0.3", "0.3.0"] {
            assert_eq!(refused_with(&headers(version), get), "taken", "{version}");
        }
        for version in ["0", "0.2", "2.0", "one", "1.x"] {
            assert!(refused_with(&headers(version), get).starts_with("1 -32009"), "{version}");
        }
    }
}
