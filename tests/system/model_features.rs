//! What Bedrock gives beside an answer: counted tokens, a prompt cache, guardrails, and what it all costs.

use std::fs;
use std::sync::Arc;

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::message::{
    ContentBlock, Document, DocumentFormat, Image, ImageFormat, MediaSource, Message, Role, StopReason,
};
use agentcore_runtime::core::model::bedrock::Bedrock;
use agentcore_runtime::core::model::residency::{ModelId, Region, Residency};
use agentcore_runtime::core::model::{AnswerInWriting, Model as _, ModelAnswer, ModelRequest};
use agentcore_runtime::core::settings::{GuardrailSettings, GuardrailStreamMode, ModelSettings};
use futures::StreamExt as _;
use serde_json::json;

use crate::local_aws::LocalAws;

fn settings(model_id: &str) -> ModelSettings {
    let region = Region::parse("eu-west-1", Residency::Eu).expect("Ireland is in the EU");
    ModelSettings::new(ModelId::parse(model_id, Residency::Eu).expect("an id"), region)
}

fn bedrock(local: &LocalAws, settings: &ModelSettings) -> Bedrock {
    Bedrock::new(settings, Arc::new(Aws::at(local.endpoint(), settings.region.clone())))
}

async fn streamed(model: &Bedrock, request: &ModelRequest) -> ModelAnswer {
    let mut events = model.converse_stream(request).await.expect("a stream");
    let mut writing = AnswerInWriting::default();
    while let Some(event) = events.next().await {
        writing.take(&event.expect("an event"));
    }
    writing.finished().expect("an answer")
}

#[tokio::test]
async fn tokens_are_counted_by_the_model_behind_the_profile_where_it_counts() {
    let local = LocalAws::start();
    let count = async |model_id: &str| {
        let counted = bedrock(&local, &settings(model_id)).count_tokens(&ModelRequest::question("Hello", 10)).await;
        counted.expect("an answer, if only that there is none")
    };
    assert!(count("eu.anthropic.claude-3-5-sonnet-20240620-v1:0").await.is_some_and(|tokens| tokens > 0));
    assert_eq!(count("eu.anthropic.claude-3-haiku-20240307-v1:0").await, None);
    assert_eq!(count("eu.amazon.nova-lite-v1:0").await, None);
}

#[tokio::test]
async fn a_long_prompt_is_written_to_the_cache_once_and_read_from_it_then() {
    let local = LocalAws::start();
    let mut request = ModelRequest::question("I had a setback today", 200);
    request.system = "You are a coach, and patience is what you have most of. ".repeat(200);
    let model = bedrock(&local, &settings("eu.anthropic.claude-3-7-sonnet-20250219-v1:0"));
    let first = model.converse(&request).await.expect("an answer").usage;
    assert!(first.cache_write_input_tokens > 1024 && first.cache_read_input_tokens == 0, "{first:?}");
    let second = streamed(&model, &request).await.usage;
    assert!(second.cache_read_input_tokens > 1024 && second.cache_write_input_tokens == 0, "{second:?}");
    let (first, second) = (first.cost.usd().expect("a price"), second.cost.usd().expect("a price"));
    assert!(second < first / 2.0, "{second} {first}");

    let model = bedrock(&local, &settings("eu.anthropic.claude-3-5-sonnet-20240620-v1:0"));
    let usage = model.converse(&request).await.expect("an answer").usage;
    assert_eq!((usage.cache_write_input_tokens, usage.cache_read_input_tokens), (0, 0));
}

#[tokio::test]
async fn what_a_guardrail_finds_is_told_in_names_and_what_it_masks_is_named_for_removal() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("guardrail.json");
    let definition = json!({
        "name": "clinic",
        "blockedInputMessaging": "I cannot talk about that.",
        "blockedOutputsMessaging": "I would rather not say.",
        "wordPolicyConfig": { "wordsConfig": [{ "text": "snake oil" }] },
        "sensitiveInformationPolicyConfig": { "piiEntitiesConfig": [{ "type": "EMAIL", "action": "ANONYMIZE" }] }
    });
    fs::write(&file, definition.to_string()).expect("a file");
    let local = LocalAws::start_with(&["--guardrail", file.to_str().expect("a path in UTF-8")]);
    for stream_mode in [GuardrailStreamMode::Sync, GuardrailStreamMode::Async] {
        let guardrail = Some(GuardrailSettings { identifier: "clinic".into(), version: "DRAFT".into(), stream_mode });
        let model =
            bedrock(&local, &ModelSettings { guardrail, ..settings("eu.anthropic.claude-3-5-sonnet-20240620-v1:0") });
        let masked = ModelRequest::question("Write to aoife@example.com that I had a setback", 200);
        let blocked = ModelRequest::question("Do you sell snake oil?", 200);
        for answer in [model.converse(&masked).await.expect("an answer"), streamed(&model, &masked).await] {
            let trace = answer.guardrail.expect("a trace");
            assert_eq!(trace.redactions, [("aoife@example.com".to_owned(), "{EMAIL}".to_owned())]);
            let flags = serde_json::to_string(&trace.flags).expect("JSON");
            assert!(flags.contains(r#"{"kind":"guardrail_sensitive_information","rule":"EMAIL"}"#), "{flags}");
            assert!(!flags.contains("aoife"), "{flags}");
        }
        let answer = streamed(&model, &blocked).await;
        assert_eq!(answer.stop_reason, StopReason::GuardrailIntervened);
        assert_eq!(answer.message, Message::assistant("I cannot talk about that."));
        let flags = serde_json::to_value(answer.guardrail.expect("a trace").flags).expect("JSON");
        assert_eq!(flags, json!([{ "kind": "guardrail_word", "rule": "CUSTOM" }]));
    }
}

#[tokio::test]
async fn pictures_and_files_reach_the_model() {
    /// The smallest picture there is: one pixel.
    const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
    let local = LocalAws::start();
    let content = vec![
        ContentBlock::Text("What do you make of these?".into()),
        ContentBlock::Image(Image { format: ImageFormat::Png, source: MediaSource::Bytes(PIXEL.into()) }),
        ContentBlock::Document(Document {
            format: DocumentFormat::Txt,
            name: "Diary".into(),
            source: MediaSource::Bytes(b"Monday: porridge."[..].into()),
        }),
    ];
    let mut request = ModelRequest::question("", 200);
    request.messages = vec![Message { role: Role::User, content }];
    let model = bedrock(&local, &settings("eu.anthropic.claude-3-5-sonnet-20240620-v1:0"));
    let answer = model.converse(&request).await.expect("an answer");
    assert!(!answer.message.text().is_empty());
    assert!(answer.usage.cost.usd().is_some_and(|usd| usd > 0.0));
}
