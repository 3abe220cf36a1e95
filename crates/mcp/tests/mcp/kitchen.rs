//! The kitchen: a server on the official Python SDK, with a handful of tools (`tests/foreign/mcp_server.py`).

use std::path::PathBuf;
use std::process::Command;

use agentcore_core::agent::Secret;
use agentcore_mcp::{HttpServer, McpServer, StdioServer, Timeouts};
use tempfile::TempDir;

use crate::conversation::{SOON, patient};
use crate::process::{Process, free_port};
use crate::servers;

/// A kitchen that is reached one way or the other.
pub(crate) struct Kitchen {
    pub(crate) server: McpServer,
    journal: Journal,
    /// Where it is served over HTTP: what serves it, and ends with the test.
    process: Option<Process>,
    port: u16,
}

/// What the kitchen tells of what happens in it.
struct Journal(TempDir);

// === impl Kitchen ===

impl Kitchen {
    /// Both ways, by their names.
    pub(crate) fn both() -> [(&'static str, Self); 2] {
        [("stdio", Self::over_stdio()), ("http", Self::over_http())]
    }

    pub(crate) fn over_stdio() -> Self {
        Self::over_stdio_within(patient())
    }

    pub(crate) fn over_stdio_within(timeouts: Timeouts) -> Self {
        let (python, script) = servers::kitchen();
        let journal = Journal::new();
        let server = StdioServer::new(path(python))
            .arg("-B")
            .arg(path(script))
            .arg("stdio")
            .env("JOURNAL", Secret::new(path(journal.file())));
        let server = McpServer::with_timeouts("kitchen", server, timeouts);
        Self { server, journal, process: None, port: 0 }
    }

    pub(crate) fn over_http() -> Self {
        Self::behind("", |server| server)
    }

    /// Over HTTP, behind a door; `show` says how the client shows who it is.
    pub(crate) fn behind(door: &str, show: impl FnOnce(HttpServer) -> HttpServer) -> Self {
        let (port, journal) = (free_port(), Journal::new());
        let process = Some(serve(port, door, &journal));
        let server = HttpServer::at(&format!("http://127.0.0.1:{port}/mcp")).expect("an address");
        Self { server: McpServer::with_timeouts("kitchen", show(server), patient()), journal, process, port }
    }

    /// What it has told so far.
    pub(crate) fn journal(&self) -> Vec<String> {
        let told = std::fs::read_to_string(self.journal.file()).unwrap_or_default();
        told.lines().map(str::to_owned).collect()
    }

    /// Ends what serves it over HTTP.
    pub(crate) fn close(&mut self) {
        drop(self.process.take());
    }

    /// Serves it again, where it was before.
    pub(crate) fn open_again(&mut self) {
        self.process = Some(serve(self.port, "", &self.journal));
    }
}

fn serve(port: u16, door: &str, journal: &Journal) -> Process {
    let (python, script) = servers::kitchen();
    let mut command = Command::new(python);
    command.arg("-B").arg(script).args(["http", &port.to_string()]);
    command.env("JOURNAL", journal.file()).env("DOOR", door);
    let mut process = Process::start("kitchen", command);
    process.wait_for_port(port, SOON);
    process
}

fn path(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("the repository's path is text")
}

// === impl Journal ===

impl Journal {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("journal")
    }
}
