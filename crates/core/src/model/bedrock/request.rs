//! What is asked, in Converse's JSON. It borrows: a history is written once, from where the session keeps it.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::cache::CachePlan;
use super::guardrail::Guardrail;
use crate::message::{ContentBlock, Message, Role, ToolSpec};
use crate::model::{ModelParameters, ModelRequest, ToolChoice};

/// What Converse and ConverseStream are sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asking<'a> {
    #[serde(flatten)]
    conversation: Conversation<'a>,
    inference_config: InferenceConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guardrail_config: Option<Guardrail<'a>>,
}

/// What CountTokens is sent.
#[derive(Serialize)]
pub(super) struct Counting<'a> {
    input: Counted<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Counted<'a> {
    Converse(Conversation<'a>),
}

/// What all three share.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Conversation<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<SystemBlock<'a>>,
    messages: Messages<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum SystemBlock<'a> {
    Text(&'a str),
    CachePoint(CachePoint),
}

/// All turns before this one, and this one's messages, with cache points behind two of them at most.
struct Messages<'a> {
    request: &'a ModelRequest,
    cached: [Option<usize>; 2],
}

#[derive(Serialize)]
struct AskedMessage<'a> {
    role: Role,
    content: Content<'a>,
}

struct Content<'a> {
    blocks: &'a [ContentBlock],
    is_cached: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'a> {
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Tool<'a> {
    ToolSpec { name: &'a str, description: &'a str, input_schema: InputSchema<'a> },
    CachePoint(CachePoint),
}

#[derive(Serialize)]
struct InputSchema<'a> {
    json: &'a Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Choice<'a> {
    Any {},
    Tool { name: &'a str },
}

/// A place up to which the prompt is worth keeping.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CachePoint {
    r#type: &'static str,
}

const CACHE_POINT: CachePoint = CachePoint { r#type: "default" };

// === impl Asking ===

impl<'a> Asking<'a> {
    pub(super) fn new(request: &'a ModelRequest, cache: &CachePlan, guardrail: Option<Guardrail<'a>>) -> Self {
        Self {
            conversation: Conversation::new(request, cache),
            inference_config: InferenceConfig::new(&request.parameters),
            guardrail_config: guardrail,
        }
    }
}

// === impl Counting ===

impl<'a> Counting<'a> {
    pub(super) fn new(request: &'a ModelRequest) -> Self {
        Self { input: Counted::Converse(Conversation::new(request, &CachePlan::none())) }
    }
}

// === impl Conversation ===

impl<'a> Conversation<'a> {
    fn new(request: &'a ModelRequest, cache: &CachePlan) -> Self {
        Self {
            system: system(&request.system, cache),
            messages: Messages { request, cached: cache.messages },
            tool_config: tools(request, cache),
        }
    }
}

fn system<'a>(prompt: &'a str, cache: &CachePlan) -> Vec<SystemBlock<'a>> {
    let text = (!prompt.is_empty()).then_some(SystemBlock::Text(prompt));
    let point = (text.is_some() && cache.system).then_some(SystemBlock::CachePoint(CACHE_POINT));
    text.into_iter().chain(point).collect()
}

fn tools<'a>(request: &'a ModelRequest, cache: &CachePlan) -> Option<ToolConfig<'a>> {
    if request.tools.is_empty() {
        return None;
    }
    let point = cache.tools.then_some(Tool::CachePoint(CACHE_POINT));
    let tools = request.tools.iter().map(Tool::of).chain(point).collect();
    Some(ToolConfig { tools, tool_choice: Choice::of(&request.tool_choice) })
}

// === impl Messages ===

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let earlier = self.request.history.iter().flat_map(|turn| turn.messages());
        let all = earlier.chain(&self.request.messages).enumerate();
        serializer
            .collect_seq(all.map(|(place, message)| AskedMessage::of(message, self.cached.contains(&Some(place)))))
    }
}

impl<'a> AskedMessage<'a> {
    fn of(message: &'a Message, is_cached: bool) -> Self {
        Self { role: message.role, content: Content { blocks: &message.content, is_cached } }
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Block<'a> {
            Said(&'a ContentBlock),
            Point {
                #[serde(rename = "cachePoint")]
                cache_point: CachePoint,
            },
        }
        let point = self.is_cached.then_some(Block::Point { cache_point: CACHE_POINT });
        serializer.collect_seq(self.blocks.iter().map(Block::Said).chain(point))
    }
}

// === impl InferenceConfig ===

impl<'a> InferenceConfig<'a> {
    /// Converse's count is a signed one of 32 bits.
    fn new(parameters: &'a ModelParameters) -> Self {
        Self {
            max_tokens: parameters.max_tokens.min(i32::MAX.unsigned_abs()),
            temperature: parameters.temperature,
            stop_sequences: &parameters.stop_sequences,
        }
    }
}

// === impl Tool ===

impl<'a> Tool<'a> {
    fn of(spec: &'a ToolSpec) -> Self {
        let input_schema = InputSchema { json: &spec.input_schema };
        Self::ToolSpec { name: &spec.name, description: &spec.description, input_schema }
    }
}

// === impl Choice ===

impl<'a> Choice<'a> {
    /// None where the model may choose: that is the default, and some models refuse to be told so.
    fn of(choice: &'a ToolChoice) -> Option<Self> {
        match choice {
            ToolChoice::Auto => None,
            ToolChoice::Any => Some(Self::Any {}),
            ToolChoice::Tool(name) => Some(Self::Tool { name }),
        }
    }
}
