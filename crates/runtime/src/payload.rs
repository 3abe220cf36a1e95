//! Reads what was sent.
//!
//! What is wrong is told by its place and by what was expected there, never by what was found: that may
//! be somebody's words.

use agentcore_core::payload::Object;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::failure::{Code, Failure};

/// Reads a payload of the agent's type.
pub(crate) fn read<P: DeserializeOwned>(body: &[u8]) -> Result<P, Failure> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let details = format!("byte {} is not UTF-8", error.valid_up_to());
        Failure::with_details(Code::InvalidEncoding, "Invalid encoding", details)
    })?;
    let mut json = serde_json::Deserializer::from_str(text);
    let Object(payload) =
        serde_path_to_error::deserialize(&mut json).map_err(|error| refused::<P>(text, error.inner(), error.path()))?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(payload)
}

/// The failure of an error. `serde_json` calls it bad syntax when a number or a list stands where one of
/// several names belongs; of text that is JSON all the same, the tree is read instead, which says more.
fn refused<P: DeserializeOwned>(text: &str, error: &serde_json::Error, path: &Path) -> Failure {
    if error.is_data() {
        return invalid(path, error);
    }
    match serde_json::from_str(text) {
        Ok(tree) => misplaced::<P>(tree).unwrap_or_else(|| not_json(error)),
        Err(error) => not_json(&error),
    }
}

/// Tells of a value of the wrong kind. Where a name belongs, none that exists is put, so that the error
/// lists those that do.
fn misplaced<P: DeserializeOwned>(mut tree: Value) -> Option<Failure> {
    let read = |tree: &Value| serde_path_to_error::deserialize::<_, Object<P>>(tree).err();
    let first = read(&tree)?;
    *value_at(&mut tree, first.path())? = Value::String(String::new());
    let told = read(&tree).filter(|second| second.path().to_string() == first.path().to_string()).unwrap_or(first);
    Some(invalid(told.path(), told.inner()))
}

fn value_at<'a>(tree: &'a mut Value, path: &Path) -> Option<&'a mut Value> {
    path.iter().try_fold(tree, |value, step| match step {
        Segment::Map { key } => value.get_mut(key),
        Segment::Seq { index } => value.get_mut(index),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

fn invalid(path: &Path, error: &serde_json::Error) -> Failure {
    Failure::new(Code::InvalidPayload, sentence(&path.to_string(), &error.to_string()))
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::with_details(Code::InvalidJson, "Invalid JSON", error.to_string())
}

/// Makes a sentence of serde's, which says what was found and then what was expected: only the second
/// half may be repeated.
fn sentence(member: &str, said: &str) -> String {
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _place)| said);
    let subject = if member == "." { "the payload".to_owned() } else { format!("`{member}`") };
    match said.rsplit_once(", expected ") {
        // What Rust calls it says nothing to a caller.
        Some((_found, expected)) if expected.starts_with("struct ") => format!("{subject} must be a JSON object"),
        Some((_found, expected)) => format!("{subject} must be {expected}"),
        None if said.starts_with("missing field") || said.starts_with("duplicate field") => {
            format!("{subject} has a {said}")
        }
        None => format!("{subject} is not what it should be"),
    }
}

/// What Bedrock calls the documents it takes, by their MIME types.
#[cfg(any(feature = "a2a", feature = "ag-ui"))]
pub(crate) fn document_format(mime_type: &str) -> Option<&'static str> {
    Some(match mime_type {
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/html" => "html",
        "text/plain" => "txt",
        "text/markdown" => "md",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Order {
        dish: Option<Object<Dish>>,
        count: u8,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Dish {
        kind: Option<Kind>,
        hot: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Soup,
        Stew,
    }

    fn refusal(body: &str) -> String {
        let failure = read::<Order>(body.as_bytes()).expect_err("refused");
        format!("{} | {} | {}", failure.code.as_str(), failure.sentence, failure.details.unwrap_or_default())
    }

    #[test]
    fn what_is_wrong_is_told_by_place_and_by_what_is_allowed() {
        insta::assert_snapshot!(refusal(r#"{"dish": {"kind": "secret, expected pudding"}}"#), @"invalid_payload | `dish.kind` must be `soup` or `stew` |");
        insta::assert_snapshot!(refusal(r#"{"dish": {"kind": 7}}"#), @"invalid_payload | `dish.kind` must be `soup` or `stew` |");
        insta::assert_snapshot!(refusal(r#"{"dish": {"kind": ["secret"]}, "count": 1}"#), @"invalid_payload | `dish.kind` must be `soup` or `stew` |");
        insta::assert_snapshot!(refusal(r#"{"dish": {"hot": "secret"}}"#), @"invalid_payload | `dish.hot` must be a boolean |");
        insta::assert_snapshot!(refusal(r#"{"dish": ["soup", true]}"#), @"invalid_payload | `dish` must be a JSON object |");
        insta::assert_snapshot!(refusal(r#"{"count": 300}"#), @"invalid_payload | `count` must be u8 |");
        insta::assert_snapshot!(refusal(r#"{"count": 1, "count": 2}"#), @"invalid_payload | the payload has a duplicate field `count` |");
        insta::assert_snapshot!(refusal("{}"), @"invalid_payload | the payload has a missing field `count` |");
        insta::assert_snapshot!(refusal("[1, 2]"), @"invalid_payload | the payload must be a JSON object |");
        insta::assert_snapshot!(refusal("\"secret\""), @"invalid_payload | the payload must be a JSON object |");
        insta::assert_snapshot!(refusal("7"), @"invalid_payload | the payload must be a JSON object |");
    }

    #[test]
    fn what_is_no_json_is_told_by_place() {
        insta::assert_snapshot!(refusal("{bad"), @"invalid_json | Invalid JSON | key must be a string at line 1 column 2");
        insta::assert_snapshot!(refusal(""), @"invalid_json | Invalid JSON | EOF while parsing a value at line 1 column 0");
        insta::assert_snapshot!(refusal(r#"{"count": 1} x"#), @"invalid_json | Invalid JSON | trailing characters at line 1 column 14");
        insta::assert_snapshot!(refusal(r#"{"count": NaN}"#), @"invalid_json | Invalid JSON | expected value at line 1 column 11");
    }

    #[test]
    fn a_lone_surrogate_is_refused_here_and_not_by_the_model_service() {
        #[derive(Debug, Deserialize)]
        struct Said {
            #[expect(dead_code, reason = "only read")]
            prompt: String,
        }
        let failure = read::<Said>(br#"{"prompt": "a \ud800 b"}"#).expect_err("refused");
        insta::assert_snapshot!(failure.details.expect("details"), @"unexpected end of hex escape at line 1 column 21");
    }

    #[test]
    fn bytes_that_are_no_text_are_told_by_place() {
        let failure = read::<Order>(b"{\"a\":\"\xff\"}").expect_err("refused");
        assert_eq!(failure.code, Code::InvalidEncoding);
        insta::assert_snapshot!(failure.details.expect("details"), @"byte 6 is not UTF-8");
    }
}
