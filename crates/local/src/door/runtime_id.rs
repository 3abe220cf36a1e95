//! Which agent a call names. Callers of the real service send an ARN of whatever account and region the
//! agent was deployed to; the runtime's name inside it is what counts here, so they need no change.

use crate::aws_error::AwsError;
use crate::config::AgentName;

/// The suffix that the service adds to a runtime's name, a hyphen before it.
const SUFFIX: usize = 10;

/// The agent that `id` names: an ARN, a runtime id like `coach_companion-0ZUOP04U5z`, or a plain name.
pub(super) fn agent_name(id: &str) -> Result<AgentName, AwsError> {
    let runtime_id = if id.starts_with("arn:") { runtime_of_arn(id)? } else { id };
    let name = match runtime_id.split_once('-') {
        Some((name, suffix)) if is_suffix(suffix) => name,
        Some(_) => return Err(not_a_runtime(id)),
        None => runtime_id,
    };
    name.parse().map_err(|_| not_a_runtime(id))
}

fn runtime_of_arn(arn: &str) -> Result<&str, AwsError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "bedrock-agentcore", region, account, resource] = parts[..] else {
        return Err(not_a_runtime(arn));
    };
    let is_account = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    if !partition.starts_with("aws") || region.is_empty() || !is_account {
        return Err(not_a_runtime(arn));
    }
    // An endpoint's ARN goes on with `/runtime-endpoint/NAME`.
    let runtime = resource.strip_prefix("runtime/").and_then(|runtime| runtime.split('/').next());
    runtime.ok_or_else(|| not_a_runtime(arn))
}

fn is_suffix(text: &str) -> bool {
    text.len() == SUFFIX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn not_a_runtime(id: &str) -> AwsError {
    AwsError::invalid_fields(vec![crate::InvalidField {
        name: "agentRuntimeArn".to_owned(),
        message: format!(
            "`{id}` names no runtime; it should be like \
             arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/NAME-0123456789, or the name alone"
        ),
    }])
}

#[cfg(test)]
mod tests {
    use super::agent_name;

    #[test]
    fn a_runtime_is_known_by_its_name_in_every_form() {
        for id in [
            "arn:aws:bedrock-agentcore:eu-west-1:732231126129:runtime/coach_companion-0ZUOP04U5z",
            "arn:aws-us-gov:bedrock-agentcore:us-gov-west-1:000000000000:runtime/coach_companion-abcdefghij",
            "arn:aws:bedrock-agentcore:eu-west-1:732231126129:runtime/coach_companion-0ZUOP04U5z/runtime-endpoint/DEFAULT",
            "arn:aws:bedrock-agentcore:eu-west-1:732231126129:runtime/coach_companion",
            "coach_companion-0ZUOP04U5z",
            "coach_companion",
        ] {
            let name = agent_name(id).expect(id);
            assert_eq!(name.as_str(), "coach_companion", "{id}");
        }
    }

    #[test]
    fn what_names_no_runtime_is_refused() {
        for id in [
            "",
            "coach companion",
            "coach_companion-short",
            "9lives",
            "arn:aws:bedrock-agentcore:eu-west-1:732231126129:memory/coach_companion-0ZUOP04U5z",
            "arn:aws:bedrock:eu-west-1:732231126129:runtime/coach_companion-0ZUOP04U5z",
            "arn:aws:bedrock-agentcore:eu-west-1:1:runtime/coach_companion-0ZUOP04U5z",
        ] {
            let error = agent_name(id).expect_err(id);
            assert_eq!(error.name(), "ValidationException", "{id}");
        }
    }
}
