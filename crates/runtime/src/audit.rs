//! The audit trail of the guards: one line in the log for every flag, which is a metric as well.
//!
//! A line names what was found and what was done, the session, and the actor by a hash, and holds no word of
//! anybody. Its `_aws` member makes CloudWatch count it as the metric `SafetyFlags`, in the [embedded metric
//! format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html),
//! so that what an alarm counts and what an auditor reads are the same lines.

use agentcore_core::guard::Safety;
use agentcore_core::memory::identity::SessionKey;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Writes what the guards of a turn found.
pub(crate) fn record(agent: &str, key: &SessionKey, safety: &Safety) {
    if safety.flags.is_empty() {
        return;
    }
    let actor = hashed(agent, key.actor());
    let metric = metric(agent, Timestamp::now());
    for flag in &safety.flags {
        tracing::warn!(
            kind = %flag.kind,
            rule = %flag.rule,
            severity = flag.severity.as_str(),
            action = safety.action.as_str(),
            actor,
            "SafetyFlags" = 1,
            embedded_metric = metric,
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

/// What makes a line the metric `SafetyFlags`: in all, by kind, and by severity.
fn metric(agent: &str, now: Timestamp) -> String {
    let metrics = json!([{
        "Namespace": format!("AgentCore/{agent}"),
        "Dimensions": [[], ["kind"], ["severity"]],
        "Metrics": [{ "Name": "SafetyFlags", "Unit": "Count" }],
    }]);
    json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": metrics }).to_string()
}
