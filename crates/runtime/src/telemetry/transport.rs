//! Carries what OpenTelemetry has encoded, over the process' one TLS stack, signed where it must be.

use std::sync::Arc;
use std::time::Duration;

use agentcore_core::aws::exchange::Exchange;
use agentcore_core::aws::sigv4::{SigV4, Signable};
use axum::http::{HeaderMap, Request, Response, header};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use super::trouble::Trouble;

/// Sends batches. Clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    exchange: Arc<Exchange>,
    signature: Option<SigV4>,
    trouble: Arc<Trouble>,
    /// Where sockets are waited for: metrics come from a thread that has no runtime.
    work: Handle,
}

// === impl Transport ===

impl Transport {
    /// Sends as it is.
    pub(super) fn unsigned(within: Duration, trouble: &Arc<Trouble>) -> Self {
        let exchange = Arc::new(Exchange::new(within));
        Self { exchange, signature: None, trouble: Arc::clone(trouble), work: Handle::current() }
    }

    /// Sends signed.
    pub(super) fn signed(signature: SigV4, within: Duration, trouble: &Arc<Trouble>) -> Self {
        Self { signature: Some(signature), ..Self::unsigned(within, trouble) }
    }

    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if let Some(signature) = &self.signature {
            sign(signature, &mut request).await?;
        }
        let answer = self.exchange.send(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let told: String = String::from_utf8_lossy(answer.body()).chars().take(200).collect();
        Err(format!("the answer was {}: {told}", answer.status()).into())
    }
}

#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let transport = self.clone();
        let is_of_metrics = request.uri().path().ends_with("/metrics");
        let sent = self.work.spawn(async move { transport.send(request).await }).await;
        let sent = sent.unwrap_or_else(|_ended| Err("the process ends".into()));
        if let Err(error) = &sent {
            self.trouble.failed(error.to_string());
            if is_of_metrics {
                // Nothing is lost, as the next batch has it too; but nobody else would tell.
                self.trouble.lost(0);
            }
        }
        sent
    }
}

/// Adds the headers that make the request a signed one.
async fn sign(signature: &SigV4, request: &mut Request<Bytes>) -> Result<(), HttpError> {
    let uri = request.uri().to_string();
    let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let mut headers = vec![("host", host.as_str())];
    headers.extend(signed_headers(request.headers()));
    let signable = Signable { method: "POST", uri: &uri, headers: &headers, body: request.body() };
    let added = signature.sign(signable).await?;
    request.headers_mut().extend(added);
    Ok(())
}

/// What is signed beside the host and what signing adds: what the receiver acts on.
fn signed_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let acted_on = |name: &str| name == header::CONTENT_TYPE.as_str() || name.starts_with("x-aws-");
    headers.iter().filter_map(move |(name, value)| {
        let name = name.as_str();
        acted_on(name).then(|| value.to_str().ok().map(|value| (name, value))).flatten()
    })
}
