//! `vitracka doctor`: what a deployment needs, looked at one by one before it is needed. Each line says what
//! was found and, where something is wrong, what to do.

mod account;
mod deployment;

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use agentcore_runtime::core::settings::Settings;

use crate::output;
pub(crate) use account::LOG_IN;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    subject: String,
    outcome: Outcome,
}

/// What was found, as a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Pass(String),
    Fail(String),
    /// It could not be looked at, for the reason given.
    Skip(String),
}

// === impl Check ===

impl Check {
    fn new(subject: impl Into<String>, outcome: Outcome) -> Self {
        Self { subject: subject.into(), outcome }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verdict, sentence) = match &self.outcome {
            Outcome::Pass(sentence) => ("pass", sentence),
            Outcome::Fail(sentence) => ("FAIL", sentence),
            Outcome::Skip(sentence) => ("skip", sentence),
        };
        write!(formatter, "{verdict}  {:<26}  {sentence}", self.subject)
    }
}

/// Looks at everything, and fails when anything is wrong.
pub(crate) async fn run(configuration: &Path) -> io::Result<ExitCode> {
    let mut checks = Vec::new();
    match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => checks.extend(account::checks(&settings).await),
        Err(error) => checks.push(Check::new("settings", Outcome::Fail(error.to_string()))),
    }
    checks.extend(deployment::checks(configuration));
    for check in &checks {
        output::line(&check.to_string())?;
    }
    let fails = |check: &&Check| matches!(check.outcome, Outcome::Fail(_));
    Ok(if checks.iter().any(|check| fails(&check)) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
