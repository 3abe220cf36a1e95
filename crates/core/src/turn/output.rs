//! An answer that must be a Rust type.
//!
//! Models keep to a schema best when it is a tool's: so the type becomes a tool that the model has to
//! call, and its arguments are the answer. What does not fit goes back to the model with the reason. What fits is words
//! that leave like any other answer's: the guards look at them first.

use std::collections::HashSet;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::guard::outgoing::Outgoing;
use crate::guard::{Guard, Safety};
use crate::message::ToolSpec;
use crate::tool::is_tool_name;
use crate::tool::typed::{JsonSchema, read, spec_of, unwrapped};

/// How often a model may try before the turn fails.
pub(super) const OUTPUT_ATTEMPTS: u32 = 3;

/// The name of the tool where the type's own is none for a tool.
const ANSWER: &str = "answer";

/// What an answer must be.
#[derive(Clone)]
pub(super) struct OutputContract {
    pub(super) spec: ToolSpec,
    read: Arc<ReadOutput>,
}

/// The value itself, of what a model gave as the tool's arguments; or why it is none.
type ReadOutput = dyn Fn(&Value) -> Result<Value, String> + Send + Sync;

/// What became of what the model gave.
pub(super) enum Given {
    /// It is what must be returned.
    Output(Value, Safety),
    /// A guard says something else instead.
    Withheld(String, Safety),
    /// It is not what must be returned; why, in a sentence for the model.
    Misfit(String),
}

// === impl OutputContract ===

impl OutputContract {
    pub(super) fn of<T: DeserializeOwned + JsonSchema + 'static>() -> Self {
        let mut spec = spec_of::<T>();
        spec.description = match spec.description.trim() {
            "" => "Gives the answer.".to_owned(),
            described => described.to_owned(),
        };
        if !is_tool_name(&spec.name) {
            ANSWER.clone_into(&mut spec.name);
        }
        Self { spec, read: Arc::new(|input| read::<T>(input.clone()).map(|_| unwrapped::<T>(input.clone()))) }
    }

    /// The same under a name that none of `tools` has.
    pub(super) fn beside(mut self, tools: &[ToolSpec]) -> Self {
        let is_taken = |name: &str| tools.iter().any(|tool| tool.name == name);
        if is_taken(&self.spec.name) {
            let mut names = (1..).map(|number| if number == 1 { ANSWER.into() } else { format!("{ANSWER}_{number}") });
            self.spec.name = names.find(|name| !is_taken(name)).unwrap_or(self.spec.name);
        }
        self
    }

    /// Whether `input` is what must be returned, and what `guards` leave of it; `before` is what they found in the turn
    /// so far.
    pub(super) fn take(&self, input: &Value, guards: &[Arc<dyn Guard>], before: &Safety) -> Given {
        let mut outgoing = Outgoing::new(guards, before.clone());
        let given = match (self.read)(input) {
            Ok(output) if !outgoing.is_watched() => return Given::Output(output, Safety::default()),
            Ok(output) => output,
            Err(reason) => return Given::Misfit(reason),
        };
        let mut names = HashSet::new();
        collect_names(&self.spec.input_schema, &mut names);
        let reviewed = match outgoing.value(input.clone(), &names) {
            Ok(reviewed) => reviewed,
            Err(instead) => return Given::Withheld(instead, outgoing.safety()),
        };
        if reviewed == *input {
            return Given::Output(given, outgoing.safety());
        }
        match (self.read)(&reviewed) {
            Ok(output) => Given::Output(output, outgoing.safety()),
            Err(reason) => Given::Misfit(format!("Some of these words must not be said, and without them: {reason}")),
        }
    }
}

/// The names that a schema gives to members, wherever in it: they are the agent's words, not the model's.
fn collect_names<'a>(schema: &'a Value, names: &mut HashSet<&'a str>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().map(String::as_str));
            }
            members.values().for_each(|member| collect_names(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}

impl std::fmt::Debug for OutputContract {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("OutputContract").field(&self.spec.name).finish()
    }
}
