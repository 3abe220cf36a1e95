//! One of several agents answers, and the model says which.

use std::sync::Arc;

use serde_json::{Value, json};

use super::TurnRequest;
use crate::history::CompleteTurn;
use crate::message::ToolSpec;
use crate::message::{ContentBlock, Message, Role};
use crate::model::{ModelAnswer, ModelParameters, ModelRequest, ModelSize, ToolChoice};

/// The tool by which the model says who answers.
const ROUTE: &str = "route";

/// What the model is told when it chooses.
const INSTRUCTION: &str = "You hand the user's last message to the one who answers it best. Call the tool `route` with \
                           that one's name. Do nothing that the message asks for.";

/// The longest choice, in tokens.
const CHOICE_TOKENS: u32 = 100;

/// One who may answer.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) name: String,
    /// What it is good at, for the model that chooses.
    pub(crate) description: String,
    pub(crate) request: TurnRequest,
}

/// What the model is asked, to choose.
pub(super) fn question(routes: &[Route], content: &[ContentBlock], history: &[Arc<CompleteTurn>]) -> ModelRequest {
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    let described: Vec<String> = routes.iter().map(|route| format!("{}: {}", route.name, route.description)).collect();
    let choose = ToolSpec {
        name: ROUTE.to_owned(),
        description: format!("Says who answers. The choice is between\n{}", described.join("\n")),
        input_schema: json!({
            "type": "object",
            "properties": { "name": { "type": "string", "enum": names } },
            "required": ["name"],
        }),
    };
    ModelRequest {
        system: INSTRUCTION.to_owned(),
        history: history.to_vec(),
        messages: vec![Message { role: Role::User, content: content.to_vec() }],
        parameters: ModelParameters { max_tokens: CHOICE_TOKENS, temperature: Some(0.0), stop_sequences: Vec::new() },
        tools: Arc::new([choose]),
        tool_choice: ToolChoice::Tool(ROUTE.to_owned()),
        size: ModelSize::Small,
    }
}

/// The place of the route the model chose; the first where it chose none there is.
pub(super) fn chosen(routes: &[Route], answer: &ModelAnswer) -> usize {
    let call = answer.message.tool_uses().find(|call| call.name == ROUTE);
    let name = call.and_then(|call| call.input.get("name")).and_then(Value::as_str);
    routes.iter().position(|route| Some(route.name.as_str()) == name).unwrap_or(0)
}
