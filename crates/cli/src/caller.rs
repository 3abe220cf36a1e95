//! Calls an agent as a backend does: `InvokeAgentRuntime` through the AWS SDK, here or on AWS.

use std::time::{Duration, Instant};

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::model::residency::{DEFAULT_REGION, Region, Residency};
use aws_sdk_bedrockagentcore::Client;
use aws_sdk_bedrockagentcore::error::{DisplayErrorContext, ProvideErrorMetadata as _, SdkError};
use aws_sdk_bedrockagentcore::primitives::{Blob, ByteStream};
use serde_json::Value;

use crate::arguments;
use crate::events::Frames;

/// Where `vitracka dev` listens.
pub(crate) const LOCAL_ENDPOINT: &str = "http://127.0.0.1:4570";

/// Somebody who calls one agent in one session.
pub(crate) struct Caller {
    client: Client,
    agent: String,
    session: String,
    endpoint: Option<String>,
    qualifier: Option<String>,
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Called {
    /// The answer, or the last frame of a stream.
    pub(crate) answer: Value,
    pub(crate) first_token: Option<Duration>,
    pub(crate) total: Duration,
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{0} names no region; write it as arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME")]
    BadArn(String),
    #[error("nothing answers at {endpoint}; start the local AWS with `vitracka dev`, or set --endpoint")]
    NobodyThere { endpoint: String },
    #[error("{name}: {message}")]
    Refused { name: String, message: String },
    #[error("the agent failed: {0}")]
    Failed(String),
    #[error("the call failed: {0}")]
    Broken(String),
    #[error("the answer cannot be printed: {0}")]
    Output(#[from] std::io::Error),
}

// === impl Caller ===

impl Caller {
    /// Calls `agent`, a name or an ARN. An ARN is called on AWS, unless an endpoint is given; a name is
    /// called on this machine.
    pub(crate) async fn new(agent: &str, session: String, called: arguments::Endpoint) -> Result<Self, CallError> {
        let arguments::Endpoint { endpoint, qualifier } = called;
        let region = region_of(agent)?;
        let on_aws = agent.starts_with("arn:") && endpoint.is_none();
        let endpoint = (!on_aws).then(|| endpoint.unwrap_or_else(|| LOCAL_ENDPOINT.to_owned()));
        // The agent keeps the residency rule; whoever calls it may sit anywhere.
        let region = Region::parse(&region, Residency::Any).map_err(|_| CallError::BadArn(agent.to_owned()))?;
        let aws = match &endpoint {
            Some(endpoint) => Aws::at(endpoint, region),
            None => Aws::new(region),
        };
        Ok(Self { client: Client::new(aws.config().await), agent: agent.to_owned(), session, endpoint, qualifier })
    }

    /// Sends a payload and waits for the whole answer.
    pub(crate) async fn invoke(&self, payload: &str) -> Result<Called, CallError> {
        let began = Instant::now();
        let body = self.send(payload, "application/json").await?;
        let bytes = body.collect().await.map_err(|error| CallError::Broken(error.to_string()))?.into_bytes();
        let answer = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Called { answer, first_token: None, total: began.elapsed() })
    }

    /// Sends a payload and hands on each frame of the answer as it comes; the last one is the result.
    pub(crate) async fn stream(
        &self,
        payload: &str,
        mut seen: impl FnMut(&Value) -> std::io::Result<()>,
    ) -> Result<Called, CallError> {
        let began = Instant::now();
        let mut body = self.send(payload, "text/event-stream").await?;
        let mut frames = Frames::default();
        let (mut first_token, mut last) = (None, Value::Null);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| CallError::Broken(error.to_string()))?;
            for frame in frames.take(&chunk) {
                if first_token.is_none() && delta(&frame).is_some() {
                    first_token = Some(began.elapsed());
                }
                seen(&frame)?;
                last = frame;
            }
        }
        if let Some(error) = last.get("error").and_then(Value::as_str) {
            return Err(CallError::Failed(error.to_owned()));
        }
        Ok(Called { answer: last, first_token, total: began.elapsed() })
    }

    async fn send(&self, payload: &str, accept: &str) -> Result<ByteStream, CallError> {
        let sent = self
            .client
            .invoke_agent_runtime()
            .agent_runtime_arn(&self.agent)
            .runtime_session_id(&self.session)
            .set_qualifier(self.qualifier.clone())
            .content_type("application/json")
            .accept(accept)
            .payload(Blob::new(payload))
            .send()
            .await;
        sent.map(|output| output.response).map_err(|error| match &error {
            SdkError::ServiceError(refusal) => CallError::Refused {
                name: refusal.err().code().unwrap_or("an error without a name").to_owned(),
                message: refusal.err().message().unwrap_or("no reason given").to_owned(),
            },
            SdkError::DispatchFailure(_) if self.endpoint.is_some() => {
                CallError::NobodyThere { endpoint: self.endpoint.clone().unwrap_or_default() }
            }
            other => CallError::Broken(DisplayErrorContext(other).to_string()),
        })
    }
}

/// The text a frame adds to the answer.
pub(crate) fn delta(frame: &Value) -> Option<&str> {
    frame.pointer("/event/contentBlockDelta/delta/text").and_then(Value::as_str)
}

fn region_of(agent: &str) -> Result<String, CallError> {
    if !agent.starts_with("arn:") {
        return Ok(DEFAULT_REGION.to_owned());
    }
    let region = agent.split(':').nth(3).filter(|region| !region.is_empty());
    region.map(str::to_owned).ok_or_else(|| CallError::BadArn(agent.to_owned()))
}
