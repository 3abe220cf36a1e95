//! A server that speaks MCP over HTTP ("streamable HTTP"), and how we show it who we are.
//!
//! rmcp speaks the protocol; [`Door`] stands between it and the network and puts on each request what it
//! needs to be let in. Redirects are not followed: they would carry secrets to wherever they point.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use agentcore_core::aws::sigv4::{SigV4, Signable};
use agentcore_core::identity::{BearerToken, Identity};
use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use reqwest::{Client, Url, redirect};
use rmcp::model::{ClientJsonRpcMessage, ErrorData, ServerJsonRpcMessage};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::Sse;

/// How long a connection to a server may take to open; across a continent it takes a tenth of a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept: less than servers do (uvicorn and Node: 5 s), because a call that
/// goes into a connection that is being closed is lost, and nobody knows whether it arrived.
const KEPT_UNUSED: Duration = Duration::from_secs(3);

/// How often a stream of events that broke off is taken up again before it counts as lost.
const STREAM_ATTEMPTS: usize = 3;

/// A server that is reached over HTTP. It is connected to when something needs it.
#[derive(Debug, Clone)]
pub struct HttpServer {
    address: Arc<str>,
    identity: Identity,
}

/// What is given as a server's address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the address of an MCP server: give one like https://host/mcp")]
pub struct AddressError(String);

/// The network as rmcp sees it.
#[derive(Clone)]
pub(crate) struct Door {
    client: Client,
    identity: Identity,
}

type Headers = HashMap<HeaderName, HeaderValue>;
type HttpResult<T> = Result<T, StreamableHttpError<reqwest::Error>>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

// === impl HttpServer ===

impl HttpServer {
    /// The server at that URL.
    ///
    /// # Errors
    /// When it is not the URL of an HTTP server.
    pub fn at(address: &str) -> Result<Self, AddressError> {
        let url = Url::parse(address).ok();
        // Where a user and a password are in the URL, the message must not have them.
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
        match url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            Some(url) => Ok(Self { address: url.as_str().into(), identity: Identity::Nobody }),
            None => Err(AddressError(address.split('@').next_back().unwrap_or_default().to_owned())),
        }
    }

    /// Shows a bearer token: a [`Secret`](agentcore_core::agent::Secret), or a [`BearerToken`] that can change.
    #[must_use]
    pub fn bearer(mut self, token: impl BearerToken) -> Self {
        self.identity = Identity::Bearer(Arc::new(token));
        self
    }

    /// Signs each request, as AgentCore Gateway wants it where it asks for IAM.
    #[must_use]
    pub fn signed(mut self, signature: SigV4) -> Self {
        self.identity = Identity::Signed(signature);
        self
    }

    /// A new connection. Nothing goes over it yet.
    pub(crate) fn connect(&self) -> reqwest::Result<StreamableHttpClientTransport<Door>> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(self.address.clone());
        // A session that the server has forgotten is a lost connection: the tools must be listed again.
        config.reinit_on_expired_session = false;
        let mut retry = ExponentialBackoff::default();
        retry.max_times = Some(STREAM_ATTEMPTS);
        config.retry_config = Arc::new(retry);
        Ok(StreamableHttpClientTransport::with_client(Door::open(self)?, config))
    }

    fn is_on_this_machine(&self) -> bool {
        Url::parse(&self.address).is_ok_and(|url| {
            url.host_str().is_some_and(|host| {
                host == "localhost"
                    || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|host| host.is_loopback())
            })
        })
    }
}

// === impl Door ===

impl Door {
    fn open(server: &HttpServer) -> reqwest::Result<Self> {
        // Fails only when the process has a provider already, and then that one serves.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(KEPT_UNUSED)
            .redirect(redirect::Policy::none());
        // What is on this machine is not behind a proxy.
        let builder = if server.is_on_this_machine() { builder.no_proxy() } else { builder };
        Ok(Self { client: builder.build()?, identity: server.identity.clone() })
    }

    /// The headers of rmcp's, and those that let the request in.
    async fn admitted(&self, mut headers: Headers, request: Request<'_>) -> HttpResult<Headers> {
        let shown = {
            let mut all: Vec<(&str, &str)> = request.own_headers().collect();
            all.extend(headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))));
            let (method, uri, body) = (request.method, request.uri, request.body);
            self.identity.headers(Signable { method, uri, headers: &all, body }).await.map_err(no_identity)?
        };
        headers.extend(shown);
        Ok(headers)
    }
}

/// What is known of a request before it leaves.
struct Request<'a> {
    method: &'static str,
    uri: &'a str,
    session: Option<&'a str>,
    body: &'a [u8],
}

impl Request<'_> {
    /// Headers that rmcp's HTTP client writes itself and that should be part of a signature.
    fn own_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let content_type = (self.method == "POST").then_some(("content-type", "application/json"));
        content_type.into_iter().chain(self.session.map(|session| ("mcp-session-id", session)))
    }
}

