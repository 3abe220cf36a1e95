//! Labelled messages: the line format of `evaluation/`, which clinicians write and both the training of the
//! classifier and the evaluation read.
//!
//! ```text
//! ## self_harm crisis subtle
//! one message a line
//! ```
//!
//! A heading says what the sentinel should decide about each line below it: the kind, or `none`; the severity; and the
//! group, by which the report sorts. Blank lines and lines that begin with `# ` say nothing.

use std::fs;
use std::path::{Path, PathBuf};

use agentcore_runtime::prelude::Severity;

use crate::sentinel::kind::Kind;

/// A labelled message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What somebody wrote.
    pub says: String,
    /// What should be found: a kind and how grave; none where nothing should.
    pub expected: Option<(Kind, Severity)>,
    /// What sort of case it is: `crisis`, `plain`, `subtle`, `ambiguous`, `look_alike`, `benign`.
    pub group: String,
    /// The file it is from, as seen from the folder that was read, without its ending.
    pub file: String,
}

/// Why cases cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// A folder or file cannot be read.
    #[error("{} cannot be read: {reason}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// A line makes no sense.
    #[error("{}, line {line}: {problem}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what it should be.
        problem: String,
    },
}

/// The cases of the `.txt` files of a folder and of the folders in it, by file name.
///
/// # Errors
/// When a file cannot be read, or a line makes no sense.
pub fn read_folder(folder: &Path) -> Result<Vec<Case>, CasesError> {
    let mut cases = Vec::new();
    for path in files_in(folder)? {
        let unreadable = |reason| CasesError::Unreadable { path: path.clone(), reason };
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        let file = path.strip_prefix(folder).unwrap_or(&path).with_extension("").display().to_string();
        cases.extend(read(&path, &file, &text)?);
    }
    Ok(cases)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, CasesError> {
    let unreadable = |reason| CasesError::Unreadable { path: folder.to_owned(), reason };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The cases of one file's text; `file` is what they call it.
fn read(path: &Path, file: &str, text: &str) -> Result<Vec<Case>, CasesError> {
    let mut heading = None;
    let mut cases = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let invalid = |problem: String| CasesError::Invalid { path: path.to_owned(), line: number + 1, problem };
        if let Some(label) = line.strip_prefix("## ") {
            heading = Some(expected(label).map_err(invalid)?);
        } else if !line.trim().is_empty() && !line.starts_with("# ") {
            let (expected, group) =
                heading.clone().ok_or_else(|| invalid("a message stands before the first `## ` heading".to_owned()))?;
            cases.push(Case { says: line.trim().to_owned(), expected, group, file: file.to_owned() });
        }
    }
    Ok(cases)
}

/// A heading's expectation and group.
type Expected = (Option<(Kind, Severity)>, String);

fn expected(label: &str) -> Result<Expected, String> {
    let [kind, severity, group] = label.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err("a heading is `## KIND SEVERITY GROUP`".to_owned());
    };
    if (kind, severity) == ("none", "none") {
        return Ok((None, group.to_owned()));
    }
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
    let severity = [Severity::Info, Severity::Elevated, Severity::Crisis].into_iter().find(|s| s.as_str() == severity);
    match (kind, severity) {
        (Some(kind), Some(severity)) => Ok((Some((kind, severity)), group.to_owned())),
        (None, _) => Err(format!("the kind must be `none` or one of {}", Kind::ALL.map(Kind::as_str).join(", "))),
        (_, None) => Err("the severity must be `none`, `info`, `elevated` or `crisis`".to_owned()),
    }
}
