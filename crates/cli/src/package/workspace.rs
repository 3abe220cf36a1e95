//! What there is to package: the agents of the workspace around the current folder.
//!
//! An agent is a workspace member that depends on `agentcore-runtime` and has a binary of its own name,
//! wherever it lies. A member that fits and is no agent says so in its `Cargo.toml`:
//!
//! ```toml
//! [package.metadata.vitracka]
//! package = false
//! ```

use std::path::PathBuf;

use cargo_metadata::{MetadataCommand, Package};

/// The crate that makes a program an agent.
const RUNTIME: &str = "agentcore-runtime";

/// Why there is nothing to package.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    #[error("the workspace cannot be read ({0}); run this in the folder of a Cargo workspace")]
    Unreadable(#[source] cargo_metadata::Error),
    #[error(
        "there is no agent in {0}; an agent is a member that depends on {RUNTIME} and has a binary of its own name"
    )]
    NoAgents(PathBuf),
    #[error("{name} is not an agent of this workspace; there are {}", .agents.join(", "))]
    UnknownAgent { name: String, agents: Vec<String> },
    #[error("{agent} has no feature {name}; its Cargo.toml has {}", .features.join(", "))]
    UnknownFeature { agent: String, name: String, features: Vec<String> },
}

/// A workspace with at least one agent.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) root: PathBuf,
    /// Cargo's own target directory, as the developer has set it.
    pub(super) target: PathBuf,
    agents: Vec<Agent>,
}

/// A member that is an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: Option<String>,
    pub(super) license: Option<String>,
    pub(super) repository: Option<String>,
    features: Vec<String>,
}

// === impl Workspace ===

impl Workspace {
    /// Asks cargo.
    pub(super) fn read() -> Result<Self, WorkspaceError> {
        let metadata = MetadataCommand::new().no_deps().exec().map_err(WorkspaceError::Unreadable)?;
        let mut agents: Vec<_> = metadata.packages.iter().filter(|package| is_agent(package)).map(Agent::of).collect();
        agents.sort_by(|one, other| one.name.cmp(&other.name));
        let root = metadata.workspace_root.into_std_path_buf();
        if agents.is_empty() {
            return Err(WorkspaceError::NoAgents(root));
        }
        Ok(Self { root, target: metadata.target_directory.into_std_path_buf(), agents })
    }

    /// The agents of these names, all when none is named, if they have those features.
    pub(super) fn choose(&self, names: &[String], features: &[String]) -> Result<Vec<&Agent>, WorkspaceError> {
        if let Some(name) = names.iter().find(|name| self.agents.iter().all(|agent| agent.name != **name)) {
            let agents = self.agents.iter().map(|agent| agent.name.clone()).collect();
            return Err(WorkspaceError::UnknownAgent { name: name.clone(), agents });
        }
        let chosen = self.agents.iter().filter(|agent| names.is_empty() || names.contains(&agent.name));
        chosen.map(|agent| agent.with(features)).collect()
    }
}

// === impl Agent ===

impl Agent {
    fn of(package: &Package) -> Self {
        Self {
            name: package.name.to_string(),
            version: package.version.to_string(),
            description: package.description.clone(),
            license: package.license.clone(),
            repository: package.repository.clone(),
            features: package.features.keys().cloned().collect(),
        }
    }

    fn with(&self, features: &[String]) -> Result<&Self, WorkspaceError> {
        let unknown = features.iter().find(|name| !self.features.contains(name));
        unknown.map_or(Ok(self), |name| {
            let features = self.features.clone();
            Err(WorkspaceError::UnknownFeature { agent: self.name.clone(), name: name.clone(), features })
        })
    }
}

fn is_agent(package: &Package) -> bool {
    let named_so = package.targets.iter().any(|target| target.is_bin() && target.name == package.name.as_str());
    let depends = package.dependencies.iter().any(|dependency| dependency.name == RUNTIME);
    named_so && depends && package.metadata["vitracka"]["package"].as_bool() != Some(false)
}
