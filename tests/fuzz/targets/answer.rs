//! What an invocation's answer must be, whatever was sent.

use serde_json::Value;

use super::served::Answer;

/// What a stream of ours begins each frame with.
const FRAME: &str = "data: ";

/// Fails unless the answer is a whole turn, or an error with a sentence and a code that is one of `codes`; gives the
/// JSON: of a stream, that of its last frame.
pub(super) fn of_an_invocation(answer: &Answer, codes: &[&str]) -> Value {
    let text = answer.text();
    let told = match answer.header("content-type") {
        Some(kind) if kind.starts_with("text/event-stream") => frames(text).pop().expect("a stream has a frame"),
        Some("application/json") => serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")),
        kind => panic!("{} {kind:?}: {text}", answer.status),
    };
    let Some(sentence) = told.get("error") else {
        assert_eq!(answer.status, 200, "{text}");
        let message = told.get("response").or(told.get("message")).unwrap_or_else(|| panic!("no answer: {told}"));
        assert_eq!(message["role"], "assistant", "{told}");
        return told;
    };
    assert!(sentence.as_str().is_some_and(|sentence| !sentence.is_empty()), "no sentence: {told}");
    let code = told["code"].as_str().unwrap_or_else(|| panic!("no code: {told}"));
    assert!(codes.contains(&code), "{} {told}", answer.status);
    told
}

/// The JSON of a stream's frames; each is one, and nothing is between them.
pub(super) fn frames(text: &str) -> Vec<Value> {
    let frames = text.split_terminator("\n\n").map(|frame| {
        let json = frame.strip_prefix(FRAME).unwrap_or_else(|| panic!("no frame: {frame:?}"));
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
    });
    frames.collect()
}
