//! Who may call, where no platform has asked: bearer tokens, checked before anything else is read.
//!
//! On AgentCore the service's own authorizer checks them. For a server of one's own this room does the same, by the same
//! three settings: who issues tokens, whom they are for, which clients they were issued to. The caller is then the
//! token's subject, whatever a header says.

mod keys;
mod signature;

use std::sync::Arc;

use agentcore_core::settings::SettingsError;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::json;

use self::keys::{Issuer, Keys};
use crate::http::context::USER_ID;

/// Where the issuer's discovery document is.
const DISCOVERY_URL: &str = "JWT_DISCOVERY_URL";

/// How far an issuer's clock may be from this one, in seconds: what AWS's authorizers forgive is not documented; a
/// minute is the library's default.
const LEEWAY: u64 = 60;

/// Signatures that are taken: those that a public key checks. One with a shared secret would let whoever can check tokens
/// make them.
const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
];

/// Checks tokens. Clones share the keys.
#[derive(Clone)]
pub(crate) struct Bearers(Arc<Check>);

struct Check {
    keys: Keys,
    audiences: Vec<String>,
    clients: Vec<String>,
}

/// What a token says of its holder.
#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    /// The client it was issued to, as Amazon Cognito and RFC 9068 name it.
    client_id: Option<String>,
    /// The same, as `OpenID` Connect names it.
    azp: Option<String>,
}

/// Why a call is turned away.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("this agent wants a token: send the header Authorization with Bearer and a token of its issuer")]
    NoToken,
    #[error("the token is none that this agent takes: {0}")]
    Token(&'static str),
    #[error("the keys that tokens are checked with cannot be had at the moment; please try again")]
    NoKeys,
}

// === impl Bearers ===

impl Bearers {
    /// Reads `JWT_DISCOVERY_URL`, `JWT_AUDIENCES` and `JWT_CLIENTS`; without the first nobody is asked for a token.
    pub(crate) fn read(read: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingsError> {
        let listed = |variable| -> Vec<String> {
            let value = read(variable).unwrap_or_default();
            value.split(',').map(str::trim).filter(|one| !one.is_empty()).map(ToOwned::to_owned).collect()
        };
        let Some(url) = read(DISCOVERY_URL).filter(|value| !value.is_empty()) else { return Ok(None) };
        let (audiences, clients) = (listed("JWT_AUDIENCES"), listed("JWT_CLIENTS"));
        if audiences.is_empty() && clients.is_empty() {
            let problem = "needs JWT_AUDIENCES or JWT_CLIENTS beside it: a token for somebody else's service would do";
            return Err(SettingsError::invalid(DISCOVERY_URL, &url, problem));
        }
        let issuer = Issuer::at(&url).map_err(|problem| SettingsError::invalid(DISCOVERY_URL, &url, problem))?;
        signature::install();
        Ok(Some(Self(Arc::new(Check { keys: Keys::of(issuer), audiences, clients }))))
    }

    /// The routes, for those who have a token. `/ping` stays open: who watches a process has none.
    pub(crate) fn before(self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self, let_in))
    }
}

async fn let_in(State(bearers): State<Bearers>, mut request: Request, next: Next) -> Response {
    if request.uri().path() == "/ping" {
        return next.run(request).await;
    }
    match bearers.0.caller(request.headers()).await {
        Ok(subject) => {
            request.headers_mut().insert(USER_ID, subject);
            next.run(request).await
        }
        Err(refusal) => {
            tracing::warn!(error_type = "Unauthorized", error = %refusal, "a call was turned away");
            refusal.into_response()
        }
    }
}

// === impl Check ===

impl Check {
    /// The subject of the call's token.
    async fn caller(&self, headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
        let token = bearer(headers).ok_or(Refusal::NoToken)?;
        let head = decode_header(token).map_err(|_| Refusal::Token("it is no JSON Web Token"))?;
        if !ALGORITHMS.contains(&head.alg) {
            return Err(Refusal::Token("its signature is of a kind that is not taken"));
        }
        let key = self.keys.find(head.kid.as_deref(), head.alg).await?;
        let mut wanted = Validation::new(head.alg);
        wanted.leeway = LEEWAY;
        wanted.validate_nbf = true;
        wanted.set_issuer(&[&key.issuer]);
        wanted.set_required_spec_claims(&["exp", "iss", "sub"]);
        if self.audiences.is_empty() {
            wanted.validate_aud = false;
        } else {
            wanted.set_audience(&self.audiences);
            wanted.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
        }
        let claims = decode::<Claims>(token, &key.key, &wanted).map_err(|error| wrong(error.kind()))?.claims;
        let client = claims.client_id.or(claims.azp);
        if !self.clients.is_empty() && !client.is_some_and(|client| self.clients.contains(&client)) {
            return Err(Refusal::Token("it was issued to another client"));
        }
        HeaderValue::from_str(&claims.sub).map_err(|_| Refusal::Token("its subject cannot be a user's id"))
    }
}

/// The token of `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn wrong(error: &ErrorKind) -> Refusal {
    Refusal::Token(match error {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "another issuer made it",
        ErrorKind::InvalidAudience => "it is for somebody else",
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::MissingRequiredClaim(_) => "it lacks exp, iss, sub or aud",
        _ => "it cannot be read",
    })
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, challenge) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "Bearer"),
            Self::Token(_) => (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\""),
            Self::NoKeys => {
                let told = json!({ "error": self.to_string(), "code": "keys_unavailable" });
                let headers = [(header::CONTENT_TYPE, "application/json"), (header::RETRY_AFTER, "5")];
                return (StatusCode::SERVICE_UNAVAILABLE, headers, told.to_string()).into_response();
            }
        };
        let told = json!({ "error": self.to_string(), "code": "unauthorized" });
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::WWW_AUTHENTICATE, challenge)];
        (status, headers, told.to_string()).into_response()
    }
}
