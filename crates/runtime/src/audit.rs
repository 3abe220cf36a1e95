//! The audit trail of the guards: one line in the log for every flag, which is a metric as well.
//!
//! A line names what was found and what was done because of it, the session, and the actor by a hash, and holds no word
//! of anybody. What an alarm counts and what an auditor reads are the same lines.
//!
//! The hash is an HMAC-SHA256 under the key in `AUDIT_KEY`, which is one deployment's own: whoever reads the log can tell
//! whether two lines are about the same person, and without the key not about whom. Without `AUDIT_KEY` there is no
//! secret in it. It still keeps ids out of the log, but whoever has a list of ids, or can guess them (e-mail addresses,
//! numbers), finds each of them by trying. With another key the same person has another hash: to change it cuts the
//! trail there.

use std::fmt::Write as _;

use agentcore_core::guard::{Safety, SafetyAction};
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::signal::measure;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The key of the hashes: any text, as long as it is a deployment's own; 32 random bytes in hexadecimal are good.
const KEY: &str = "AUDIT_KEY";

/// How much of a hash is told, in bytes: enough that no two actors of a deployment share one.
const TOLD_BYTES: usize = 16;

/// Writes what the guards of a turn found.
pub(crate) fn record(agent: &str, key: &SessionKey, safety: &Safety) {
    if safety.flags.is_empty() {
        return;
    }
    let secret = std::env::var_os(KEY).unwrap_or_default();
    let actor = hashed(secret.as_encoded_bytes(), agent, key.actor());
    for (flag, done) in safety.flags_and_done() {
        tracing::warn!(
            kind = %flag.kind,
            rule = %flag.rule,
            severity = flag.severity.as_str(),
            action = done.map(SafetyAction::as_str),
            actor,
            { measure::SAFETY_FLAGS } = 1,
            "a guard raised a flag"
        );
    }
}

/// The actor of one agent; another agent's log has another hash of the same person.
fn hashed(secret: &[u8], agent: &str, actor: &str) -> String {
    // A key of any length will do: HMAC hashes a long one and fills up a short one.
    let Ok(hash) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    let hash = hash.chain_update(agent).chain_update([0]).chain_update(actor).finalize().into_bytes();
    hash.iter().take(TOLD_BYTES).fold(String::new(), |mut told, byte| {
        // Writing to a string does not fail.
        let _ = write!(told, "{byte:02x}");
        told
    })
}

#[cfg(test)]
mod tests {
    use super::hashed;

    /// By Python: `hmac.new(b"Jefe", b"coach\0dee", "sha256").hexdigest()[:32]`.
    #[test]
    fn a_hash_is_an_hmac_of_agent_and_actor() {
        assert_eq!(hashed(b"Jefe", "coach", "dee"), "c1fafbfab821e3083ba323484c9969ba");
    }

    #[test]
    fn an_actor_has_one_hash_for_a_key_and_an_agent_and_another_for_others() {
        let one = hashed(b"a deployment's", "coach", "dee@example.org");
        assert_eq!(one, hashed(b"a deployment's", "coach", "dee@example.org"));
        assert_eq!(one.len(), 32);
        for other in [
            hashed(b"another's", "coach", "dee@example.org"),
            hashed(b"", "coach", "dee@example.org"),
            hashed(b"a deployment's", "tester", "dee@example.org"),
            hashed(b"a deployment's", "coach", "lee@example.org"),
            hashed(b"a deployment's", "coachd", "ee@example.org"),
        ] {
            assert_ne!(one, other);
        }
    }
}
