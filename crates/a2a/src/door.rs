//! The network: requests with what lets them in, and answers within bounds.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agentcore_core::aws::sigv4::Signable;
use agentcore_core::identity::{Identity, NoIdentity};
use futures::{Stream, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url, redirect};

/// How long a connection may take to open; across a continent it takes a tenth of a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept: less than servers do (uvicorn and Node: 5 s).
const KEPT_UNUSED: Duration = Duration::from_secs(3);

/// The most that is read of one answer, in bytes. A model reads a few per cent of it.
const LARGEST: usize = 16_000_000;

/// Names the session on AgentCore; to others it says nothing.
const SESSION_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");

/// What is given as an agent's address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the address of an agent: give what stands before /.well-known/agent-card.json, like https://host/"
)]
pub struct AddressError(String);

/// The way to an agent. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) address: Url,
    pub(crate) identity: Identity,
    client: Arc<OnceLock<Client>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    #[error("it cannot be reached: {0}")]
    Unreachable(reqwest::Error),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("the connection broke off: {0}")]
    BrokenOff(String),
    #[error("its answer is longer than {LARGEST} bytes")]
    TooLong,
    #[error("we cannot show who we are: {0}")]
    NoIdentity(#[from] NoIdentity),
    #[error("the session's id cannot be a header")]
    Session,
}

// === impl Door ===

impl Door {
    pub(crate) fn to(address: &str) -> Result<Self, AddressError> {
        let url = Url::parse(address).ok();
        // Where a user and a password are in the URL, the message must not have them.
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
        let Some(mut url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) else {
            return Err(AddressError(address.split('@').next_back().unwrap_or_default().to_owned()));
        };
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self { address: url, identity: Identity::Nobody, client: Arc::default() })
    }

    pub(crate) fn showing(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// Whether requests to there may show who we are, and go there at all: to another place than the one that was given
    /// only as nobody, and encrypted.
    pub(crate) fn may_go_to(&self, url: &Url) -> bool {
        let is_same = url.origin() == self.address.origin();
        is_same || (matches!(self.identity, Identity::Nobody) && url.scheme() == "https")
    }

    pub(crate) async fn get(&self, url: &Url, session: &str) -> Result<Vec<u8>, DoorError> {
        let headers = self.admitted("GET", url, HeaderMap::new(), session, &[]).await?;
        let sending = self.client()?.get(url.clone()).headers(headers).send().await;
        whole(succeeded(sending.map_err(unreachable)?)?).await
    }

    /// Posts a message of JSON-RPC.
    pub(crate) async fn post(
        &self,
        url: &Url,
        accept: &'static str,
        version: &'static str,
        session: &str,
        body: Vec<u8>,
    ) -> Result<Response, DoorError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(HeaderName::from_static("a2a-version"), HeaderValue::from_static(version));
        let headers = self.admitted("POST", url, headers, session, &body).await?;
        let sending = self.client()?.post(url.clone()).headers(headers).body(body).send().await;
        succeeded(sending.map_err(unreachable)?)
    }

    /// The headers, with those that let the request in.
    async fn admitted(
        &self,
        method: &'static str,
        url: &Url,
        mut headers: HeaderMap,
        session: &str,
        body: &[u8],
    ) -> Result<HeaderMap, DoorError> {
        let session = HeaderValue::from_str(session).map_err(|_| DoorError::Session)?;
        headers.insert(SESSION_ID, session);
        let shown = {
            let pairs = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
            let pairs: Vec<_> = pairs.collect();
            self.identity.headers(Signable { method, uri: url.as_str(), headers: &pairs, body }).await?
        };
        headers.extend(shown);
        Ok(headers)
    }

    fn client(&self) -> Result<&Client, DoorError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Fails only when the process has a provider already, and then that one serves.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(KEPT_UNUSED)
            // They would carry secrets to wherever they point.
            .redirect(redirect::Policy::none());
        // What is on this machine is not behind a proxy.
        let builder = if self.is_on_this_machine() { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(unreachable)?;
        Ok(self.client.get_or_init(|| client))
    }

    fn is_on_this_machine(&self) -> bool {
        self.address.host_str().is_some_and(|host| {
            let host = host.trim_matches(['[', ']']);
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|host| host.is_loopback())
        })
    }
}

fn succeeded(response: Response) -> Result<Response, DoorError> {
    if response.status().is_success() { Ok(response) } else { Err(DoorError::Status(response.status().as_u16())) }
}

/// The whole of an answer.
pub(crate) async fn whole(response: Response) -> Result<Vec<u8>, DoorError> {
    let mut bytes = Vec::new();
    let mut pieces = std::pin::pin!(pieces(response));
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// An answer piece by piece, as far as it is read at all.
pub(crate) fn pieces(response: Response) -> impl Stream<Item = Result<Vec<u8>, DoorError>> + Send {
    response.bytes_stream().scan(0_usize, |read, piece| {
        let piece = piece.map_err(|error| DoorError::BrokenOff(error.without_url().to_string()));
        let piece = piece.and_then(|piece| {
            *read += piece.len();
            if *read > LARGEST { Err(DoorError::TooLong) } else { Ok(piece.to_vec()) }
        });
        std::future::ready(Some(piece))
    })
}

/// Addresses of agents may be secrets by themselves.
fn unreachable(error: reqwest::Error) -> DoorError {
    DoorError::Unreachable(error.without_url())
}

#[cfg(test)]
mod tests {
    use agentcore_core::agent::Secret;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn an_address_is_what_stands_before_the_cards_path() {
        let address =
            |text: &str| Door::to(text).map(|door| door.address.to_string()).map_err(|error| error.to_string());
        assert_eq!(address("https://a.example"), Ok("https://a.example/".to_owned()));
        assert_eq!(address("https://a.example/b"), Ok("https://a.example/b/".to_owned()));
        insta::assert_snapshot!(address("ftp://me:secret@a.example").expect_err("no agent is there"), @"`a.example` is not the address of an agent: give what stands before /.well-known/agent-card.json, like https://host/");
    }

    #[test]
    fn credentials_go_nowhere_but_to_the_address() {
        let nobody = Door::to("https://a.example/b").expect("an address");
        assert!(nobody.may_go_to(&url("https://a.example/c")) && nobody.may_go_to(&url("https://other.example/")));
        assert!(!nobody.may_go_to(&url("http://169.254.169.254/")));
        let somebody = Door { identity: Identity::Bearer(Arc::new(Secret::new("token"))), ..nobody };
        assert!(somebody.may_go_to(&url("https://a.example/c")) && !somebody.may_go_to(&url("https://other.example/")));
    }
}
