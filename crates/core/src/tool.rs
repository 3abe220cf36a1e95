//! What a model may ask an agent to do.
//!
//! A tool names itself to the model with a [`ToolSpec`] and is called with the JSON the model wrote.
//! Whether it is called, how often and what becomes of its answer is the turn machine's business.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::message::ToolResultContent;

/// Something a model can ask for in the middle of a turn.
pub trait Tool: Send + Sync + 'static {
    /// How the model is told about it.
    fn spec(&self) -> ToolSpec;

    /// Does it. `input` is the model's own JSON, not yet checked against the schema.
    fn call(&self, input: Value) -> BoxFuture<'_, Result<Vec<ToolResultContent>, ToolFailure>>;
}

/// How the model is told about a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// The name the model calls it by: `[a-zA-Z0-9_-]{1,64}`.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// The JSON schema of its input, an object schema.
    pub input_schema: Value,
}

/// Why a call did not work, in a sentence for the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolFailure(pub String);

/// The tools of one turn, in the order they were given.
#[derive(Clone, Default)]
pub struct Toolbox(Vec<Arc<dyn Tool>>);

// === impl Toolbox ===

impl Toolbox {
    /// Puts one more tool in.
    pub fn add(&mut self, tool: impl Tool) {
        self.0.push(Arc::new(tool));
    }

    /// How the model is told about all of them.
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.0.iter().map(|tool| tool.spec()).collect()
    }

    /// The tool of that name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        self.0.iter().find(|tool| tool.spec().name == name).cloned()
    }
}

impl std::fmt::Debug for Toolbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.specs().iter().map(|spec| spec.name.clone())).finish()
    }
}
