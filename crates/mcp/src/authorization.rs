//! What goes with each HTTP request so that the server knows who asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use agentcore_core::agent::Secret;
use agentcore_core::aws::Aws;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::Sse;

/// AgentCore Gateway's name in signatures.
const SERVICE: &str = "bedrock-agentcore";

/// How a server knows who asks.
#[derive(Clone)]
pub(crate) enum Authorization {
    /// It does not want to.
    None,
    /// By a token, asked for anew at each request, because tokens age.
    Bearer(Arc<dyn Fn() -> Secret + Send + Sync>),
    /// By a signature with this process's AWS credentials.
    Signed(Arc<Aws>),
}

/// reqwest's client with what a server wants to know who asks.
#[derive(Clone)]
pub(crate) struct AuthorizedClient {
    pub(crate) client: reqwest::Client,
    pub(crate) authorization: Authorization,
}

/// Why it cannot be said who asks.
#[derive(Debug, thiserror::Error)]
enum AuthorizationError {
    /// Without credentials there is no signature.
    #[error("the request cannot be signed: {0}; check the AWS credentials")]
    Unsigned(String),
    /// The token is none.
    #[error("the bearer token is not text that a header can carry")]
    Token,
}

type Headers = HashMap<HeaderName, HeaderValue>;
type Failed = StreamableHttpError<reqwest::Error>;

// === impl AuthorizedClient ===

impl AuthorizedClient {
    /// The headers with those that say who asks.
    async fn authorized(&self, method: &str, uri: &str, body: &[u8], mut headers: Headers) -> Result<Headers, Failed> {
        match &self.authorization {
            Authorization::None => {}
            Authorization::Bearer(token) => {
                let value = HeaderValue::from_str(&format!("Bearer {}", token().expose()));
                let mut value = value.map_err(|_| unauthorized(AuthorizationError::Token))?;
                value.set_sensitive(true);
                headers.insert(http::header::AUTHORIZATION, value);
            }
            Authorization::Signed(aws) => {
                let signed = signature(aws, method, uri, body).await;
                headers.extend(signed.map_err(|reason| unauthorized(AuthorizationError::Unsigned(reason)))?);
            }
        }
        Ok(headers)
    }
}

fn unauthorized(error: AuthorizationError) -> Failed {
    Failed::Io(std::io::Error::other(error))
}

/// The headers of a Signature Version 4. Only the host and AWS's own headers are signed: others may be changed on the
/// way.
async fn signature(aws: &Aws, method: &str, uri: &str, body: &[u8]) -> Result<Headers, String> {
    let config = aws.config().await;
    let provider = config.credentials_provider().ok_or("there are no credentials")?;
    let credentials = provider.provide_credentials().await.map_err(|error| error.to_string())?;
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(aws.region())
        .name(SERVICE)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?;
    let request = SignableRequest::new(method, uri, std::iter::empty(), SignableBody::Bytes(body));
    let request = request.map_err(|error| error.to_string())?;
    let (instructions, _) = sign(request, &params.into()).map_err(|error| error.to_string())?.into_parts();
    let headers = instructions.headers().map(|(name, value)| {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        Ok((name, value))
    });
    headers.collect()
}

impl StreamableHttpClient for AuthorizedClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session_id, token, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        // The body exactly as reqwest writes it: the signature is over its bytes.
        let body = serde_json::to_vec(&message).unwrap_or_default();
        let headers = self.authorized("POST", &uri, &body, headers).await?;
        let client = &self.client;
        client.post_message_with_response_limits(uri, message, session_id, token, headers, limits).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<(), Failed> {
        let headers = self.authorized("DELETE", &uri, b"", headers).await?;
        self.client.delete_session(uri, session_id, token, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        let headers = self.authorized("GET", &uri, b"", headers).await?;
        self.client.get_stream(uri, session_id, last_event_id, token, headers).await
    }
}
