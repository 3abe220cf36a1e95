//! An answer that must be a Rust type.
//!
//! Models keep to a schema best when it is a tool's: so the type becomes a tool that the model has to
//! call, and its arguments are the answer. What does not fit goes back to the model with the reason.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::message::ToolSpec;
use crate::tool::typed::{JsonSchema, read, spec_of};

/// How often a model may try before the turn fails.
pub(super) const OUTPUT_ATTEMPTS: u32 = 3;

/// What an answer must be.
#[derive(Clone)]
pub(super) struct OutputContract {
    pub(super) spec: ToolSpec,
    check: Arc<dyn Fn(Value) -> Result<(), String> + Send + Sync>,
}

// === impl OutputContract ===

impl OutputContract {
    pub(super) fn of<T: DeserializeOwned + JsonSchema + 'static>() -> Self {
        let mut spec = spec_of::<T>();
        if spec.description.is_empty() {
            spec.description.push_str("Gives the answer.");
        }
        Self { spec, check: Arc::new(|value| read::<T>(value).map(drop)) }
    }

    /// Whether `value` is what it must be; if not, why, in a sentence for the model.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        (self.check)(value.clone())
    }
}

impl std::fmt::Debug for OutputContract {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("OutputContract").field(&self.spec.name).finish()
    }
}
