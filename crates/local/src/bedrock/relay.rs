//! Pass-through to the real Bedrock: the same bytes there and back, under this machine's identity.
//!
//! An agent under test signs with whatever the emulator gave it. The relay signs anew with the
//! credentials of whoever runs the emulator, and changes nothing else: path, query, body and answer
//! stay byte for byte what the client and the service sent. It only reads along to learn the usage.

use std::time::SystemTime;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use reqwest::{Client, Url};

use self::usage_reader::UsageReader;
use super::FAULT_HEADER;
use super::watch::CallRecord;
use crate::aws_error::AwsError;
use crate::engine::http_client;

mod usage_reader;

/// Headers that belong to one connection, to the client's signature, or to this emulator.
const NOT_FORWARDED: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    FAULT_HEADER,
];

/// Headers of an answer that belong to the connection it came over.
const NOT_RETURNED: [HeaderName; 2] = [header::CONNECTION, header::TRANSFER_ENCODING];

/// A way to the real service.
#[derive(Clone)]
pub struct Relay {
    base: Url,
    region: String,
    credentials: SharedCredentialsProvider,
    client: Client,
}

/// Why there is no way to the real service.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// No region is configured.
    #[error("no AWS region to relay to: set AWS_REGION, or region in the profile (for Vitracka, eu-west-1)")]
    NoRegion,
    /// There are no credentials, or they can't be had now.
    #[error(
        "no AWS credentials to sign with: {reason}; run `aws sso login`, or set AWS_PROFILE or \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials {
        /// What AWS's credential chain says.
        reason: String,
    },
    /// The address is none.
    #[error("`{address}` is not the address of a service: give one like https://host")]
    Address {
        /// What was given.
        address: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up HTTPS: {0}; check that this machine has root certificates")]
    Client(#[from] reqwest::Error),
}

// === impl Relay ===

impl Relay {
    /// A relay with the region and credentials that AWS's tools would use here.
    pub async fn from_environment() -> Result<Self, RelayError> {
        let https = aws_smithy_http_client::Builder::new()
            .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(https).load().await;
        let region = config.region().ok_or(RelayError::NoRegion)?.to_string();
        let credentials = config
            .credentials_provider()
            .ok_or_else(|| RelayError::NoCredentials { reason: "no provider is configured".to_owned() })?;
        // Asked for once now, so that it fails at the start and not in the middle of a conversation.
        credentials
            .provide_credentials()
            .await
            .map_err(|error| RelayError::NoCredentials { reason: http_client::causes_of(&error) })?;
        let base = format!("https://bedrock-runtime.{region}.amazonaws.com");
        Self::new(&base, region, credentials)
    }

    /// A relay to the service at `base`, signing for `region` with `credentials`.
    pub fn new(base: &str, region: String, credentials: SharedCredentialsProvider) -> Result<Self, RelayError> {
        let base = Url::parse(base)
            .ok()
            .filter(Url::has_host)
            .ok_or_else(|| RelayError::Address { address: base.to_owned() })?;
        Ok(Self { client: http_client::client_for(&base)?, base, region, credentials })
    }

    /// Sends a call on and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, AwsError> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let target = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(target)
            .body(body)
            .map_err(|error| AwsError::validation(format!("The address is not valid: {error}")))?;
        *request.headers_mut() = forwarded(headers);
        self.sign(&mut request).await?;
        let request = reqwest::Request::try_from(request).map_err(|error| unreachable(&error))?;
        self.client.execute(request).await.map_err(|error| unreachable(&error))
    }

    async fn sign(&self, request: &mut http::Request<Bytes>) -> Result<(), AwsError> {
        let credentials = self.credentials.provide_credentials().await;
        let identity: Identity = credentials
            .map_err(|error| {
                unsigned(format!(
                    "No AWS credentials to relay this call with: {}. Run `aws sso login`, or set \
                     AWS_PROFILE, where the local AWS runs.",
                    http_client::causes_of(&error)
                ))
            })?
            .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("bedrock")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(error.to_string()))?
            .into();
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| ("content-type", value));
        let uri = request.uri().to_string();
        let signable = SignableRequest::new("POST", uri, content_type.into_iter(), SignableBody::Bytes(request.body()))
            .map_err(|error| unsigned(error.to_string()))?;
        let (instructions, _signature) =
            sign(signable, &parameters).map_err(|error| unsigned(error.to_string()))?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

/// The caller's headers without those that the relay has to make itself.
fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut forwarded = headers.clone();
    for name in NOT_FORWARDED {
        forwarded.remove(name);
    }
    for name in ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
        forwarded.remove(name);
    }
    forwarded
}

/// The service's answer, status, headers and body as they are.
pub(super) fn into_response(answer: reqwest::Response, record: Option<CallRecord>) -> Response {
    let status = answer.status();
    let mut headers = answer.headers().clone();
    for name in NOT_RETURNED {
        headers.remove(name);
    }
    let body = match record {
        Some(mut record) => {
            if status != StatusCode::OK {
                record.failed(error_name(&headers));
            }
            Body::from_stream(UsageReader::new(answer, record).into_stream())
        }
        None => Body::from_stream(answer.bytes_stream()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The error's name, as far as it is one that Bedrock's model has.
fn error_name(headers: &HeaderMap) -> &'static str {
    const NAMES: [&str; 9] = [
        "AccessDeniedException",
        "ThrottlingException",
        "ResourceNotFoundException",
        "ModelTimeoutException",
        "InternalServerException",
        "ServiceUnavailableException",
        "ValidationException",
        "ModelNotReadyException",
        "ModelErrorException",
    ];
    let given = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).unwrap_or_default();
    NAMES.into_iter().find(|name| given.starts_with(name)).unwrap_or("UnknownError")
}

fn unsigned(message: String) -> AwsError {
    AwsError::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
}

fn unreachable(error: &reqwest::Error) -> AwsError {
    AwsError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ServiceUnavailableException",
        format!("Bedrock cannot be reached: {}.", http_client::causes_of(error)),
    )
}
