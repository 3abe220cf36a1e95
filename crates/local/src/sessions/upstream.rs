//! Where a session's agent listens, and one HTTP exchange with it.
//!
//! Every exchange has a connection of its own: a pooled one might lead to an agent that is gone, or to
//! another one that got its port since, and giving an exchange up closes its connection, by which the
//! agent learns that nobody waits for the answer.

use std::io;
use std::time::Duration;

use axum::body::Body;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// A server on this machine or near it accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where an agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    host: HeaderValue,
    address: String,
    /// What stands before `/ping` and the path of the protocol, without a slash at its end.
    prefix: String,
}

/// A connection that nothing was sent on yet.
pub(crate) struct Connection<'a> {
    upstream: &'a Upstream,
    sender: http1::SendRequest<Body>,
    task: AbortOnDropHandle<()>,
}

/// An answer that has begun; the connection lives as long.
pub(crate) struct Exchange {
    pub(crate) answer: Response<Incoming>,
    pub(crate) connection: AbortOnDropHandle<()>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {address}: {source}")]
pub(crate) struct NotConnected {
    address: String,
    source: io::Error,
}

/// A base address that no agent can be reached by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no agent's address: it has to be like http://127.0.0.1:8080 (https is not for local agents)")]
pub(crate) struct BaseAddressError(String);

// === impl Upstream ===

impl Upstream {
    /// A process of ours, that was given `port`.
    pub(super) fn on_loopback(port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        let host = HeaderValue::from_str(&address).expect("an address is made of digits, dots and a colon");
        Self { host, address, prefix: String::new() }
    }

    /// Something that runs at `base`.
    pub(crate) fn at(base: &Uri) -> Result<Self, BaseAddressError> {
        let refused = || BaseAddressError(base.to_string());
        let authority = base.authority().filter(|_| base.scheme_str() == Some("http")).ok_or_else(refused)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| refused())?;
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        Ok(Self { host, address, prefix: base.path().trim_end_matches('/').to_owned() })
    }

    /// Connects. Until then a request is whole, and may be sent elsewhere.
    pub(crate) async fn connect(&self) -> Result<Connection<'_>, NotConnected> {
        self.try_connect().await.map_err(|source| NotConnected { address: self.address.clone(), source })
    }

    async fn try_connect(&self) -> io::Result<Connection<'_>> {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address)).await;
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        // Tokens are small and due now.
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            // The side that waits for the answer gets the same error.
            let _reported_there = connection.with_upgrades().await;
        }));
        Ok(Connection { upstream: self, sender, task })
    }
}

// === impl Connection ===

impl Connection<'_> {
    /// Sends `request`, whose URI is a path, and waits for the head of the answer.
    pub(crate) async fn send(mut self, mut request: Request<Body>) -> Result<Exchange, hyper::Error> {
        let target = format!("{}{}", self.upstream.prefix, request.uri());
        *request.uri_mut() = Uri::try_from(target).expect("a path behind a checked path is a path");
        request.headers_mut().insert(HOST, self.upstream.host.clone());
        let answer = self.sender.send_request(request).await?;
        Ok(Exchange { answer, connection: self.task })
    }
}
