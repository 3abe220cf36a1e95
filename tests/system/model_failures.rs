//! Each way a model fails is an error of its own, with advice of its own: the core's Bedrock client
//! against injected faults.

use std::sync::Arc;
use std::time::Duration;

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::model::bedrock::Bedrock;
use agentcore_runtime::core::model::residency::{ModelId, Region, Residency};
use agentcore_runtime::core::model::{Model as _, ModelError, ModelEvent, ModelRequest};
use agentcore_runtime::core::settings::{ModelSettings, Patience};
use futures::StreamExt as _;

use crate::local_aws::LocalAws;
use crate::process::free_port;

fn request(prompt: &str) -> ModelRequest {
    let mut request = ModelRequest::question(prompt, 200);
    request.system = "You are a coach.".into();
    request.parameters.temperature = Some(0.7);
    request
}

fn model(endpoint: &str, model_id: &str) -> Bedrock {
    let region = Region::parse("eu-west-1", Residency::Eu).expect("Ireland is in the EU");
    let model_id = ModelId::parse(model_id, Residency::Any).expect("an id");
    let patience = Patience {
        first_token: Duration::from_secs(10),
        token_gap: Duration::from_millis(700),
        whole_answer: Duration::from_secs(10),
    };
    let settings = ModelSettings { patience, ..ModelSettings::new(model_id, region.clone()) };
    Bedrock::new(&settings, Arc::new(Aws::at(endpoint, region)))
}

const CLAUDE: &str = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";

/// The text that came, and the error that ended it, if one did.
async fn streamed(model: &Bedrock, prompt: &str) -> (String, Option<ModelError>) {
    let asked = request(prompt);
    let mut events = match model.converse_stream(&asked).await {
        Ok(events) => events,
        Err(error) => return (String::new(), Some(error)),
    };
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(ModelEvent::ContentBlockDelta { delta, .. }) => {
                if let agentcore_runtime::core::model::BlockDelta::Text(more) = delta {
                    text += &more;
                }
            }
            Ok(_) => {}
            Err(error) => return (text, Some(error)),
        }
    }
    (text, None)
}

async fn refused(fault: &str) -> ModelError {
    let aws = LocalAws::start_with(&["--fault", &format!("{fault}*")]);
    let (_, error) = streamed(&model(&aws.endpoint(), CLAUDE), "Hello").await;
    error.unwrap_or_else(|| panic!("{fault} should have failed"))
}

#[tokio::test]
async fn each_refusal_is_an_error_of_its_own() {
    let kinds = [
        ("throttle", matches!(refused("throttle").await, ModelError::Throttled { .. })),
        ("access-denied", matches!(refused("access-denied").await, ModelError::AccessDenied { .. })),
        ("unavailable", matches!(refused("unavailable").await, ModelError::Unavailable { .. })),
        ("server-error", matches!(refused("server-error").await, ModelError::Unavailable { .. })),
        ("model-timeout", matches!(refused("model-timeout").await, ModelError::Unavailable { .. })),
        ("model-not-ready", matches!(refused("model-not-ready").await, ModelError::Unavailable { .. })),
    ];
    let wrong: Vec<&str> = kinds.into_iter().filter(|(_, right)| !right).map(|(fault, _)| fault).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn an_unknown_model_an_overlong_context_and_an_unreachable_service_are_told_apart() {
    let aws = LocalAws::start();
    let unknown = streamed(&model(&aws.endpoint(), "eu.anthropic.no-such-model-v1:0"), "Hello").await.1;
    assert!(matches!(unknown, Some(ModelError::UnknownModel { .. })), "{unknown:?}");
    let overlong = streamed(&model(&aws.endpoint(), CLAUDE), &"a word ".repeat(300_000)).await.1;
    assert!(matches!(overlong, Some(ModelError::ContextTooLong { .. })), "{overlong:?}");
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let unreachable = streamed(&model(&nowhere, CLAUDE), "Hello").await.1;
    assert!(matches!(unreachable, Some(ModelError::Unreachable { .. })), "{unreachable:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_keeps_what_came() {
    for fault in ["cut@4", "corrupt@4", "stream-error@4"] {
        let aws = LocalAws::start_with(&["--fault", &format!("{fault}*")]);
        let (text, error) = streamed(&model(&aws.endpoint(), CLAUDE), "I had a setback today").await;
        assert!(matches!(error, Some(ModelError::BrokenStream { .. })), "{fault}: {error:?}");
        assert!(!text.is_empty(), "{fault}");
    }
    let aws = LocalAws::start_with(&["--fault", "throttle-stream@4*"]);
    let (_, error) = streamed(&model(&aws.endpoint(), CLAUDE), "I had a setback today").await;
    assert!(matches!(error, Some(ModelError::Throttled { .. })), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_goes_silent_times_out_and_names_its_setting() {
    let aws = LocalAws::start_with(&["--fault", "silence@4*"]);
    let (text, error) = streamed(&model(&aws.endpoint(), CLAUDE), "I had a setback today").await;
    assert!(!text.is_empty());
    let error = error.expect("a time-out").to_string();
    assert!(error.contains("MODEL_TOKEN_GAP_TIMEOUT_SECONDS") && error.contains("700 ms"), "{error}");
}

#[tokio::test]
async fn an_answer_is_the_same_whole_and_streamed() {
    let aws = LocalAws::start();
    let model = model(&aws.endpoint(), CLAUDE);
    let (streamed, error) = streamed(&model, "I had a setback today").await;
    assert_eq!(error, None);
    let whole = model.converse(&request("I had a setback today")).await.expect("an answer");
    assert_eq!(whole.message.text(), streamed);
    assert!(whole.usage.total_tokens > 0);
}
