//! Shipping: what lies in `deploy/`, `.bedrock_agentcore.yaml` and `.github/`, put through the tools that will
//! read it. AWS's own are pointed at a cloud of somebody else's on this machine; nothing is sent to AWS.

mod observability;
mod pipeline;
mod templates;
mod toolkit;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::foreign::{Script, ministack, python_script, repository};
use crate::local_aws::START;
use crate::process::{Process, free_port};

/// Longest run of a tool, its interpreter's start on a busy machine included.
const RUN: Duration = Duration::from_mins(2);

const AGENTS: [&str; 2] = ["coach_companion", "test_agent"];

/// An account with nothing in it.
struct Account {
    endpoint: String,
    operator: Script,
    _process: Process,
}

impl Account {
    fn open() -> Self {
        let port = free_port();
        let mut process = Process::start("ministack", ministack(port));
        process.wait_for_port(port, START);
        let endpoint = format!("http://127.0.0.1:{port}");
        let operator = Script::start("boto3", python_script("deployed.py"), &endpoint);
        Self { endpoint, operator, _process: process }
    }

    fn look(&mut self) -> Value {
        self.operator.order(json!({ "do": "look" }))
    }
}

/// The files of `deploy/` that AWS reads.
fn templates() -> Vec<PathBuf> {
    let files = std::fs::read_dir(repository().join("deploy")).expect("the folder is there");
    let files = files.map(|entry| entry.expect("the folder can be read").path());
    let mut files = files.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect::<Vec<_>>();
    files.sort();
    files
}

/// Runs a tool to its end, and gives what it printed; panics with all of it unless it succeeded.
fn run(name: &str, command: Command) -> String {
    let (status, stdout, stderr) = Process::start(name, command).wait(RUN);
    assert!(status.success(), "{name}: {status}\n{stdout}{stderr}");
    stdout
}

/// Runs a script that prints one JSON value.
fn run_for_json(name: &str, command: Command) -> Value {
    let printed = run(name, command);
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{name}: {error}: {printed}"))
}
