//! One HTTP request and its answer, over the one TLS stack, for what no client of the SDK sends.

use std::fmt;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::http::Request as SdkRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::{CONNECT_TIMEOUT, innermost};

/// The longest answer that is read as a whole, in bytes. The longest that is waited for is a model's, of some hundred
/// thousand tokens.
const LONGEST_ANSWER: usize = 4 << 20;

/// Sends requests and reads whole answers. Nothing is opened before the first.
#[derive(Debug)]
pub struct Exchange {
    http: Http,
    within: Duration,
}

/// Sends requests, and leaves it to the caller how an answer is read and how long that may take.
#[derive(Default)]
pub(crate) struct Http(OnceCell<Connector>);

/// The body of an answer while it comes.
#[derive(Debug)]
pub(crate) struct Body(ByteStream);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The request is none.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// Nobody was reached, or the connection broke.
    #[error("{0}")]
    Connection(String),
    /// Nothing came in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Silent(Duration),
}

// === impl Exchange ===

impl Exchange {
    /// Requests that are answered `within` that time, or fail.
    pub fn new(within: Duration) -> Self {
        Self { http: Http::default(), within }
    }

    /// Sends one, and reads the whole answer.
    ///
    /// # Errors
    /// When no whole answer comes; an answer with a status of failure is one.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ExchangeError> {
        let exchange = async {
            let (head, body) = self.http.open(request).await?.into_parts();
            Ok(Response::from_parts(head, body.whole().await?))
        };
        match timeout(self.within, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(ExchangeError::Silent(self.within)),
        }
    }
}

// === impl Http ===

impl Http {
    /// Sends one, and reads the head of its answer.
    pub(crate) async fn open(&self, request: Request<Bytes>) -> Result<Response<Body>, ExchangeError> {
        let request = SdkRequest::try_from(request.map(SdkBody::from))
            .map_err(|error| ExchangeError::Request(error.to_string()))?;
        let connector = self.0.get_or_init(|| async { connector() }).await;
        let answer = connector.call(request).await.map_err(|error| broken(&error))?;
        let answer = answer.try_into_http1x().map_err(|error| broken(&error))?;
        Ok(answer.map(|body| Body(ByteStream::new(body))))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Http").finish_non_exhaustive()
    }
}

// === impl Body ===

impl Body {
    /// What comes next; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ExchangeError> {
        self.0.try_next().await.map_err(|error| broken(&error))
    }

    /// All that is left of it.
    pub(crate) async fn whole(mut self) -> Result<Bytes, ExchangeError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > LONGEST_ANSWER {
                return Err(ExchangeError::Connection(format!("the answer is longer than {LONGEST_ANSWER} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

fn broken(error: &(dyn std::error::Error + 'static)) -> ExchangeError {
    ExchangeError::Connection(innermost(error))
}

fn connector() -> Connector {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
    Connector::builder().connector_settings(settings).tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
}
