//! The tools that a client has: told to the model as the agent's own are, and called by the client.
//!
//! A call cannot be answered in its run. So the tool asks, as one that needs a person does: the turn pauses, is stored,
//! and goes on when the next run brings the result as its reply, in another process if need be. What has asked and is
//! not offered any more can still be answered.

use std::sync::Arc;

use agentcore_core::tool::{Tool, ToolCall, ToolFailure, ToolOutput, ToolSource, ToolSpec};
use agentcore_core::turn::TurnRequest;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::failure::{Code, Failure};

/// The tools of a run's client, in the order it has sent them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ClientTools(Vec<ToolSpec>);

/// One of them.
struct ClientTool(ToolSpec);

/// What a client says of a call, as a reply carries it.
pub(super) enum Returned {
    /// It worked, and this is what came of it.
    Result(String),
    /// It did not, and this is why, with what came of it all the same.
    Failure { error: String, content: String },
}

// === impl ClientTools ===

impl ClientTools {
    /// One more.
    ///
    /// # Errors
    /// When the model cannot be told of it, with what is wrong and no word of the client's.
    pub(super) fn add(&mut self, name: String, description: String, parameters: Option<Value>) -> Result<(), Failure> {
        let place = self.0.len();
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
            return Err(refused(place, "name", "must have 1 to 64 of a-z, A-Z, 0-9, _ and -"));
        }
        if self.has(&name) {
            return Err(refused(place, "name", "is another tool's already; give each its own"));
        }
        let input_schema = schema(parameters)
            .ok_or_else(|| refused(place, "parameters", "must be the JSON schema of an object, or be left out"))?;
        // Bedrock refuses a blank description; of a tool that says nothing of itself there is the name to tell.
        let description = if description.trim().is_empty() { name.clone() } else { description };
        self.0.push(ToolSpec { name, description, input_schema });
        Ok(())
    }

    /// One that is not offered any more, and whose result is here.
    pub(super) fn add_gone(&mut self, name: String) {
        if !self.has(&name) {
            let description = "No longer there; do not call it.".to_owned();
            self.0.push(ToolSpec { name, description, input_schema: json!({ "type": "object" }) });
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|tool| tool.name == name)
    }

    /// Offers them to whoever answers in the turn, after the agent's own.
    ///
    /// # Errors
    /// When the agent has a tool of one's name.
    pub(super) fn offer(self, request: TurnRequest) -> Result<TurnRequest, Failure> {
        if self.0.is_empty() {
            return Ok(request);
        }
        let names: Vec<String> = self.0.iter().map(|tool| tool.name.clone()).collect();
        offered(request, &names, &(Arc::new(self) as Arc<dyn ToolSource>))
    }
}

/// As a source, so that the tools of the agent's own sources come before them.
impl ToolSource for ClientTools {
    fn tools(&self) -> BoxFuture<'_, Vec<Arc<dyn Tool>>> {
        let tools = self.0.iter().map(|spec| Arc::new(ClientTool(spec.clone())) as Arc<dyn Tool>).collect();
        Box::pin(std::future::ready(tools))
    }
}

fn offered(mut request: TurnRequest, names: &[String], source: &Arc<dyn ToolSource>) -> Result<TurnRequest, Failure> {
    if let Some(place) = names.iter().position(|name| request.toolbox().get(name).is_some()) {
        return Err(refused(place, "name", "is one of the agent's own tools'; give it another"));
    }
    let mut is_routed = false;
    for route in request.routes_mut() {
        is_routed = true;
        *route = offered(route.clone(), names, source)?;
    }
    Ok(if is_routed { request } else { request.tool_source(Arc::clone(source)) })
}

/// The schema of an object. AG-UI lets it be left out, and clients send an empty one for the same.
fn schema(parameters: Option<Value>) -> Option<Value> {
    let mut schema = match parameters {
        None | Some(Value::Null) => json!({}),
        Some(schema @ Value::Object(_)) => schema,
        Some(_) => return None,
    };
    match schema.get("type").map(Value::as_str) {
        Some(Some("object")) => Some(schema),
        Some(_) => None,
        None => {
            schema["type"] = "object".into();
            Some(schema)
        }
    }
}

fn refused(place: usize, member: &str, problem: &str) -> Failure {
    Failure::new(Code::InvalidPayload, format!("`tools[{place}].{member}` {problem}"))
}

// === impl ClientTool ===

impl Tool for ClientTool {
    fn spec(&self) -> ToolSpec {
        self.0.clone()
    }

    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        let result = match &call.reply {
            None => Err(call.ask("The client calls this tool.")),
            Some(reply) => match Returned::read(reply) {
                Returned::Result(content) => Ok(content.into()),
                Returned::Failure { error, content } if content.trim().is_empty() => Err(ToolFailure::failed(error)),
                Returned::Failure { error, content } => Err(ToolFailure::failed(format!("{error}\n{content}"))),
            },
        };
        Box::pin(std::future::ready(result))
    }
}

// === impl Returned ===

impl Returned {
    /// As a reply has it.
    pub(super) fn written(self) -> Value {
        match self {
            Self::Result(content) => content.into(),
            Self::Failure { error, content } => json!({ "error": error, "content": content }),
        }
    }

    /// In words, for a model that reads it outside of a tool's result.
    pub(super) fn words(self) -> String {
        match self {
            Self::Result(content) => content,
            Self::Failure { error, .. } => error,
        }
    }

    fn read(reply: &Value) -> Self {
        match (reply.as_str(), reply["error"].as_str()) {
            (None, Some(error)) => {
                let content = reply["content"].as_str().unwrap_or_default().to_owned();
                Self::Failure { error: error.to_owned(), content }
            }
            (Some(content), _) => Self::Result(content.to_owned()),
            // From whoever replied in another way than by a `tool` message.
            (None, None) => Self::Result(reply.to_string()),
        }
    }
}
