//! Credentials that are asked for once and used until they end, by everything that signs.
//!
//! AWS's chain asks anew each time, a container's agent or a program; the SDK's clients keep what they were given, each for
//! itself.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, Result, SharedCredentialsProvider, future};
use tokio::sync::Mutex;

/// How long credentials that say of no end are used before they are asked for again, as AWS's SDKs do.
const WITHOUT_AN_END: Duration = Duration::from_mins(15);

/// How long before their end credentials are no longer used for a new request, as AWS's SDKs do.
const BEFORE_THEIR_END: Duration = Duration::from_secs(10);

/// Asks a provider, and keeps what it gives.
#[derive(Debug)]
pub(super) struct KeptCredentials {
    provider: SharedCredentialsProvider,
    known: Mutex<Option<Known>>,
}

/// By the clock of the world and not of the process: one that was frozen and is revived the next day must not sign with
/// the credentials of the day before.
#[derive(Debug)]
struct Known {
    credentials: Credentials,
    good_until: SystemTime,
}

// === impl KeptCredentials ===

impl KeptCredentials {
    pub(super) fn of(provider: SharedCredentialsProvider) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self { provider, known: Mutex::default() })
    }

    /// Who waits here while credentials are asked for would ask for the same.
    async fn credentials(&self) -> Result {
        let mut known = self.known.lock().await;
        let now = SystemTime::now();
        if let Some(known) = known.as_ref().filter(|known| now < known.good_until) {
            return Ok(known.credentials.clone());
        }
        let credentials = self.provider.provide_credentials().await?;
        let good_until = match credentials.expiry() {
            Some(end) => end.checked_sub(BEFORE_THEIR_END).unwrap_or(end),
            None => now + WITHOUT_AN_END,
        };
        *known = Some(Known { credentials: credentials.clone(), good_until });
        Ok(credentials)
    }
}

impl ProvideCredentials for KeptCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
