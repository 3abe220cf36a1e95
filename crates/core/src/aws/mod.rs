//! How AWS is reached: one TLS stack, one HTTP client, and nothing decided before the first call.
//!
//! AgentCore may snapshot a started process and revive it days later in many places, so connections and
//! credentials are made when they are first needed, not at start-up.

mod credentials;
pub mod exchange;
pub(crate) mod service;
pub mod sigv4;

use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_smithy_types::{Document, Number};
use tokio::sync::OnceCell;

use self::credentials::KeptCredentials;
use crate::model::residency::Region;

/// How long a connection to AWS may take to open. Within a region it takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a call is made in all before its failure is passed on.
const ATTEMPTS: u32 = 3;

/// AWS in one region, set up at the first call.
#[derive(Debug)]
pub struct Aws {
    region: Region,
    endpoint: Option<String>,
    config: OnceCell<SdkConfig>,
}

impl Aws {
    /// AWS in `region`. Nothing is opened or read yet.
    pub fn new(region: Region) -> Self {
        Self { region, endpoint: None, config: OnceCell::new() }
    }

    /// Something that speaks as AWS does, at `endpoint`, where credentials are not checked: the local AWS.
    pub fn at(endpoint: impl Into<String>, region: Region) -> Self {
        Self { endpoint: Some(endpoint.into()), ..Self::new(region) }
    }

    /// The same AWS in another region, with a connection of its own.
    #[must_use]
    pub fn in_region(&self, region: Region) -> Self {
        Self { endpoint: self.endpoint.clone(), ..Self::new(region) }
    }

    /// The region's name.
    pub fn region(&self) -> &str {
        self.region.as_str()
    }

    /// What a service's client is made from. Credentials come from the standard chain, the endpoint
    /// from `AWS_ENDPOINT_URL` and its kin where set.
    pub async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| self.load()).await
    }

    async fn load(&self) -> SdkConfig {
        // ring, not aws-lc: 2 MB smaller, and aws-lc does not start under arm64 emulation.
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(endpoint) = &self.endpoint {
            let nobody = Credentials::new("local", "local", None, None, "local");
            loader = loader.endpoint_url(endpoint).credentials_provider(nobody);
        }
        let config = loader
            .region(aws_config::Region::new(self.region.as_str().to_owned()))
            .http_client(http)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts)
            // Silence in an answer is bounded by the operator's own settings.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .load()
            .await;
        match config.credentials_provider() {
            Some(provider) => config.into_builder().credentials_provider(KeptCredentials::of(provider)).build(),
            None => config,
        }
    }
}

/// What the SDK gives, as a JSON value. Numbers that JSON cannot hold become null.
pub(crate) fn json(document: Document) -> serde_json::Value {
    use serde_json::Value;
    match document {
        Document::Null => Value::Null,
        Document::Bool(value) => Value::Bool(value),
        Document::Number(Number::PosInt(number)) => number.into(),
        Document::Number(Number::NegInt(number)) => number.into(),
        Document::Number(Number::Float(number)) => number.into(),
        Document::String(text) => Value::String(text),
        Document::Array(items) => items.into_iter().map(json).collect(),
        Document::Object(members) => members.into_iter().map(|(name, value)| (name, json(value))).collect(),
    }
}

/// The cause at the bottom of an error's chain says what went wrong; those above say where.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

/// An error and its causes, from the outermost in.
pub(crate) fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause.source())
}
