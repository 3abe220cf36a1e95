//! A server's tool as an agent's own.

use std::sync::Arc;
use std::time::Duration;

use agentcore_core::tool::{Tool, ToolCall, ToolFailure, ToolOutput, ToolSpec};
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::time::timeout;

use crate::connection::CallError;
use crate::link::Link;
use crate::name::Namespace;

/// What the loop waits longer than we do, so that the model reads our words about a tool that takes too long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is known of a tool.
#[derive(Debug)]
pub(crate) struct Card {
    /// The server's name for it.
    name: String,
    spec: ToolSpec,
}

/// A tool that is called over a link.
pub(crate) struct McpTool {
    link: Arc<Link>,
    card: Arc<Card>,
}

// === impl Card ===

impl Card {
    /// The tools a server lists, under names a model may use.
    pub(crate) fn all(namespace: &Namespace, tools: Vec<rmcp::model::Tool>) -> Vec<Arc<Self>> {
        let names = namespace.names(tools.iter().map(|tool| tool.name.as_ref()));
        let pairs = names.into_iter().zip(tools);
        pairs.filter_map(|(name, tool)| Some(Arc::new(Self::new(name?, tool)))).collect()
    }

    fn new(name: String, tool: rmcp::model::Tool) -> Self {
        let words = [tool.description.as_deref(), tool.title.as_deref(), Some(&tool.name)];
        // Converse refuses a blank description, and a server may have nothing but blanks to say.
        let description =
            words.into_iter().flatten().find(|words| !words.trim().is_empty()).unwrap_or(&name).to_owned();
        let mut schema = Arc::unwrap_or_clone(tool.input_schema);
        // And a schema that does not say it is an object's.
        schema.entry("type").or_insert_with(|| "object".into());
        let spec = ToolSpec { name, description, input_schema: Value::Object(schema) };
        Self { name: tool.name.into_owned(), spec }
    }
}

// === impl McpTool ===

impl McpTool {
    pub(crate) fn new(link: Arc<Link>, card: Arc<Card>) -> Self {
        Self { link, card }
    }

    async fn call_over_link(&self, call: &ToolCall) -> Result<ToolOutput, ToolFailure> {
        // Once more, because a connection that was fine a moment ago may be gone when it is used.
        for _ in 0..2 {
            let Some(connection) = self.link.connection().await else {
                break;
            };
            match connection.call(&self.card.name, call).await {
                Ok(output) => return Ok(output),
                Err(CallError::Failed(failure)) => return Err(failure),
                Err(CallError::NotSent) => self.link.lost(&connection),
                Err(CallError::Lost) => {
                    self.link.lost(&connection);
                    return Err(ToolFailure::failed(format!(
                        "The connection to the server of {} broke off during the call. It may have done its work.",
                        self.card.spec.name
                    )));
                }
            }
        }
        let name = &self.card.spec.name;
        Err(ToolFailure::failed(format!("The server of {name} cannot be reached now. Go on without it.")))
    }
}

impl Tool for McpTool {
    fn spec(&self) -> ToolSpec {
        self.card.spec.clone()
    }

    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        Box::pin(async move {
            let patience = self.link.timeouts().call;
            match timeout(patience, self.call_over_link(&call)).await {
                Ok(result) => result,
                Err(_) => Err(ToolFailure::failed(format!(
                    "{} did not answer within {} s and was told to stop.",
                    self.card.spec.name,
                    patience.as_secs_f64()
                ))),
            }
        })
    }

    fn timeout(&self) -> Duration {
        self.link.timeouts().call + LAST_WORDS
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model;
    use serde_json::json;

    use super::{Card, Namespace};

    /// Given tools that say little of themselves or nothing, then the model is told something, as Converse wants it.
    #[test]
    fn no_tool_is_without_a_description() {
        let tools = json!([
            { "name": "a", "title": "Adds", "inputSchema": {} },
            { "name": "b", "title": " ", "description": "\t", "inputSchema": {} },
            { "name": " ", "inputSchema": {} },
            { "name": "", "inputSchema": {} },
        ]);
        let tools: Vec<model::Tool> = serde_json::from_value(tools).expect("tools");
        let cards = Card::all(&Namespace::parse("other").expect("a name"), tools);
        let described: Vec<_> = cards.iter().map(|card| card.spec.description.as_str()).collect();
        assert_eq!(described[..2], ["Adds", "b"]);
        assert_eq!(described.len(), 4);
        assert!(described[2..].iter().all(|words| words.starts_with("other_")), "{described:?}");
    }
}
