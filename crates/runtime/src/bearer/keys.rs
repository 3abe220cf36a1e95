//! An issuer's keys, as its discovery document says where they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agentcore_core::aws::exchange::Exchange;
use axum::http::{Request, Uri};
use bytes::Bytes;
use jsonwebtoken::jwk::{JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::Refusal;

/// What the path of a discovery document ends with (`OpenID` Connect Discovery 1.0, section 4), and AgentCore's
/// `discoveryUrl` too.
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// How long the issuer is waited for; a caller waits with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long keys are used before they are asked for again, so that one that was withdrawn goes.
const FRESH: Duration = Duration::from_hours(1);

/// How soon the issuer is asked again after it had nothing new, whoever sends tokens with unknown keys.
const PAUSE: Duration = Duration::from_secs(30);

/// Where tokens come from.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    discovery: Uri,
}

/// The keys of an issuer, fetched when the first token comes.
pub(super) struct Keys {
    issuer: Issuer,
    exchange: Exchange,
    known: Mutex<Known>,
    /// Held by the one who asks the issuer. Those whose keys are known don't wait for him.
    asking: AsyncMutex<()>,
}

#[derive(Default, Clone)]
struct Known {
    /// Those that were had last.
    keys: Option<Arc<Published>>,
    fetched: Option<Instant>,
    /// When the issuer was asked for nothing.
    in_vain: Option<Instant>,
}

/// What an issuer has published.
struct Published {
    issuer: String,
    keys: JwkSet,
}

/// The key of one token, and who its issuer says to be.
pub(super) struct Found {
    pub(super) issuer: String,
    pub(super) key: DecodingKey,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

// === impl Issuer ===

impl Issuer {
    /// The one with that discovery document. Keys from a connection that anybody can change would check nothing, so
    /// only this machine may be asked without TLS.
    pub(super) fn at(url: &str) -> Result<Self, &'static str> {
        let discovery: Uri = url.parse().map_err(|_| "must be a URL")?;
        if !discovery.path().ends_with(DISCOVERY_PATH) {
            return Err("must end with /.well-known/openid-configuration");
        }
        if !is_safe(&discovery) {
            return Err("must begin with https://");
        }
        Ok(Self { discovery })
    }
}

fn is_safe(url: &Uri) -> bool {
    let is_here = url.host().is_some_and(|host| ["127.0.0.1", "[::1]", "localhost"].contains(&host));
    match url.scheme_str() {
        Some("https") => url.host().is_some(),
        Some("http") => is_here,
        _ => false,
    }
}

// === impl Keys ===

impl Keys {
    pub(super) fn of(issuer: Issuer) -> Self {
        Self { issuer, exchange: Exchange::new(PATIENCE), known: Mutex::default(), asking: AsyncMutex::default() }
    }

    /// The key that a token names. Where it is not known the issuer is asked, because issuers change keys.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Found, Refusal> {
        let published = self.published(|published| published.has(id)).await?;
        published.key(id, algorithm)
    }

    /// What is known, asked for again where it has become old or `does` not do.
    async fn published(&self, does: impl Fn(&Published) -> bool) -> Result<Arc<Published>, Refusal> {
        if let Some(enough) = self.known().enough(&does) {
            return Ok(enough);
        }
        let _asking = self.asking.lock().await;
        let known = self.known().clone();
        // Somebody else may have asked meanwhile.
        if known.enough(&does).is_none() && !is_within(known.in_vain, PAUSE) {
            let now = Some(Instant::now());
            let known = match self.fetch().await {
                Ok(published) => {
                    let in_vain = now.filter(|_| !does(&published));
                    Known { keys: Some(Arc::new(published)), fetched: now, in_vain }
                }
                Err(error) => {
                    tracing::error!(error_type = "JwtKeys", error, "the issuer's keys cannot be had");
                    // Keys that were good an hour ago are better than none.
                    Known { in_vain: now, ..known }
                }
            };
            *self.known() = known;
        }
        self.known().keys.clone().ok_or(Refusal::NoKeys)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Published, String> {
        let discovery: Discovery = self.get(&self.issuer.discovery).await?;
        let keys: Uri = discovery.jwks_uri.parse().map_err(|_| "jwks_uri is no URL".to_owned())?;
        if !is_safe(&keys) {
            return Err("jwks_uri does not begin with https://".into());
        }
        Ok(Published { issuer: discovery.issuer, keys: self.get(&keys).await? })
    }

    async fn get<T: DeserializeOwned>(&self, url: &Uri) -> Result<T, String> {
        let asked = Request::get(url).body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = self.exchange.send(asked).await.map_err(|error| format!("{url}: {error}"))?;
        if !answer.status().is_success() {
            return Err(format!("{url}: the answer was {}", answer.status()));
        }
        serde_json::from_slice(answer.body()).map_err(|error| format!("{url}: {error}"))
    }
}

// === impl Known ===

impl Known {
    fn enough(&self, does: impl Fn(&Published) -> bool) -> Option<Arc<Published>> {
        self.keys.clone().filter(|keys| is_within(self.fetched, FRESH) && does(keys))
    }
}

fn is_within(at: Option<Instant>, time: Duration) -> bool {
    at.is_some_and(|at| at.elapsed() < time)
}

// === impl Published ===

impl Published {
    fn has(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.keys.find(id).is_some())
    }

    /// The key with that id; without an id the only one.
    fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Found, Refusal> {
        let key = match (id, self.keys.keys.as_slice()) {
            (Some(id), _) => self.keys.find(id),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let key = key.ok_or(Refusal::Token("its issuer has no such key"))?;
        let is_for_signatures = key.common.public_key_use.as_ref().is_none_or(|is| *is == PublicKeyUse::Signature);
        let named = key.common.key_algorithm.map(|named| named.to_string());
        let is_of_that_kind = named.is_none_or(|named| named == format!("{algorithm:?}"));
        let decoding = DecodingKey::from_jwk(key).ok().filter(|_| is_for_signatures && is_of_that_kind);
        let decoding = decoding.ok_or(Refusal::Token("the key it names is for something else"))?;
        Ok(Found { issuer: self.issuer.clone(), key: decoding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_asked_over_tls_or_on_this_machine() {
        let told = |url| Issuer::at(url).map(|_| ()).err();
        assert_eq!(told("https://issuer.example/pool/.well-known/openid-configuration"), None);
        assert_eq!(told("http://127.0.0.1:9/.well-known/openid-configuration"), None);
        let elsewhere = told("http://issuer.example/.well-known/openid-configuration");
        assert_eq!(elsewhere, Some("must begin with https://"));
        assert_eq!(told("https://issuer.example/keys"), Some("must end with /.well-known/openid-configuration"));
    }
}
