//! One HTTP request and its answer, over the one TLS stack, for what no client of the SDK sends.

use std::fmt;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::http::Request as SdkRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::innermost;

/// The longest answer that is read, in bytes; what is sent here is answered in a few words.
const LONGEST_ANSWER: usize = 1 << 20;

/// Sends requests. Nothing is opened before the first.
pub struct Exchange {
    connector: OnceCell<Connector>,
    within: Duration,
}

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
        Self { connector: OnceCell::new(), within }
    }

    /// Sends one.
    ///
    /// # Errors
    /// When no whole answer comes; an answer with a status of failure is one.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ExchangeError> {
        match timeout(self.within, self.exchange(request)).await {
            Ok(answered) => answered,
            Err(_) => Err(ExchangeError::Silent(self.within)),
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ExchangeError> {
        let request = SdkRequest::try_from(request.map(SdkBody::from))
            .map_err(|error| ExchangeError::Request(error.to_string()))?;
        let connector = self.connector.get_or_init(|| async { connector() }).await;
        let answer = connector.call(request).await.map_err(|error| broken(&error))?;
        let status = answer.status().as_u16();
        let body = whole(ByteStream::new(answer.into_body())).await?;
        Response::builder().status(status).body(body).map_err(|error| broken(&error))
    }
}

async fn whole(mut body: ByteStream) -> Result<Bytes, ExchangeError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.try_next().await.map_err(|error| broken(&error))? {
        if whole.len() + piece.len() > LONGEST_ANSWER {
            return Err(ExchangeError::Connection(format!("the answer is longer than {LONGEST_ANSWER} bytes")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn broken(error: &(dyn std::error::Error + 'static)) -> ExchangeError {
    ExchangeError::Connection(innermost(error))
}

fn connector() -> Connector {
    Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exchange").field("within", &self.within).finish_non_exhaustive()
    }
}
