//! A model for targets that are not about models.

use agentcore_runtime::core::message::{Message, StopReason, Usage};
use agentcore_runtime::core::model::{Model, ModelAnswer, ModelError, ModelEvents, ModelRequest};
use futures::future::BoxFuture;

/// Says yes.
pub(super) struct SaysYes;

impl Model for SaysYes {
    fn converse<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async {
            Ok(ModelAnswer {
                message: Message::assistant("Yes."),
                stop_reason: StopReason::EndTurn,
                usage: Usage::default(),
                guardrail: None,
                served: None,
            })
        })
    }

    fn converse_stream<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(async { Ok(Box::pin(futures::stream::empty()) as ModelEvents) })
    }
}
