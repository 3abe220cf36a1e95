//! Who we are, shown to a server that asks: tokens and signatures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use agentcore_core::agent::Secret;
use agentcore_core::aws::Aws;
use agentcore_core::model::residency::{Region, Residency};
use agentcore_mcp::{BearerToken, SigV4};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures::future::BoxFuture;
use serde_json::json;

use crate::conversation::{call, offered, text};
use crate::kitchen::Kitchen;
use crate::log::Log;

/// A token that is another each time.
#[derive(Default)]
struct Numbered(AtomicU32);

impl BearerToken for Numbered {
    fn token(&self) -> BoxFuture<'_, Result<Secret, String>> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { Ok(Secret::new(format!("token-{number}"))) })
    }
}

fn signature(secret: &str) -> SigV4 {
    let region = Region::parse("eu-west-1", Residency::Eu).expect("Ireland is in the EU");
    let credentials = Credentials::new("AKIDTESTS", secret, Some("session".into()), None, "test");
    SigV4::new(Arc::new(Aws::new(region))).credentials(SharedCredentialsProvider::new(credentials))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_before_every_request() {
    let kitchen = Kitchen::behind("once", |server| server.bearer(Numbered::default()));

    for word in ["one", "two"] {
        assert_eq!(text(&call(&kitchen.server, "kitchen__echo", json!({ "text": word })).await), word);
    }

    let journal = kitchen.journal();
    assert!(journal.len() > 4 && journal.iter().all(|line| line.starts_with("let in")), "{journal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_as_botocore_signs_them() {
    let kitchen = Kitchen::behind("sigv4", |server| server.signed(signature("secret")));

    for word in ["one", "zwei ÄÖÜ 😀"] {
        assert_eq!(text(&call(&kitchen.server, "kitchen__echo", json!({ "text": word })).await), word);
    }

    let journal = kitchen.journal();
    assert!(journal.iter().all(|line| line.starts_with("let in")), "{journal:?}");
}

#[tokio::test]
async fn a_wrong_secret_is_told_apart_and_never_told() {
    let log = Log::keep();
    let unsigned = Kitchen::behind("sigv4", |server| server.bearer(Secret::new("hidden-token")));
    let forged = Kitchen::behind("sigv4", |server| server.signed(signature("hidden-secret")));
    for (kitchen, why) in
        [(&unsigned, "refused: not signed"), (&forged, "refused: POST: botocore signs it differently")]
    {
        assert_eq!(offered(&kitchen.server).await, Vec::<String>::new());
        assert_eq!(kitchen.journal()[0], why);
        assert!(!format!("{:?}", kitchen.server).contains("hidden"));
    }
    let lines = log.lines();
    assert!(lines.iter().any(|line| line.contains("cannot be reached")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("hidden")), "{lines:#?}");
}
