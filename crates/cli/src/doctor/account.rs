//! What AWS says to the credentials at hand: who they are, and whether the model and the memory answer.

use std::sync::Arc;
use std::time::Duration;

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::memory::SessionMemory as _;
use agentcore_runtime::core::memory::agentcore::AgentCoreMemory;
use agentcore_runtime::core::memory::identity::SessionKey;

use agentcore_runtime::core::model::bedrock::Bedrock;
use agentcore_runtime::core::model::{Model as _, ModelRequest};
use agentcore_runtime::core::settings::{MemorySettings, ModelPlace, ModelSettings, Settings};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
use tokio::time::timeout;

use super::{Check, Outcome};

/// How long AWS may take to say who somebody is. Looking for credentials where there are none ends in a
/// call to an address that only AWS's own machines have.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a person comes to be somebody to AWS.
pub(crate) const LOG_IN: &str = "run `aws sso login` or `aws configure`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID";

/// The least that proves access: a few tokens, far below a hundredth of a cent.
const LONGEST_ANSWER: u32 = 1;

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    let aws = Arc::new(Aws::new(settings.model.region.clone()));
    let region = Check::new("region", Outcome::Pass(settings.model.region.to_string()));
    let identity = identity(&aws).await;
    let known = matches!(identity, Outcome::Pass(_));
    let unasked = || Outcome::Skip("not asked without credentials".to_owned());
    let mut checks = vec![Check::new("credentials", identity), region];
    for (subject, place) in models(&settings.model) {
        checks.push(Check::new(subject, if known { model(settings, &place, &aws).await } else { unasked() }));
    }
    checks.push(Check::new("memory", if known { memory(settings, &aws).await } else { unasked() }));
    checks
}

/// Every model that may be asked: one that stands in should not be found missing when it is needed.
fn models(settings: &ModelSettings) -> Vec<(&'static str, ModelPlace)> {
    let main = ModelPlace { model_id: settings.model_id.clone(), region: settings.region.clone() };
    let fallbacks = settings.fallbacks.iter().cloned().map(|place| ("fallback model", place));
    let small = settings.small.iter().cloned().map(|place| ("small model", place));
    std::iter::once(("model", main)).chain(fallbacks).chain(small).collect()
}

async fn identity(aws: &Aws) -> Outcome {
    let client = aws_sdk_sts::Client::new(aws.config().await);
    match timeout(PATIENCE, client.get_caller_identity().send()).await {
        Ok(Ok(who)) => Outcome::Pass(who.arn.unwrap_or_else(|| "somebody without an ARN".to_owned())),
        Ok(Err(error)) => Outcome::Fail(format!("{}; {LOG_IN}", reason(&error))),
        Err(_) => {
            Outcome::Fail(format!("AWS did not answer within {PATIENCE:?}; check the network and AWS_ENDPOINT_URL"))
        }
    }
}

fn reason(error: &SdkError<GetCallerIdentityError>) -> String {
    let causes = || std::iter::successors(Some(error as &dyn std::error::Error), |cause| cause.source());
    match error {
        SdkError::ServiceError(refusal) => {
            let (code, message) = (refusal.err().code(), refusal.err().message());
            format!("{}: {}", code.unwrap_or("refused"), message.unwrap_or("no reason given"))
        }
        _ if causes().any(<dyn std::error::Error>::is::<CredentialsError>) => {
            "there are none in the environment, in a profile or on this machine".to_owned()
        }
        _ => causes().last().map(ToString::to_string).unwrap_or_default(),
    }
}

async fn model(settings: &Settings, place: &ModelPlace, aws: &Aws) -> Outcome {
    let question = ModelRequest::question("Say yes.", LONGEST_ANSWER);
    let aws = Arc::new(aws.in_region(place.region.clone()));
    match Bedrock::of(&place.model_id, &settings.model, aws).converse(&question).await {
        Ok(_) => Outcome::Pass(format!("{} answers", place.name_beside(&settings.model.region))),
        Err(error) => Outcome::Fail(error.to_string()),
    }
}

async fn memory(settings: &Settings, aws: &Arc<Aws>) -> Outcome {
    let MemorySettings::AgentCore { memory_id } = &settings.memory else {
        let reason = "BEDROCK_AGENTCORE_MEMORY_ID is not set; the deployment makes a memory and sets it for the agent";
        return Outcome::Skip(reason.to_owned());
    };
    // A session nobody speaks in: to be allowed to read it is what is asked.
    let nobody = SessionKey::new(None, "vitracka-doctor");
    match AgentCoreMemory::new(memory_id, Arc::clone(aws)).load(&nobody, 1).await {
        Ok(_) => Outcome::Pass(format!("{memory_id} can be read")),
        Err(error) => Outcome::Fail(error.to_string()),
    }
}
