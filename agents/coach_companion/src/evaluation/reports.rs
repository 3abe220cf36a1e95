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

use agentcore_runtime::prelude::Heard;
use serde_json::{Value, json};

use super::cases::CasesError;
use crate::sentinel::second_reader::question;

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
    /// When it cannot be read, a message stands before the first heading, or one has two reports.
    pub fn read(path: &Path) -> Result<Self, CasesError> {
        let text =
            fs::read_to_string(path).map_err(|reason| CasesError::Unreadable { path: path.to_owned(), reason })?;
        let mut reports = Self::default();
        let mut heading: Option<Vec<String>> = None;
        for (number, line) in text.lines().map(str::trim).enumerate() {
            let invalid = |problem: &str| CasesError::Invalid {
                path: path.to_owned(),
                line: number + 1,
                problem: problem.to_owned(),
            };
            if let Some(labels) = line.strip_prefix("## ") {
                let labels = labels.split_whitespace().filter(|label| *label != NOTHING);
                heading = Some(labels.map(str::to_owned).collect());
            } else if !line.is_empty() && !line.starts_with("# ") {
                let labels =
                    heading.clone().ok_or_else(|| invalid("a message stands before the first `## ` heading"))?;
                if reports.0.insert(line.to_owned(), labels).is_some() {
                    return Err(invalid("this message has another report above"));
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

/// Everything that the model is shown beside the message. What was reported in answer to other words says nothing of
/// these.
pub fn asked() -> String {
    let asked = question(&Heard { text: "", history: &[] });
    format!("{}\n\n{}\n\n{}\n", asked.instruction, asked.form.description, asked.form.input_schema)
}
