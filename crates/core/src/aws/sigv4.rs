//! Requests signed as AWS wants them, where no client of the SDK sends them: AgentCore Gateway, OpenTelemetry's doors.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderName, HeaderValue};

use super::Aws;

/// The name AgentCore's services are signed for.
const SERVICE: &str = "bedrock-agentcore";

/// Signs each request with AWS's Signature Version 4. Credentials are asked for when a request leaves.
#[derive(Clone)]
pub struct SigV4 {
    aws: Arc<Aws>,
    credentials: Option<SharedCredentialsProvider>,
    service: String,
}

/// A request as far as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The method, in capitals.
    pub method: &'static str,
    /// The whole address.
    pub uri: &'a str,
    /// The headers that are signed beside those that signing adds.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The process is nobody to AWS.
    #[error("there are no AWS credentials to sign with")]
    NoProvider,
    /// Whoever knows who it is does not say.
    #[error("AWS credentials cannot be had: {0}")]
    Credentials(#[from] aws_credential_types::provider::error::CredentialsError),
    /// The request makes no sense to whoever signs.
    #[error("the request cannot be signed: {0}")]
    Request(String),
}

// === impl SigV4 ===

impl SigV4 {
    /// Signs for `bedrock-agentcore` in the region of `aws`, as whom this process is.
    pub fn new(aws: Arc<Aws>) -> Self {
        Self { aws, credentials: None, service: SERVICE.to_owned() }
    }

    /// Signs as somebody else, such as an assumed role.
    #[must_use]
    pub fn credentials(mut self, credentials: SharedCredentialsProvider) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Signs for another service.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = name.into();
        self
    }

    /// The headers that make the request a signed one.
    ///
    /// # Errors
    /// When there are no credentials, or the request is none.
    pub async fn sign(&self, request: Signable<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, SigningError> {
        let identity = self.identity().await?;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.aws.region())
            .name(&self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| SigningError::Request(error.to_string()))?
            .into();
        let Signable { method, uri, headers, body } = request;
        let signable = SignableRequest::new(method, uri, headers.iter().copied(), SignableBody::Bytes(body))
            .map_err(|error| SigningError::Request(error.to_string()))?;
        let signed = sign(signable, &parameters).map_err(|error| SigningError::Request(error.to_string()))?;
        let (headers, _query) = signed.into_parts().0.into_parts();
        headers.iter().map(|signed| header(signed.name(), signed.value())).collect()
    }

    async fn identity(&self) -> Result<Identity, SigningError> {
        let provider = match &self.credentials {
            Some(credentials) => credentials.clone(),
            None => self.aws.config().await.credentials_provider().ok_or(SigningError::NoProvider)?,
        };
        Ok(provider.provide_credentials().await?.into())
    }
}

impl fmt::Debug for SigV4 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigV4")
            .field("region", &self.aws.region())
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

fn header(name: &'static str, value: &str) -> Result<(HeaderName, HeaderValue), SigningError> {
    let mut value = HeaderValue::from_str(value).map_err(|error| SigningError::Request(error.to_string()))?;
    value.set_sensitive(true);
    Ok((HeaderName::from_static(name), value))
}
