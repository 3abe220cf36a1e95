//! A tool made of an async function over a struct.
//!
//! The struct is what the model is told: its name in snake case is the tool's, its doc comment the
//! description, its fields and theirs the schema. Arguments that do not fit it are answered to the model
//! with the place and the reason, and the function is not called. That goes for the bounds of a schema as well, such
//! as `#[schemars(range(min = 1))]`, of which the type itself knows nothing.
//!
//! Bedrock takes objects only as arguments. A type that is something else, a list or an enum, is told as an object of
//! one member, `value`.
//!
//! ```
//! use agentcore_core::tool::typed::{JsonSchema, tool};
//! use agentcore_core::tool::{Tool as _, ToolCall, ToolFailure};
//! use serde::Deserialize;
//!
//! /// Looks up what 100 g of a food contain.
//! #[derive(Deserialize, JsonSchema)]
//! struct LookUpFood {
//!     /// The food, in plain words.
//!     food: String,
//! }
//!
//! async fn look_up_food(asked: LookUpFood, call: ToolCall) -> Result<String, ToolFailure> {
//!     call.progress(format!("looking up {}", asked.food));
//!     match asked.food.as_str() {
//!         "apple" => Ok("52 kcal".to_owned()),
//!         unknown => Err(ToolFailure::failed(format!("There is no entry for {unknown}."))),
//!     }
//! }
//!
//! assert_eq!(tool(look_up_food).spec().name, "look_up_food");
//! ```

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::BoxFuture;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::bounds::{self, Broken};
use super::{DEFAULT_TOOL_TIMEOUT, Tool, ToolCall, ToolFailure, ToolOutput, ToolSpec};

pub use schemars;
pub use schemars::JsonSchema;

/// A tool made of an async function.
pub struct TypedTool<F, I> {
    function: F,
    name: Option<String>,
    timeout: Duration,
    input: PhantomData<fn(I)>,
}

/// Makes a tool of an async function over a struct.
pub fn tool<F, I, R, O>(function: F) -> TypedTool<F, I>
where
    F: Fn(I, ToolCall) -> R + Send + Sync + 'static,
    I: DeserializeOwned + JsonSchema + Send + 'static,
    R: Future<Output = Result<O, ToolFailure>> + Send + 'static,
    O: Into<ToolOutput>,
{
    TypedTool { function, name: None, timeout: DEFAULT_TOOL_TIMEOUT, input: PhantomData }
}

/// A type whose schema is not plainly an object's, as an object.
#[derive(Deserialize, JsonSchema)]
struct Wrapped<T> {
    value: T,
}

/// How a model is told about a type: its name in snake case, its doc comment and its schema, in an object of one member
/// where it is not one itself. Without a doc comment the description is empty.
pub fn spec_of<I: JsonSchema>() -> ToolSpec {
    let mut schema = schema_of::<I>();
    let (title, description) = (take_text(&mut schema, "title"), take_text(&mut schema, "description"));
    if !is_object(&schema) {
        schema = schema_of::<Wrapped<I>>();
        let _ = (take_text(&mut schema, "title"), take_text(&mut schema, "description"));
    }
    ToolSpec { name: snake_case(&title), description, input_schema: schema }
}

/// Reads what a model wrote as `I`; what does not fit is told by its place.
///
/// # Errors
/// When it does not fit the type or its schema's bounds: a sentence for the model.
pub fn read<I: DeserializeOwned + JsonSchema>(input: Value) -> Result<I, String> {
    let schema = schema_of::<I>();
    if is_object(&schema) {
        return read_by(&schema, input);
    }
    read_by(&schema_of::<Wrapped<I>>(), input).map(|Wrapped { value }| value)
}

/// What a model wrote for `I`, without the object around it that [`spec_of`] may have told of.
pub(crate) fn unwrapped<I: JsonSchema>(mut input: Value) -> Value {
    if is_object(&schema_of::<I>()) { input } else { input["value"].take() }
}

fn read_by<T: DeserializeOwned>(schema: &Value, input: Value) -> Result<T, String> {
    // The type's own words about what is wrong are the better ones.
    let out_of_bounds = bounds::broken(schema, &input);
    let read = serde_path_to_error::deserialize(input).map_err(|error| {
        let place = error.path().to_string();
        misfit(if place == "." { "" } else { &place }, error.inner())
    })?;
    match out_of_bounds {
        Some(Broken { place, reason }) => Err(misfit(&place, reason)),
        None => Ok(read),
    }
}

fn misfit(place: &str, reason: impl std::fmt::Display) -> String {
    let place = if place.is_empty() { String::new() } else { format!(" at `{place}`") };
    format!("The arguments do not fit the schema{place}: {reason}.")
}

/// The JSON schema of a type, whole: types within it are written where they are used.
pub fn schema_of<I: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<I>().to_value()
}

fn take_text(schema: &mut Value, member: &str) -> String {
    match schema.as_object_mut().and_then(|schema| schema.shift_remove(member)) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// Whether a schema is plainly an object's. Claude takes no choice between several at the root.
fn is_object(schema: &Value) -> bool {
    let chooses = ["oneOf", "anyOf", "allOf"].into_iter().any(|choice| schema.get(choice).is_some());
    schema.get("type").and_then(Value::as_str) == Some("object") && !chooses
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// A tool's name as a sentence.
fn sentence(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut letters = words.trim().chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    format!("{}.", first.chain(letters).collect::<String>())
}

// === impl TypedTool ===

impl<F, I> TypedTool<F, I> {
    /// Another name than the type's.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long a call may take; [`DEFAULT_TOOL_TIMEOUT`] when not said.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<F, I, R, O> Tool for TypedTool<F, I>
where
    F: Fn(I, ToolCall) -> R + Send + Sync + 'static,
    I: DeserializeOwned + JsonSchema + Send + 'static,
    R: Future<Output = Result<O, ToolFailure>> + Send + 'static,
    O: Into<ToolOutput>,
{
    fn spec(&self) -> ToolSpec {
        let mut spec = spec_of::<I>();
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        // Converse refuses a blank description; of a type that says nothing of itself there is the name to tell.
        if spec.description.trim().is_empty() {
            spec.description = sentence(&spec.name);
        }
        spec
    }

    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        Box::pin(async move {
            let input = read::<I>(call.input.clone()).map_err(ToolFailure::InvalidInput)?;
            (self.function)(input, call).await.map(Into::into)
        })
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_name_becomes_the_tools() {
        assert_eq!(snake_case("LookUpFood"), "look_up_food");
        assert_eq!(snake_case("weigh"), "weigh");
        assert_eq!(snake_case("look_up"), "look_up");
        assert_eq!(snake_case("Array_of_Meal"), "array_of_meal");
        assert_eq!(sentence("look_up-food"), "Look up food.");
    }
}
