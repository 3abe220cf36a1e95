//! A server that is a process of ours and speaks over its standard input and output.

use std::fmt;
use std::io;
use std::process::Stdio;

use agentcore_core::agent::Secret;
use rmcp::transport::TokioChildProcess;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStderr, Command};

/// The variables of ours that a server gets: what a program needs to find itself and its files. The list
/// is that of the official SDKs, and `TMPDIR` and the certificates that our own TLS trusts.
const PASSED_ON: [&str; 11] =
    ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM", "TMPDIR", "USER"];

/// A server that is a process of ours. It is started when something needs it.
#[derive(Clone)]
pub struct StdioServer {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, Secret)>,
}

// === impl StdioServer ===

impl StdioServer {
    /// The server that `program` is; a name without a slash is looked for on `PATH`.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// One more variable of its environment, which is otherwise all but empty.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.environment.push((name.into(), value));
        self
    }

    /// Starts the process. What it says on its standard error goes to the log, for debugging.
    pub(crate) fn start(&self, server: &str) -> io::Result<TokioChildProcess> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().kill_on_drop(true);
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for (name, value) in &self.environment {
            command.env(name, value.expose());
        }
        let (process, errors) = TokioChildProcess::builder(command).stderr(Stdio::piped()).spawn()?;
        if let Some(errors) = errors {
            tokio::spawn(log_lines(errors, server.to_owned()));
        }
        Ok(process)
    }
}

impl fmt::Debug for StdioServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments can hold secrets as well.
        formatter.debug_struct("StdioServer").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Reads to the end: a process whose standard error is not read stands still when the pipe is full.
async fn log_lines(errors: ChildStderr, server: String) {
    let mut lines = BufReader::new(errors).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        tracing::debug!(server, line = %String::from_utf8_lossy(&line), "an MCP server's standard error");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let server = StdioServer::new("server").arg("--key=hidden").env("KEY", Secret::new("hidden"));
        insta::assert_snapshot!(format!("{server:?}"), @r#"StdioServer { program: "server", .. }"#);
    }
}
