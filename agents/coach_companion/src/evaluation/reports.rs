//! What a language model reported of labelled messages when it was asked what the second reader is asked
//! ([`second_reader`](crate::sentinel::second_reader)). Recorded in `evaluation/reports/`, so that how good both layers
//! are together can be told without a model.
//!
//! ```text
//! ## self_harm low_mood
//! one message a line
//!
//! ## nothing
//! please pass the salt
//! ```
//!
//! A heading has the labels that the model reported of each line below it, or [`NOTHING`].

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use agentcore_runtime::core::message::ToolSpec;
use agentcore_runtime::prelude::{Heard, SecondOpinion};
use serde_json::{Value, json};

use super::cases::CasesError;
use crate::sentinel::second_reader::{labels, question};

/// The heading of messages of which no label was reported.
pub const NOTHING: &str = "nothing";

/// What was reported, by message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports(HashMap<String, Vec<String>>);

// === impl Reports ===

impl Reports {
    /// The reports of one file.
    ///
    /// # Errors
    /// When it cannot be read, a heading names what is no label, a message stands before the first heading, or one has two
    /// reports.
    pub fn read(path: &Path) -> Result<Self, CasesError> {
        let text =
            fs::read_to_string(path).map_err(|reason| CasesError::Unreadable { path: path.to_owned(), reason })?;
        let mut reports = Self::default();
        let mut heading: Option<Vec<String>> = None;
        for (number, line) in text.lines().map(str::trim).enumerate() {
            let invalid = |problem: String| CasesError::Invalid { path: path.to_owned(), line: number + 1, problem };
            if let Some(label) = line.strip_prefix("## ") {
                heading = Some(labels_of(label).map_err(invalid)?);
            } else if !line.is_empty() && !line.starts_with("# ") {
                let labels = heading.clone();
                let labels =
                    labels.ok_or_else(|| invalid("a message stands before the first `## ` heading".to_owned()))?;
                if reports.0.insert(line.to_owned(), labels).is_some() {
                    return Err(invalid("this message has another report above".to_owned()));
                }
            }
        }
        Ok(reports)
    }

    /// What the model wrote into the form of a message; none where it was not asked about it.
    pub fn of(&self, message: &str) -> Option<Value> {
        self.0.get(message).map(|found| json!({ "found": found }))
    }

    /// The messages that it was asked about, in no order.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The labels that a heading has.
fn labels_of(heading: &str) -> Result<Vec<String>, String> {
    if heading.trim() == NOTHING {
        return Ok(Vec::new());
    }
    let told: Vec<&str> = heading.split_whitespace().collect();
    match told.iter().find(|told| labels().all(|label| label != **told)) {
        Some(other) => {
            Err(format!("{other:?} is no label of data/second_reader.toml; without any it is `## {NOTHING}`"))
        }
        None => Ok(told.into_iter().map(str::to_owned).collect()),
    }
}

/// Everything that the model is shown, with no message in it. What was reported in answer to other words says nothing of
/// these.
pub fn asked() -> String {
    let SecondOpinion { instruction, question, form } = question(&Heard { text: "", history: &[] });
    let ToolSpec { name, description, input_schema } = form;
    [instruction, question, name, description, input_schema.to_string()].join("\n\n") + "\n"
}
