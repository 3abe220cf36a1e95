//! Whose model call it is: the emulated Bedrock's calls, told apart by session.
//!
//! Every session's process signs with an access key of its own, so a call names its session without
//! the agent knowing. That is how a notice can say what a turn cost, and how a fault asked for with an
//! invocation reaches the model calls of just that session.

use axum::http::{HeaderMap, header};

use crate::bedrock::{Fault, ModelCall, ModelCallWatch};
use crate::notice::{Notice, Notices};
use crate::sessions::Attribution;

/// Follows the model calls of hosted sessions.
pub(crate) struct SessionWatch {
    attribution: Attribution,
    notices: Notices,
}

// === impl SessionWatch ===

impl SessionWatch {
    pub(crate) fn new(attribution: Attribution, notices: Notices) -> Self {
        Self { attribution, notices }
    }
}

impl ModelCallWatch for SessionWatch {
    fn fault(&self, headers: &HeaderMap) -> Option<Fault> {
        let armed = self.attribution.take_armed_fault(access_key_id(headers)?)?;
        match armed.parse() {
            Ok(fault) => Some(fault),
            Err(error) => {
                tracing::warn!(%error, "a fault asked for with an invocation is not one");
                None
            }
        }
    }

    fn finished(&self, headers: &HeaderMap, call: &ModelCall) {
        let session = access_key_id(headers).and_then(|key| self.attribution.session_of(key));
        if let Some(session) = session {
            self.notices.announce(Notice::ModelCalled { session, call: call.clone() });
        }
    }
}

/// The key in `Authorization: AWS4-HMAC-SHA256 Credential=KEY/date/region/service/aws4_request, …`.
fn access_key_id(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let credential = authorization.split_once("Credential=")?.1;
    credential.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_read_from_a_signature_and_from_nothing_else() {
        let headers =
            |value: &'static str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("ASCII"))]);
        let signed =
            "AWS4-HMAC-SHA256 Credential=LOCAL0123/20261123/eu-west-1/bedrock/aws4_request, SignedHeaders=host";
        assert_eq!(access_key_id(&headers(signed)), Some("LOCAL0123"));
        assert_eq!(access_key_id(&headers("Bearer token")), None);
        assert_eq!(access_key_id(&HeaderMap::new()), None);
    }
}
