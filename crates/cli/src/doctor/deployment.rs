//! The configuration of AWS's toolkit, `.bedrock_agentcore.yaml`, and what it points to. The toolkit ignores
//! what it does not know and has defaults that do not fit, so what it would take without a word is told here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use agentcore_local::AgentName;
use agentcore_runtime::core::model::residency::{Region, Residency};
use serde::Deserialize;

use super::{Check, Outcome};
use crate::package::program::Program;
use crate::package::size::IMAGE_LIMIT;

/// How long this system remembers.
const RETENTION_DAYS: u32 = 30;

/// The managed runtimes that the toolkit knows. Source: its version 0.3.14.
const RUNTIMES: [&str; 4] = ["PYTHON_3_10", "PYTHON_3_11", "PYTHON_3_12", "PYTHON_3_13"];

/// The file, as far as it decides whether a deployment works.
#[derive(Debug, Deserialize)]
struct Configuration {
    default_agent: Option<String>,
    #[serde(default)]
    agents: BTreeMap<String, Agent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Agent {
    deployment_type: Option<String>,
    runtime_type: Option<String>,
    platform: Option<String>,
    source_path: Option<String>,
    entrypoint: Option<String>,
    aws: Option<Account>,
    memory: Option<Memory>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Account {
    region: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    mode: Option<String>,
    event_expiry_days: Option<u32>,
}

pub(super) fn checks(path: &Path) -> Vec<Check> {
    let subject = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let configuration = match read(path) {
        Ok(configuration) => configuration,
        Err(sentence) => return vec![Check::new(subject, Outcome::Fail(sentence))],
    };
    // A file without a folder lies in this one.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut wrong = configuration.problems();
    let mut checks = Vec::new();
    for (name, agent) in &configuration.agents {
        wrong.extend(agent.problems(name));
        checks.push(Check::new(format!("package of {name}"), agent.package(name, folder)));
    }
    let outcome = if wrong.is_empty() {
        Outcome::Pass(configuration.agents.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
    } else {
        Outcome::Fail(wrong.join("; "))
    };
    checks.insert(0, Check::new(subject, outcome));
    checks
}

fn read(path: &Path) -> Result<Configuration, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot be read: {error}; run this where it lies, or name it with --config"))?;
    serde_saphyr::from_str(&text).map_err(|error| format!("is not what AWS's toolkit reads: {error}"))
}

// === impl Configuration ===

impl Configuration {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.agents.is_empty() {
            problems.push("it has no `agents`".to_owned());
        }
        if let Some(name) = self.default_agent.as_ref().filter(|name| !self.agents.contains_key(*name)) {
            problems.push(format!("default_agent is {name}, which is not one of its agents"));
        }
        problems
    }
}

// === impl Agent ===

impl Agent {
    fn problems(&self, name: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut add = |problem: String| problems.push(format!("{name}: {problem}"));
        if let Err(error) = name.parse::<AgentName>() {
            add(error.to_string());
        }
        let is =
            |member: &Option<String>, allowed: &[&str]| member.as_deref().is_some_and(|value| allowed.contains(&value));
        if !is(&self.platform, &["linux/arm64"]) {
            add("platform must be linux/arm64; the toolkit would take linux/amd64".to_owned());
        }
        if !is(&self.deployment_type, &["direct_code_deploy", "container"]) {
            add("deployment_type must be direct_code_deploy or container".to_owned());
        }
        if self.is_direct() && !is(&self.runtime_type, &RUNTIMES) {
            add(format!("runtime_type must be one of {}", RUNTIMES.join(", ")));
        }
        match self.aws.as_ref().and_then(|aws| aws.region.as_deref()) {
            None => add("aws.region is not set".to_owned()),
            Some(region) => {
                if Region::parse(region, residency()).is_err() {
                    add(format!("aws.region is {region}, outside the EU; DATA_RESIDENCY=any allows it on purpose"));
                }
            }
        }
        let memory = self.memory.as_ref();
        if !memory.is_some_and(|memory| is(&memory.mode, &["STM_ONLY", "STM_AND_LTM"])) {
            add("memory.mode must be STM_ONLY, or the agent forgets with each session's process".to_owned());
        }
        if let Some(days) = memory.and_then(|memory| memory.event_expiry_days).filter(|&days| days != RETENTION_DAYS) {
            add(format!("memory.event_expiry_days is {days}; what is promised to users is {RETENTION_DAYS}"));
        }
        problems
    }

    fn is_direct(&self) -> bool {
        self.deployment_type.as_deref() == Some("direct_code_deploy")
    }

    /// What lies where the configuration points to.
    fn package(&self, name: &str, folder: &Path) -> Outcome {
        let Some(source) = self.source_path.as_deref().map(|source| folder.join(source)) else {
            return Outcome::Fail("source_path is not set; the toolkit would upload this whole folder".to_owned());
        };
        let remedy = format!("run `vitracka package {name}`");
        let Ok(source) = source.canonicalize() else {
            return Outcome::Fail(format!("{} is not there; {remedy}", source.display()));
        };
        if folder.canonicalize().is_ok_and(|folder| folder.starts_with(&source)) {
            return Outcome::Fail(format!("source_path is {}, all of which would be uploaded", source.display()));
        }
        let launcher = folder.join(self.entrypoint.as_deref().unwrap_or_default());
        if !launcher.is_file() {
            return Outcome::Fail(format!("the entrypoint {} is not there; {remedy}", launcher.display()));
        }
        match Program::read(&source.join(name), IMAGE_LIMIT) {
            Ok(program) => Outcome::Pass(format!("{}, aarch64, static, stripped", program.size())),
            Err(error) => Outcome::Fail(format!("{error}; {remedy}")),
        }
    }
}

fn residency() -> Residency {
    std::env::var("DATA_RESIDENCY").ok().and_then(|value| Residency::parse(&value).ok()).unwrap_or_default()
}
