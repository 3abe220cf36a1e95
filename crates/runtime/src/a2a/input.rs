//! A message as an agent's payload.
//!
//! Words are `prompt`; with pictures or files beside them, all of it is `content`. The members of a data part are the
//! payload's own, such as the coach's `user_context`. Where the task waits for a person, words are the reply to the first
//! question, and a data part with `replies` answers whichever it names.

use a2a::{A2AError, Message, Part, PartContent, error_code};
use agentcore_core::message::{Question, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::payload::document_format;

/// What the client may want of an answer, if anything here can be it.
pub(super) const OUTPUT_MODES: [&str; 2] = ["text/plain", "application/json"];

/// The payload, as JSON.
///
/// # Errors
/// When it cannot be made one: the sentence names the place and no word of the client's.
pub(super) fn payload(message: &Message, questions: &[Question]) -> Result<Vec<u8>, A2AError> {
    if message.parts.is_empty() {
        return Err(invalid("message.parts", "is empty; say something"));
    }
    let (mut payload, mut blocks) = (Map::new(), Vec::new());
    for (number, part) in message.parts.iter().enumerate() {
        let place = format!("message.parts[{number}]");
        match &part.content {
            PartContent::Text(text) => blocks.push(json!({ "text": text })),
            PartContent::Data(Value::Object(members)) => payload.extend(members.clone()),
            PartContent::Data(_) => {
                return Err(invalid(&place, "must have an object for its data: its members are the agent's payload's"));
            }
            PartContent::Raw(bytes) => blocks.push(file(part, bytes, blocks.len(), &place)?),
            PartContent::Url(_) => {
                return Err(not_taken(&place, "must have its bytes in it: the agent fetches nothing"));
            }
        }
    }
    let words: Option<Vec<&str>> = blocks.iter().map(|block| block["text"].as_str()).collect();
    match (words.map(|words| words.join("\n\n")), questions.first()) {
        _ if blocks.is_empty() => {}
        (Some(words), Some(first)) if !payload.contains_key("replies") => {
            let reply = Reply { id: first.id.clone(), reply: words.into() };
            payload.insert("replies".to_owned(), json!([reply]));
        }
        (Some(words), _) => {
            payload.insert("prompt".to_owned(), words.into());
        }
        (None, _) => {
            payload.insert("content".to_owned(), blocks.into());
        }
    }
    serde_json::to_vec(&payload).map_err(|_| A2AError::internal("The message cannot be passed on."))
}

/// A picture or a document as Bedrock's content block, the `number`th of the user's.
fn file(part: &Part, bytes: &[u8], number: usize, place: &str) -> Result<Value, A2AError> {
    let media_type = part.media_type.as_deref().unwrap_or_default();
    let source = json!({ "bytes": BASE64.encode(bytes) });
    if let Some(format) = media_type.strip_prefix("image/") {
        return Ok(json!({ "image": { "format": format, "source": source } }));
    }
    let Some(format) = document_format(media_type) else {
        return Err(not_taken(place, "must have the media type of a picture, or of a document that Bedrock takes"));
    };
    let name = part.filename.clone().unwrap_or_else(|| format!("Document {}", number + 1));
    Ok(json!({ "document": { "format": format, "name": name, "source": source } }))
}

/// Whether an answer in words, or in JSON beside them, is what the client accepts.
pub(super) fn accepts_words(modes: &[String]) -> bool {
    let is_accepted = |mode: &String| {
        let mode = mode.trim().to_ascii_lowercase();
        OUTPUT_MODES.contains(&mode.as_str())
            || ["text", "text/*", "application/*", "*/*", "*"].contains(&mode.as_str())
    };
    modes.is_empty() || modes.iter().any(is_accepted)
}

pub(super) fn invalid(member: &str, problem: &str) -> A2AError {
    A2AError::invalid_params(format!("In `params`, `{member}` {problem}."))
}

fn not_taken(place: &str, problem: &str) -> A2AError {
    A2AError::new(error_code::CONTENT_TYPE_NOT_SUPPORTED, format!("In `params`, `{place}` {problem}."))
}

#[cfg(test)]
mod tests {
    use a2a::Role;

    use super::*;

    fn read(parts: Vec<Part>, questions: &[Question]) -> String {
        match payload(&Message::new(Role::User, parts), questions) {
            Ok(payload) => String::from_utf8(payload).expect("JSON is UTF-8"),
            Err(error) => format!("{} {}", error.code, error.message),
        }
    }

    fn question(id: &str) -> Question {
        let words = ["delete_day", "Which?"].map(str::to_owned);
        let [tool, question] = words;
        Question { id: id.to_owned(), tool, question, details: Value::Null }
    }

    #[test]
    fn words_are_the_prompt_and_data_is_the_payload() {
        insta::assert_snapshot!(read(vec![Part::text("Hello!")], &[]), @r#"{"prompt":"Hello!"}"#);
        let style = Part::data(json!({ "user_context": { "coaching_style": "gentle" } }));
        insta::assert_snapshot!(read(vec![Part::text("One."), style.clone(), Part::text("Two.")], &[]), @r#"{"user_context":{"coaching_style":"gentle"},"prompt":"One.\n\nTwo."}"#);
        insta::assert_snapshot!(read(vec![style], &[]), @r#"{"user_context":{"coaching_style":"gentle"}}"#);
    }

    #[test]
    fn pictures_and_files_are_content() {
        let picture = Part::raw(vec![1, 2, 3]).with_media_type("image/png");
        let file = Part::raw(vec![4]).with_media_type("text/csv").with_filename("weights");
        insta::assert_snapshot!(read(vec![Part::text("See"), picture, file], &[]), @r#"{"content":[{"text":"See"},{"image":{"format":"png","source":{"bytes":"AQID"}}},{"document":{"format":"csv","name":"weights","source":{"bytes":"BA=="}}}]}"#);
    }

    #[test]
    fn words_reply_to_the_first_question_and_data_to_any() {
        let asked = [question("one"), question("two")];
        insta::assert_snapshot!(read(vec![Part::text("yes")], &asked), @r#"{"replies":[{"id":"one","reply":"yes"}]}"#);
        let replies = Part::data(json!({ "replies": [{ "id": "two", "reply": false }] }));
        insta::assert_snapshot!(read(vec![replies], &asked), @r#"{"replies":[{"id":"two","reply":false}]}"#);
    }

    #[test]
    fn what_cannot_be_a_payload_is_told_by_its_place() {
        insta::assert_snapshot!(read(Vec::new(), &[]), @"-32602 In `params`, `message.parts` is empty; say something.");
        insta::assert_snapshot!(read(vec![Part::data(json!([1]))], &[]), @"-32602 In `params`, `message.parts[0]` must have an object for its data: its members are the agent's payload's.");
        insta::assert_snapshot!(read(vec![Part::url("https://a.example")], &[]), @"-32005 In `params`, `message.parts[0]` must have its bytes in it: the agent fetches nothing.");
        insta::assert_snapshot!(read(vec![Part::text("a"), Part::raw(vec![1]).with_media_type("audio/wav")], &[]), @"-32005 In `params`, `message.parts[1]` must have the media type of a picture, or of a document that Bedrock takes.");
    }
}
