//! A tool made of an async function over a struct.
//!
//! The struct is what the model is told: its name in snake case is the tool's, its doc comment the
//! description, its fields and theirs the schema. Arguments that do not fit it are answered to the model
//! with the place and the reason, and the function is not called.
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
use serde::de::DeserializeOwned;
use serde_json::Value;

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

/// How a model is told about a type: its name in snake case, its doc comment and its schema.
pub fn spec_of<I: JsonSchema>() -> ToolSpec {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<I>().to_value();
    let mut taken = |member: &str| match schema.as_object_mut().and_then(|schema| schema.shift_remove(member)) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (title, description) = (taken("title"), taken("description"));
    ToolSpec { name: snake_case(&title), description, input_schema: schema }
}

/// Reads what a model wrote as `I`; what does not fit is told by its place.
///
/// # Errors
/// When it does not fit: a sentence for the model.
pub fn read<I: DeserializeOwned>(input: Value) -> Result<I, String> {
    serde_path_to_error::deserialize(input).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { String::new() } else { format!(" at `{place}`") };
        format!("The arguments do not fit the schema{place}: {}.", error.inner())
    })
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
        let spec = spec_of::<I>();
        match &self.name {
            Some(name) => ToolSpec { name: name.clone(), ..spec },
            None => spec,
        }
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
    }
}
