//! A service of AWS, called by its wire.
//!
//! Where a call is made for every turn, the SDK's way of making it was most of what a turn took: each call sets up
//! its configuration, its interceptors and its attempts anew. Here a call is a request, signed and sent; what the
//! environment says of credentials, endpoints and tokens is still read by AWS's own crates, and means what it means
//! to every SDK.

use std::fmt;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response};
use tokio::sync::OnceCell;

use super::Aws;
use super::exchange::{Body, ExchangeError, Http};
use super::sigv4::{SigV4, Signable, SigningError};

const JSON: &str = "application/json";

/// By what name the service knows who calls.
const AGENT: &str = concat!("agentcore-core/", env!("CARGO_PKG_VERSION"));

/// What AWS calls a service, in its several registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceNames {
    /// In configuration files and variables.
    pub(crate) id: &'static str,
    /// In addresses.
    pub(crate) host: &'static str,
    /// In signatures.
    pub(crate) signing: &'static str,
}

/// One service in one region. Nothing is read or opened before the first call.
pub(crate) struct Service {
    names: ServiceNames,
    aws: Arc<Aws>,
    http: Http,
    entrance: OnceCell<Entrance>,
}

/// Where the service is, and how we are let in.
struct Entrance {
    origin: String,
    identity: Identity,
}

enum Identity {
    Signed(SigV4),
    /// An API key, as `AWS_BEARER_TOKEN_BEDROCK` has one.
    Bearer(HeaderValue),
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The call did not leave.
    #[error(transparent)]
    Identity(#[from] SigningError),
    /// Nobody was reached.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

// === impl Service ===

impl Service {
    pub(crate) fn new(names: ServiceNames, aws: Arc<Aws>) -> Self {
        Self { names, aws, http: Http::default(), entrance: OnceCell::new() }
    }

    pub(crate) fn region(&self) -> &str {
        self.aws.region()
    }

    /// Sends JSON to a path, which begins with a slash and is encoded; `accept` is what the answer should be.
    pub(crate) async fn post(
        &self,
        path: &str,
        accept: &'static str,
        body: Bytes,
    ) -> Result<Response<Body>, CallError> {
        let entrance = self.entrance.get_or_try_init(|| self.entrance()).await?;
        let uri = format!("{}{path}", entrance.origin);
        let proof = entrance.identity.headers(&uri, &body).await?;
        let mut request = Request::post(uri)
            .header(CONTENT_TYPE, HeaderValue::from_static(JSON))
            .header(ACCEPT, HeaderValue::from_static(accept))
            .header(USER_AGENT, HeaderValue::from_static(AGENT))
            .body(body)
            .map_err(|error| ExchangeError::Request(error.to_string()))?;
        request.headers_mut().extend(proof);
        Ok(self.http.open(request).await?)
    }

    async fn entrance(&self) -> Result<Entrance, SigningError> {
        let config = self.aws.config().await;
        let identity = match self.bearer_token(config) {
            Some(token) => Identity::Bearer(bearer(&token)?),
            None => Identity::Signed(SigV4::new(Arc::clone(&self.aws)).service(self.names.signing)),
        };
        Ok(Entrance { origin: self.origin(config), identity })
    }

    /// What is set for this service is nearer than what is set for all, and both than where AWS has it.
    fn origin(&self, config: &SdkConfig) -> String {
        let is_told = config.get_origin("endpoint_url").is_client_config();
        let own = (!is_told).then(|| setting(config, self.names.id, "AWS_ENDPOINT_URL", "endpoint_url")).flatten();
        if let Some(endpoint) = own.as_deref().or(config.endpoint_url()) {
            return endpoint.trim_end_matches('/').to_owned();
        }
        let is_fips = config.use_fips().unwrap_or(false);
        let is_dual_stack = config.use_dual_stack().unwrap_or(false);
        format!("https://{}", host(self.names.host, self.region(), is_fips, is_dual_stack))
    }

    /// Only a variable may hold one, and it is named after the signature.
    fn bearer_token(&self, config: &SdkConfig) -> Option<String> {
        setting(config, self.names.signing, "AWS_BEARER_TOKEN", "")
    }
}

fn setting(config: &SdkConfig, service: &str, variable: &str, in_profile: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service).env(variable).profile(in_profile).build().ok()?;
    config.service_config()?.load_config(key)
}

/// The partitions of AWS that have domains of their own: how their regions begin, the domain, and the one that has IPv6 too.
/// Source: AWS's `partitions.json`.
const PARTITIONS: [(&str, &str, &str); 6] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
];

/// Where AWS has a service, by its rules for most endpoints.
fn host(service: &str, region: &str, is_fips: bool, is_dual_stack: bool) -> String {
    let own = PARTITIONS.iter().find(|(begins, ..)| region.starts_with(begins));
    let (domain, dual_stack) =
        own.map_or(("amazonaws.com", "api.aws"), |(_, domain, dual_stack)| (*domain, *dual_stack));
    let fips = if is_fips { "-fips" } else { "" };
    format!("{service}{fips}.{region}.{}", if is_dual_stack { dual_stack } else { domain })
}

fn bearer(token: &str) -> Result<HeaderValue, SigningError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| SigningError::Request("AWS_BEARER_TOKEN_… holds letters that no header may have".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Service").field("names", &self.names).field("aws", &self.aws).finish_non_exhaustive()
    }
}

// === impl Identity ===

impl Identity {
    async fn headers(&self, uri: &str, body: &[u8]) -> Result<Vec<(HeaderName, HeaderValue)>, SigningError> {
        match self {
            Self::Bearer(token) => Ok(vec![(AUTHORIZATION, token.clone())]),
            Self::Signed(signature) => {
                let headers = &[(CONTENT_TYPE.as_str(), JSON)];
                signature.sign(Signable { method: "POST", uri, headers, body }).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_bedrockruntime::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};

    use super::host;

    const REGIONS: [&str; 14] = [
        "eu-west-1",
        "eu-central-1",
        "eusc-de-east-1",
        "us-east-1",
        "us-gov-west-1",
        "ap-southeast-7",
        "il-central-1",
        "mx-central-1",
        "cn-north-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "us-isof-south-1",
        "eu-isoe-west-1",
        "moon-crater-1",
    ];

    #[tokio::test]
    async fn aws_has_bedrock_where_its_own_resolver_says() {
        for region in REGIONS {
            for (is_fips, is_dual_stack) in [(false, false), (false, true), (true, false), (true, true)] {
                let asked = Params::builder().region(region).use_fips(is_fips).use_dual_stack(is_dual_stack).build();
                let resolved = DefaultResolver::new().resolve_endpoint(&asked.expect("all is said")).await;
                let address = format!("https://{}", host("bedrock-runtime", region, is_fips, is_dual_stack));
                assert_eq!(address, resolved.expect("an endpoint").url(), "{region}");
            }
        }
    }
}
