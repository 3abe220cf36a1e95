//! Refusals that several checks share, in Bedrock's sentences.

use crate::aws_error::AwsError;
use crate::engine::conversation::Role;

/// A bound of the service's model that `value` at `place` breaks.
pub(super) fn out_of_bounds(value: impl std::fmt::Display, place: &str, bound: &str) -> AwsError {
    AwsError::validation(format!(
        "1 validation error detected: Value '{value}' at '{place}' failed to satisfy constraint: \
         Member must {bound}"
    ))
}

/// A block that stands in a message of the wrong side.
pub(super) fn require_role(role: Role, required: Role, block: &str, place: &str) -> Result<(), AwsError> {
    if role == required {
        return Ok(());
    }
    Err(AwsError::validation(format!(
        "The {block} block at {place} is in a message with the {role} role. Move it to a message \
         with the {required} role and try again."
    )))
}