/// rmcp's own client for reqwest does the work. Each of its requests leaves with one more header or some.
impl StreamableHttpClient for Door {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> HttpResult<StreamableHttpPostResponse> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session_id, auth_header, custom_headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> HttpResult<StreamableHttpPostResponse> {
        // The same bytes that reqwest makes of the message: both are serde_json's.
        let body = serde_json::to_vec(&message)?;
        let request = Request { method: "POST", uri: &uri, session: session_id.as_deref(), body: &body };
        let headers = self.admitted(custom_headers, request).await?;
        let asked = match &message {
            ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let in_session = session_id.is_some();
        let posted =
            self.client.post_message_with_response_limits(uri, message, session_id, auth_header, headers, limits);
        match posted.await.map_err(without_address)? {
            StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(mut error), session) => {
                if in_session && has_forgotten_us(&error.error) {
                    return Err(StreamableHttpError::SessionExpired);
                }
                // An error that names no request would never be heard by who waits for one.
                error.id = error.id.or(asked);
                Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(error), session))
            }
            answer => Ok(answer),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> HttpResult<()> {
        let request = Request { method: "DELETE", uri: &uri, session: Some(&session_id), body: &[] };
        let headers = self.admitted(custom_headers, request).await?;
        self.client.delete_session(uri, session_id, auth_header, headers).await.map_err(without_address)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> HttpResult<Events> {
        let limit = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(uri, session_id, last_event_id, auth_header, custom_headers, limit)
            .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> HttpResult<Events> {
        let request = Request { method: "GET", uri: &uri, session: session_id.as_deref(), body: &[] };
        let headers = self.admitted(custom_headers, request).await?;
        self.client
            .get_stream_with_max_sse_event_size(
                uri,
                session_id,
                last_event_id,
                auth_header,
                headers,
                max_sse_event_size,
            )
            .await
            .map_err(without_address)
    }
}

/// Whether a server knows nothing of our session. The protocol says so with HTTP status 404, which rmcp
/// knows; servers made after the TypeScript SDK's examples say it with 400 and one of these errors instead.
fn has_forgotten_us(error: &ErrorData) -> bool {
    let words = error.message.to_ascii_lowercase();
    matches!(error.code.0, -32000 | -32001) && (words.contains("session id") || words.contains("session not found"))
}

/// A request that cannot be let in does not leave.
fn no_identity(reason: impl Into<Box<dyn Error + Send + Sync>>) -> StreamableHttpError<reqwest::Error> {
    StreamableHttpError::Io(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// An address can have a key in it, and errors are logged.
fn without_address(error: StreamableHttpError<reqwest::Error>) -> StreamableHttpError<reqwest::Error> {
    match error {
        StreamableHttpError::Client(error) => StreamableHttpError::Client(error.without_url()),
        other => other,
    }
}

/// Whether a request has certainly not been acted on: it did not leave, or the server knew nothing of us.
pub(crate) fn has_not_arrived(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => error.is_connect(),
        Some(StreamableHttpError::SessionExpired) => true,
        _ => std::iter::successors(Some(error), |error| (*error).source()).any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        }),
    }
}

/// What the server answered instead of a result, where the connection to it is sound.
pub(crate) fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>()? {
        StreamableHttpError::HttpStatus(status) => Some(format!("it answered with HTTP status {}", status.status)),
        StreamableHttpError::AuthRequired(_) => Some("it asks for other credentials (HTTP status 401)".to_owned()),
        StreamableHttpError::InsufficientScope(_) => Some("it does not let us in (HTTP status 403)".to_owned()),
        StreamableHttpError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some("there are no credentials for it".to_owned())
        }
        StreamableHttpError::ResponseBodyTooLarge { .. } => Some("its answer is too large".to_owned()),
        _ => None,
    }
}

/// Why a request failed, for the log.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        // It does not name its own cause.
        Some(StreamableHttpError::Client(error)) => causes(error),
        _ => refusal(error).unwrap_or_else(|| causes(error)),
    }
}

/// An error and what caused it, in one line.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut sentences: Vec<String> = Vec::new();
    for cause in causes {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default();
        if !sentences.iter().any(|known| known.contains(line)) {
            sentences.push(line.to_owned());
        }
    }
    sentences.join(": ")
}

#[cfg(test)]
mod tests {
    use agentcore_core::agent::Secret;

    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let server = HttpServer::at("https://wiki.example/mcp").expect("an address").bearer(Secret::new("hidden"));
        insta::assert_snapshot!(format!("{server:?}"), @r#"HttpServer { address: "https://wiki.example/mcp", identity: Bearer(…) }"#);
    }

    #[test]
    fn what_is_no_address_is_told_without_its_secrets() {
        let told = ["wiki.example/mcp", "ftp://wiki.example/", "https://me:hidden@wiki.example/mcp"]
            .map(|address| HttpServer::at(address).expect_err("it is none").to_string());
        insta::assert_snapshot!(told.join("\n"), @"
        `wiki.example/mcp` is not the address of an MCP server: give one like https://host/mcp
        `ftp://wiki.example/` is not the address of an MCP server: give one like https://host/mcp
        `wiki.example/mcp` is not the address of an MCP server: give one like https://host/mcp
        ");
    }
}
