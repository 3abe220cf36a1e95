//! `vitracka dev` as a test has it: on a port of its own, with data of its own, gone with its test.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, signal};

/// The coach as production names it.
pub(crate) const COACH_ARN: &str =
    "arn:aws:bedrock-agentcore:eu-west-1:732231126129:runtime/coach_companion-0ZUOP04U5z";

/// What the line ends with that tells the address.
const ADDRESS: &str = "local AWS on http://127.0.0.1:";

/// Longest start of a local AWS or an agent, on a machine that is busy building.
pub(crate) const START: Duration = Duration::from_secs(30);

/// A running local AWS.
#[derive(Debug)]
pub(crate) struct LocalAws {
    process: Process,
    port: u16,
    /// Removed after the process that writes to it has ended: fields are dropped in their order.
    data: TempDir,
}

/// The `vitracka` command, with nothing of the developer's own configuration.
pub(crate) fn vitracka() -> Command {
    unconfigured(env!("CARGO_BIN_EXE_vitracka"))
}

/// A command with nothing of the developer's own configuration.
pub(crate) fn unconfigured(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours = ["AWS_", "AGENTCORE_", "OTEL_", "MODEL_"].iter().any(|prefix| name.starts_with(prefix))
            || ["SESSION_MEMORY", "BEDROCK_AGENTCORE_MEMORY_ID", "PORT", "HOST"].contains(&name.as_str());
        if ours || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
}

// === impl LocalAws ===

impl LocalAws {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_as(vitracka(), arguments)
    }

    /// Starts one as a command that has more than its arguments.
    pub(crate) fn start_as(command: Command, arguments: &[&str]) -> Self {
        Self::start_on(tempfile::tempdir().expect("a temporary folder"), command, arguments)
    }

    fn start_on(data: TempDir, mut command: Command, arguments: &[&str]) -> Self {
        // Elsewhere than the repository, so that nothing is found that happens to lie there.
        command.current_dir(data.path()).args(["dev", "--port", "0", "--data"]).arg(data.path()).args(arguments);
        let process = Process::start("vitracka dev", command);
        let line = process.wait_for(ADDRESS, START);
        let (_, address) = line.split_once(ADDRESS).expect("the line has it");
        let digits = address.split(|c: char| !c.is_ascii_digit()).next().expect("a split has a first part");
        let port = digits.parse().unwrap_or_else(|_| panic!("no port in `{line}`"));
        Self { process, port, data }
    }

    /// Ends it as Ctrl-C does, and starts another on the same data.
    pub(crate) fn restart(self) -> Self {
        let Self { process, data, .. } = self;
        signal("INT", process.id());
        let (status, _, said) = process.wait(START);
        assert!(status.success(), "{status}: {said}");
        Self::start_on(data, vitracka(), &[])
    }

    /// What it runs as.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where SDKs find it.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The processes of the agents' sessions. Each has a shell beside it that watches over its end, which
    /// is not one of them.
    pub(crate) fn sessions(&self) -> Vec<u32> {
        crate::process::children_of_program(self.process.id(), "vitracka")
    }
}
