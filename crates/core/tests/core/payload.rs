use agentcore_core::message::ContentBlock;
use agentcore_core::payload::Prompt;
use agentcore_core::turn::Step;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

fn image(format: &str, bytes: &[u8]) -> Value {
    json!({"image": {"format": format, "source": {"bytes": BASE64_STANDARD.encode(bytes)}}})
}

fn document(name: &str, format: &str, bytes: &[u8]) -> Value {
    json!({"document": {"name": name, "format": format, "source": {"bytes": BASE64_STANDARD.encode(bytes)}}})
}

/// What a payload is refused with, at one place or the other; nothing when it is taken.
fn refusal(payload: Value) -> String {
    match serde_json::from_value::<Prompt>(payload) {
        Err(error) => error.to_string(),
        Ok(prompt) => prompt.turn().err().map(|error| error.to_string()).unwrap_or_default(),
    }
}

#[test]
fn pictures_and_files_go_to_the_model_as_they_came() {
    let payload = json!({
        "prompt": "What is this?",
        "content": [image("png", PNG), document("Lab results (2026)", "pdf", b"%PDF-1.7 ..."), {"text": "And this?"}],
    });
    let request = serde_json::from_value::<Prompt>(payload).expect("a payload").turn().expect("a request");
    let Step::CallModel(call) = request.begin(Vec::new()) else { panic!("the model is asked") };
    let kinds: Vec<&str> = call.request().messages[0]
        .content
        .iter()
        .map(|block| match block {
            ContentBlock::Text(text) => text,
            ContentBlock::Image(_) => "image",
            ContentBlock::Document(_) => "document",
            _ => "?",
        })
        .collect();
    assert_eq!(kinds, ["What is this?", "image", "document", "And this?"]);
}

#[test]
fn what_bedrock_would_refuse_is_refused_here_and_told_by_its_place() {
    let with = |content: Value| refusal(json!({"prompt": "?", "content": content}));
    let told = [
        with(json!([image("png", b"GIF89a")])),
        with(json!([image("webp", b"RIFF    WEBP"), image("webp", b"RIFF    WAVE")])),
        with(json!([image("bmp", PNG)])),
        with(json!([{"image": {"format": "png", "source": {"bytes": "not base64!"}}}])),
        with(json!([{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://somebody/elses.png"}}}}])),
        with(json!([image("jpeg", &[&b"\xff\xd8\xff"[..], &vec![0; 3_750_000]].concat())])),
        with(json!([document("a  b", "pdf", b"%PDF-1.7")])),
        with(json!([document("a", "txt", b"\xff")])),
        with(json!([document("a", "csv", b"1,2"), document("a", "csv", b"3,4")])),
        with(Value::Array(vec![image("png", PNG); 21])),
        with(json!([{"toolUse": {"toolUseId": "1", "name": "x", "input": {}}}])),
        with(json!([{"text": " "}])),
        with(json!([])),
        refusal(json!({"content": [document("a", "csv", b"1,2")]})),
        refusal(json!({"prompt": "?", "replies": [{"id": "1", "reply": true}]})),
        refusal(json!({})),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    `content[0]` is not what its format says; its bytes are no PNG
    `content[1]` is not what its format says; its bytes are no WebP
    unknown variant `bmp`, expected one of `png`, `jpeg`, `gif`, `webp`
    not base64
    `content[0]` must hold its bytes; an S3 location is not taken from callers
    `content[0]` is 3750003 bytes long; Bedrock takes 3750000 at the most
    `content[0]` has a name that Bedrock does not take; use 1 to 200 letters, digits, single spaces, hyphens, parentheses and square brackets
    `content[0]` is not what its format says; its bytes are no UTF-8 text
    `content` has two documents of one name; give each its own
    `content` has too many images; send 20 at the most
    `content[0]` must be text, an image or a document
    `content[0]` is blank; leave it out
    `content` is empty; send what the user wrote, or leave it out
    `content` has a document and no text; say in words what to do with it
    `replies` answers a tool's question; send what else the user says in a turn of its own
    `prompt` is missing; send it as a string that is not blank
    ");
}
