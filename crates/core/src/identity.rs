//! How we show somebody else's server who we are: to MCP servers, and to other agents.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use crate::agent::Secret;
use crate::aws::sigv4::{SigV4, Signable};

/// A bearer token, asked for before every request, so that it can change.
pub trait BearerToken: Send + Sync + 'static {
    /// The token as it is now. Must be quick: keep it until it ends.
    ///
    /// # Errors
    /// Why there is none, as a sentence for the log.
    fn token(&self) -> BoxFuture<'_, Result<Secret, String>>;
}

/// Who we are, to a server.
#[derive(Clone)]
pub enum Identity {
    /// Anybody may call.
    Nobody,
    /// Whoever has the token.
    Bearer(Arc<dyn BearerToken>),
    /// Whoever signs for AWS.
    Signed(SigV4),
}

/// We cannot show who we are, and why, so the request does not leave.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoIdentity(String);

// === impl Identity ===

impl Identity {
    /// The headers that let a request in, beside those that it has.
    ///
    /// # Errors
    /// When there is no token or no signature.
    pub async fn headers(&self, request: Signable<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, NoIdentity> {
        match self {
            Self::Nobody => Ok(Vec::new()),
            Self::Bearer(bearer) => {
                let token = bearer.token().await.map_err(NoIdentity)?;
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(no_identity)?;
                value.set_sensitive(true);
                Ok(vec![(AUTHORIZATION, value)])
            }
            Self::Signed(signature) => signature.sign(request).await.map_err(no_identity),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => formatter.write_str("Nobody"),
            Self::Bearer(_) => formatter.write_str("Bearer(…)"),
            Self::Signed(signature) => signature.fmt(formatter),
        }
    }
}

impl BearerToken for Secret {
    fn token(&self) -> BoxFuture<'_, Result<Secret, String>> {
        Box::pin(async { Ok(self.clone()) })
    }
}

fn no_identity(error: impl fmt::Display) -> NoIdentity {
    NoIdentity(error.to_string())
}
