//! One agent process, from exec to the last trace of it.
//!
//! It leads a process group of its own, so that whatever it started (a `cargo run`'s binary, a shell's
//! child) ends with it, and a Ctrl-C in the terminal reaches it only through an orderly end. Should
//! *this* process be killed without a chance to do that, a watchdog takes over: a shell whose standard
//! input is a pipe held here, and which ends the group when the pipe breaks. The kernel's
//! parent-death signal would not do: it needs `unsafe`, reaches one process and not the group, and
//! is sent when the thread that forked ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::notice::{Notice, Notices, OutputStream, SessionName, StartFailure};

/// Longer lines are told in pieces of this many bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// How long to wait for the last output of a process that has ended. A grandchild that left the group
/// may hold the pipe for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// Between two looks whether anybody is left in a group; the system tells of the leader only.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Ends the group `$1` when standard input does: at once, and `$2` seconds later for good.
const WATCHDOG: &str = r#"read -r _; kill -s TERM -- "-$1"; sleep "$2"; kill -s KILL -- "-$1""#;

/// What to run.
pub(super) struct Launch<'a> {
    pub(super) program: &'a str,
    pub(super) arguments: &'a [String],
    pub(super) environment: BTreeMap<String, String>,
    pub(super) stop_grace: Duration,
}

/// A process that has been started and not yet been waited for. Dropped, it is killed.
pub(super) struct AgentProcess {
    child: Child,
    group: Pid,
    watchdog: Child,
    output: JoinSet<()>,
    last_error_line: Arc<Mutex<Option<String>>>,
}

/// Passes on what a process writes.
struct LineReader {
    session: SessionName,
    stream: OutputStream,
    notices: Notices,
    last_error_line: Arc<Mutex<Option<String>>>,
}

// === impl AgentProcess ===

impl AgentProcess {
    /// Starts the process; what it writes becomes notices.
    pub(super) fn start(launch: &Launch<'_>, session: &SessionName, notices: &Notices) -> Result<Self, StartFailure> {
        let not_runnable = |reason: String| StartFailure::NotRunnable { program: launch.program.to_owned(), reason };
        let mut child = command(launch).spawn().map_err(|error| not_runnable(error.to_string()))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = group.ok_or_else(|| not_runnable("it ended at once".to_owned()))?;
        let watchdog =
            watchdog(group, launch.stop_grace).map_err(|error| not_runnable(format!("no watchdog for it: {error}")))?;
        let last_error_line = Arc::default();
        let reader = |stream| LineReader {
            session: session.clone(),
            stream,
            notices: notices.clone(),
            last_error_line: Arc::clone(&last_error_line),
        };
        let mut output = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            output.spawn(reader(OutputStream::Stdout).pass_on(stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            output.spawn(reader(OutputStream::Stderr).pass_on(stderr));
        }
        Ok(Self { child, group, watchdog, output, last_error_line })
    }

    /// Waits until the process ends by itself. May be called again after it was given up.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        loop {
            // The system refuses only for a process that isn't ours, and then there is nothing to wait for.
            match self.child.wait().await {
                Ok(status) => return status,
                Err(error) => tracing::error!(%error, "waiting for an agent process failed"),
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Ends the process and what it started: asks them to, and makes them after `grace`.
    pub(super) async fn stop(mut self, grace: Duration) {
        self.signal(Signal::TERM);
        if timeout(grace, self.all_ended()).await.is_err() {
            self.signal(Signal::KILL);
            self.ended().await;
        }
        self.clear_up().await;
    }

    /// Waits until the whole group is gone. Behind a shell, which goes at once, the agent may still be
    /// storing its last turn.
    async fn all_ended(&mut self) {
        self.ended().await;
        while test_kill_process_group(self.group).is_ok() {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Ends what an ended process leaves behind, and gives the last line of its standard error.
    pub(super) async fn clear_up(mut self) -> Option<String> {
        self.signal(Signal::KILL);
        if let Err(error) = self.watchdog.kill().await {
            tracing::error!(%error, "a watchdog could not be ended");
        }
        let told = timeout(LAST_OUTPUT, async { while self.output.join_next().await.is_some() {} }).await;
        if told.is_err() {
            self.output.abort_all();
        }
        self.last_error_line.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn signal(&self, signal: Signal) {
        match kill_process_group(self.group, signal) {
            // Nobody is left in it.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => tracing::error!(%error, ?signal, "an agent's process group could not be signalled"),
        }
    }
}

fn command(launch: &Launch<'_>) -> Command {
    let mut command = Command::new(launch.program);
    command.args(launch.arguments).envs(&launch.environment);
    // Accounts, endpoints and profiles of the person at the keyboard are not the agent's: what it is to
    // use is in `launch.environment`, whole.
    for (name, _) in std::env::vars_os() {
        let inherited = name.to_string_lossy();
        if inherited.starts_with("AWS_") && !launch.environment.contains_key(inherited.as_ref()) {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    command
}

fn watchdog(group: Pid, grace: Duration) -> std::io::Result<Child> {
    let seconds = grace.as_secs().max(1).to_string();
    Command::new(Path::new("/bin/sh"))
        .args(["-c", WATCHDOG, "watchdog", &group.to_string(), &seconds])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

// === impl LineReader ===

impl LineReader {
    async fn pass_on(self, output: impl AsyncRead + Unpin) {
        let mut output = BufReader::with_capacity(LONGEST_LINE, output);
        let mut line = Vec::new();
        let mut in_pieces = false;
        loop {
            let available = match output.fill_buf().await {
                Ok([]) | Err(_) => break,
                Ok(available) => available,
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(available.len()).min(LONGEST_LINE - line.len());
            line.extend_from_slice(&available[..taken]);
            let at_its_end = end == Some(taken);
            output.consume(taken + usize::from(at_its_end));
            if at_its_end || line.len() == LONGEST_LINE {
                // Of a line that came to whole pieces only its end is left, which is no line.
                if !(line.is_empty() && in_pieces) {
                    self.tell(&line);
                }
                in_pieces = !at_its_end;
                line.clear();
            }
        }
        if !line.is_empty() {
            self.tell(&line);
        }
    }

    fn tell(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end_matches('\r').to_owned();
        if self.stream == OutputStream::Stderr && !line.trim().is_empty() {
            *self.last_error_line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
        }
        self.notices.announce(Notice::AgentLine { session: self.session.clone(), stream: self.stream, line });
    }
}
