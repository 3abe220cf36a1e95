//! What a local AWS tells the person who runs it. Callers get AWS's sentences, which hide what went on
//! inside an agent; here is what went on.

use std::fmt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::broadcast;

use crate::bedrock::ModelCall;
use crate::config::AgentName;
use crate::traces::Span;

/// How many notices a slow reader may be behind before it loses the oldest.
const CAPACITY: usize = 4096;

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// A session's process is healthy.
    SessionStarted {
        /// The session.
        session: SessionName,
        /// From exec to the first healthy ping.
        after: Duration,
    },
    /// A session's process is gone, or was never healthy.
    SessionEnded {
        /// The session.
        session: SessionName,
        /// Why.
        why: SessionEnd,
    },
    /// An agent wrote a line.
    AgentLine {
        /// The session whose process it was.
        session: SessionName,
        /// Where it wrote.
        stream: OutputStream,
        /// The line, without its end; a very long one comes in pieces.
        line: String,
    },
    /// An agent's `/ping` would mislead the platform. Said once a session for each problem.
    PingProblem {
        /// The session.
        session: SessionName,
        /// The problem, with its consequence.
        problem: PingProblem,
    },
    /// A model call of a session's process is over, however it ended.
    ModelCalled {
        /// The session.
        session: SessionName,
        /// The call's figures.
        call: ModelCall,
    },
    /// An invocation was answered to its last byte.
    InvocationFinished {
        /// The session.
        session: SessionName,
        /// The request's id, which the agent was told too.
        request_id: Arc<str>,
        /// The invocation's number within its process, from 1.
        number: u64,
        /// The agent's status.
        status: StatusCode,
        /// From the request to the first byte of the answer's body.
        first_byte: Duration,
        /// From the request to the last byte.
        total: Duration,
    },
    /// An invocation was not.
    InvocationFailed {
        /// The session.
        session: SessionName,
        /// The request's id, which the agent was told too if it was reached.
        request_id: Arc<str>,
        /// The invocation's number within its process, from 1; absent when there was no process.
        number: Option<u64>,
        /// What went wrong.
        failure: InvocationFailure,
        /// From the request until then.
        total: Duration,
    },
    /// A WebSocket to an agent is open.
    ConversationBegan {
        /// The session.
        session: SessionName,
        /// The handshake's request id, which the agent was told too.
        request_id: Arc<str>,
    },
    /// A WebSocket to an agent is closed, by whomever.
    ConversationEnded {
        /// The session.
        session: SessionName,
        /// The handshake's request id.
        request_id: Arc<str>,
        /// From the handshake until then.
        total: Duration,
    },
    /// An agent handed over what it traced, in one piece as it came.
    Traced {
        /// The spans, whose sessions only they themselves know.
        spans: Arc<[Span]>,
    },
}

/// A session of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionName {
    /// The agent.
    pub agent: AgentName,
    /// The session id, as the caller gave it.
    pub id: Arc<str>,
}

/// Where an agent writes lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// Nothing happened in it for the idle time-out.
    Idle,
    /// It reached the longest life a session may have.
    Lifetime,
    /// `StopRuntimeSession` was called.
    Stopped,
    /// The server shuts down.
    ShutDown,
    /// The process ended by itself, or was killed by somebody else.
    Exited(ExitStatus),
    /// It never became healthy.
    NotStarted(StartFailure),
}

/// Why an agent could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartFailure {
    /// There is nothing to run.
    #[error("`{program}` cannot be run: {reason}; check the agent's command")]
    NotRunnable {
        /// The program.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// The process was gone before it answered a ping.
    #[error("the agent ended before it answered /ping on the port in PORT ({status}){}", last_words(.last_line.as_ref()))]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The last line on its standard error.
        last_line: Option<String>,
    },
    /// The process lives, and does not answer.
    #[error(
        "the agent did not answer GET /ping on 127.0.0.1:{port} with a healthy status within {within:?}: {last_answer}; it has to listen on the port in PORT"
    )]
    NotHealthy {
        /// The port it was given.
        port: u16,
        /// The time it had.
        within: Duration,
        /// What the last ping came to.
        last_answer: String,
    },
    /// The session was stopped, or the server shut down, meanwhile.
    #[error("the session was stopped while it started")]
    Stopped,
}

/// What is wrong with an agent's `/ping`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PingProblem {
    /// The platform would take it for unhealthy.
    #[error(
        "/ping is not what the platform reads ({0}); it should be like {{\"status\":\"Healthy\",\"time_of_last_update\":1795406111}}"
    )]
    Unreadable(String),
    /// The platform would reap it in the midst of work.
    #[error(
        "/ping says HealthyBusy without a time_of_last_update in whole seconds; the platform would end this session while it works"
    )]
    BusyWithoutTime,
    /// The platform would never reap it.
    #[error(
        "/ping moves time_of_last_update while idle; the platform would never end this session, and bill it to its longest life"
    )]
    MovingWhileIdle,
}

/// Why an invocation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvocationFailure {
    /// The agent refused or failed.
    #[error("the agent answered {status}: {body}")]
    Answered {
        /// Its status.
        status: StatusCode,
        /// The beginning of its body.
        body: String,
    },
    /// There is no process to ask.
    #[error(transparent)]
    NotStarted(#[from] StartFailure),
    /// The agent gave no answer.
    #[error("the agent gave no answer: {0}")]
    Unreachable(String),
    /// The agent broke off in its answer.
    #[error("the agent broke off in its answer: {0}")]
    CutShort(String),
    /// The caller went away first.
    #[error("the caller left before the answer was complete")]
    CallerLeft,
    /// The request was at fault.
    #[error("the request was refused: {0}")]
    Refused(String),
}

/// Tells notices to whoever listens.
#[derive(Debug, Clone)]
pub(crate) struct Notices(broadcast::Sender<Notice>);

// === impl Notices ===

impl Notices {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }

    pub(crate) fn announce(&self, notice: Notice) {
        // Fails only when nobody listens.
        let _unheard = self.0.send(notice);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }
}

// === impl SessionEnd ===

impl fmt::Display for SessionEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => formatter.write_str("idle for the idle time-out"),
            Self::Lifetime => formatter.write_str("at the end of the longest life a session may have"),
            Self::Stopped => formatter.write_str("stopped by a caller"),
            Self::ShutDown => formatter.write_str("the server shuts down"),
            Self::Exited(status) => write!(formatter, "the process ended by itself ({status})"),
            Self::NotStarted(failure) => write!(formatter, "{failure}"),
        }
    }
}

fn last_words(line: Option<&String>) -> String {
    line.map(|line| format!(": {line}")).unwrap_or_default()
}
