//! The audit trail of the guards: one line in the log for every flag, which is a metric as well.
//!
//! A line names what was found and what was done, the session, and the actor by a hash, and holds no word of
//! anybody. What an alarm counts and what an auditor reads are the same lines.

use agentcore_core::guard::Safety;
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::signal::measure;
use sha2::{Digest as _, Sha256};

/// Writes what the guards of a turn found.
pub(crate) fn record(agent: &str, key: &SessionKey, safety: &Safety) {
    if safety.flags.is_empty() {
        return;
    }
    let actor = hashed(agent, key.actor());
    for flag in &safety.flags {
        tracing::warn!(
            kind = %flag.kind,
            rule = %flag.rule,
            severity = flag.severity.as_str(),
            action = safety.action.as_str(),
            actor,
            { measure::SAFETY_FLAGS } = 1,
            "a guard raised a flag"
        );
    }
}

/// The actor of one agent; another agent's log has another hash of the same person.
fn hashed(agent: &str, actor: &str) -> String {
    let digest = Sha256::new().chain_update(agent).chain_update([0]).chain_update(actor).finalize();
    // Eight bytes tell actors apart in a log, and nobody can be found by them.
    digest.first_chunk().map_or_else(String::new, |first| format!("{:016x}", u64::from_be_bytes(*first)))
}
