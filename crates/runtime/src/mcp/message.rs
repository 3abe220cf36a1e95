//! What is known of a message before rmcp reads it, and how one is refused that rmcp shall not see.

use agentcore_core::payload::Object;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rmcp::model::{ErrorCode, ErrorData, RequestId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;

/// JSON-RPC's first code for errors of a server's own making.
const SERVER_ERROR: ErrorCode = ErrorCode(-32000);

/// A message's head.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// Whether it is `initialize`, whose answer names the session.
    pub(super) begins: bool,
    /// The request that its sender wants no answer to any more.
    pub(super) cancels: Option<RequestId>,
}

#[derive(Deserialize)]
struct Message {
    method: Option<String>,
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "requestId")]
    request_id: Option<Value>,
}

// === impl Asked ===

impl Asked {
    pub(super) fn read(body: &[u8]) -> Result<Self, ErrorData> {
        let read = serde_json::from_slice::<Object<Message>>(body);
        let Object(Message { method, params }) = read.map_err(|error| not_a_message(&error))?;
        let method = method.unwrap_or_default();
        let request_id = params.and_then(|params| params.request_id).filter(|_| method == "notifications/cancelled");
        let cancels = request_id.and_then(|id| serde_json::from_value(id).ok());
        Ok(Self { begins: method == "initialize", cancels })
    }
}

/// Says where, and never what was found there: that may be somebody's words.
fn not_a_message(error: &serde_json::Error) -> ErrorData {
    let (line, column) = (error.line(), error.column());
    if error.is_data() {
        let sentence = format!("The message is no JSON-RPC message: see line {line}, column {column}.");
        ErrorData::new(ErrorCode::INVALID_REQUEST, sentence, None)
    } else {
        let sentence = format!("The message is no JSON: see line {line}, column {column}.");
        ErrorData::new(ErrorCode::PARSE_ERROR, sentence, None)
    }
}

/// What is JSON, and yet nothing that MCP knows.
pub(super) fn not_of_the_protocol() -> ErrorData {
    let sentence = "The message is no request, notification or answer of JSON-RPC 2.0 and MCP.";
    ErrorData::new(ErrorCode::INVALID_REQUEST, sentence, None)
}

/// Refuses a message that was not read as far as its id.
pub(super) fn refused(status: StatusCode, why: &ErrorData) -> Response {
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": why });
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Refuses a message that there is no room for, or whose answer failed.
pub(super) fn failed(failure: &Failure) -> Response {
    let why = ErrorData::new(SERVER_ERROR, failure.sentence.clone(), Some(json!({ "code": failure.code.as_str() })));
    let mut response = refused(failure.code.status(), &why);
    if let Some(wait) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, crate::http::whole_seconds(wait).into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> Result<Asked, String> {
        Asked::read(message.as_bytes()).map_err(|error| format!("{} {}", error.code.0, error.message))
    }

    #[test]
    fn what_a_message_is_about_is_read_and_nothing_else_is() {
        let nothing = Asked { begins: false, cancels: None };
        assert_eq!(read(r#"{"id":1,"method":"tools/call","params":{"requestId":{"a":1}}}"#), Ok(nothing));
        let begins = Asked { begins: true, cancels: None };
        assert_eq!(read(r#"{"id":1,"method":"initialize","params":{}}"#), Ok(begins));
        let cancels = |id| Ok(Asked { begins: false, cancels: Some(id) });
        let cancelled =
            |id: &str| read(&format!(r#"{{"method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#));
        assert_eq!(cancelled("7"), cancels(RequestId::Number(7)));
        assert_eq!(cancelled(r#""7""#), cancels(RequestId::String("7".into())));
        assert_eq!(cancelled("[7]"), Ok(Asked { begins: false, cancels: None }));
    }

    #[test]
    fn what_is_no_message_is_told_by_place_and_not_by_what_it_says() {
        insta::assert_snapshot!(read(r#"{"method": secret}"#).expect_err("no JSON"), @"-32700 The message is no JSON: see line 1, column 12.");
        insta::assert_snapshot!(read("[{}]").expect_err("a batch"), @"-32600 The message is no JSON-RPC message: see line 1, column 0.");
        insta::assert_snapshot!(read("").expect_err("nothing"), @"-32700 The message is no JSON: see line 1, column 0.");
    }
}
