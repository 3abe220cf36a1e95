//! Who is measured, and how each is started.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;

use crate::Failure;
use crate::fake_bedrock::Pace;
use crate::subject::Subject;
use crate::system::foreign;

/// Longest start of anything, and longest answer that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// One who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// `test_agent`, the binary that ships, but for this machine's processor.
    Ours,
    /// A bare hyper proxy.
    Floor,
    /// The same agent on somebody else's runtime, in Rust too: `tests/bench/peer`.
    Peer,
    /// Python, a model client for every call, as the agent that was replaced.
    Untuned,
    /// Python, one model client for all calls.
    Tuned,
    /// AWS's SDK for Python without an agent and a model.
    Echo,
    /// `coach_companion`, for what the test agent has not: tools. Built as benchmarks are.
    Coach,
}

/// What a run has: programs that are built, and how long it takes.
pub(crate) struct Bench {
    agent: PathBuf,
    peer: PathBuf,
    /// Who is measured, in the order of the report.
    pub(crate) contenders: Vec<Contender>,
    /// How long each load is held.
    pub(crate) time: Duration,
}

/// The fake Bedrock, running.
pub(crate) struct Bedrock {
    pub(crate) process: Subject,
    pub(crate) port: u16,
}

/// A contender, running.
pub(crate) struct Running {
    pub(crate) contender: Contender,
    pub(crate) process: Subject,
    pub(crate) port: u16,
}

/// Python with what the agents need, installed once.
fn interpreter() -> PathBuf {
    foreign::python::interpreter("python-agents", &foreign::tests("requirements-python-agents.txt"))
}

fn scripts() -> PathBuf {
    foreign::tests("bench/python")
}

fn build(name: &str, what: &[&str]) -> Result<(), Failure> {
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells the programs that it starts makes another cargo build things anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&&*text) {
            cargo.env_remove(&name);
        }
    }
    let status =
        cargo.current_dir(foreign::repository()).args(["build", "--release", "--locked"]).args(what).status()?;
    status.success().then_some(()).ok_or_else(|| format!("{name} cannot be built; cargo has said why").into())
}

// === impl Contender ===

impl Contender {
    /// Those of every chapter, in the order of the report.
    pub(crate) const ALL: [Self; 6] = [Self::Ours, Self::Floor, Self::Peer, Self::Tuned, Self::Untuned, Self::Echo];

    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "test_agent",
            Self::Floor => "floor: bare proxy",
            Self::Peer => "Rust, Paigasus Helikon",
            Self::Untuned => "Python, as replaced",
            Self::Tuned => "Python, tuned",
            Self::Echo => "Python SDK, bare echo",
            Self::Coach => "coach_companion",
        }
    }

    /// Whether it can tell an answer as it comes.
    pub(crate) fn streams(self) -> bool {
        matches!(self, Self::Ours | Self::Floor | Self::Peer | Self::Tuned)
    }

    /// Whether it asks a model.
    pub(crate) fn has_model(self) -> bool {
        self != Self::Echo
    }

    fn script(self) -> Option<&'static str> {
        match self {
            Self::Untuned => Some("untuned.py"),
            Self::Tuned => Some("tuned.py"),
            Self::Echo => Some("echo.py"),
            Self::Ours | Self::Floor | Self::Peer | Self::Coach => None,
        }
    }
}

// === impl Bench ===

impl Bench {
    /// Builds and installs what is measured.
    pub(crate) fn prepare(time: Duration, only: &[Contender]) -> Result<Self, Failure> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target folder")?;
        let is_wanted = |contender: &Contender| only.is_empty() || only.contains(contender);
        eprintln!("== Building test_agent as it ships, and installing the Python agents");
        build("test_agent", &["-p", "test_agent"])?;
        let peers = target.join("peer");
        if is_wanted(&Contender::Peer) {
            eprintln!("== Building another runtime's agent");
            let manifest = foreign::tests("bench/peer/Cargo.toml");
            let [manifest, folder] = [&manifest, &peers].map(|path| path.as_os_str().to_string_lossy());
            build("the peer", &["--manifest-path", &manifest, "--target-dir", &folder])?;
        }
        interpreter();
        let contenders = Contender::ALL.into_iter().filter(is_wanted).collect();
        Ok(Self { agent: target.join("release/test_agent"), peer: peers.join("release/peer"), contenders, time })
    }

    /// The folder for reports.
    pub(crate) fn folder() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench")
    }

    /// The files that a contender's start reads, the system's libraries left out.
    pub(crate) fn files(&self, contender: Contender) -> Vec<PathBuf> {
        match contender {
            Contender::Ours => vec![self.agent.clone()],
            Contender::Peer => vec![self.peer.clone()],
            Contender::Floor => std::env::current_exe().into_iter().collect(),
            Contender::Coach => vec![env!("CARGO_BIN_EXE_vitracka").into()],
            Contender::Untuned | Contender::Tuned | Contender::Echo => {
                // An interpreter is in `bin`, beside the folder of packages.
                let environment = interpreter().ancestors().nth(2).map(|environment| environment.join("lib"));
                environment.into_iter().chain([scripts()]).collect()
            }
        }
    }

    /// Starts it, and waits until it is healthy.
    pub(crate) fn start(&self, contender: Contender, bedrock: &Bedrock) -> Result<Running, Failure> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let process = Subject::start(&mut self.command(contender, bedrock.port, port)?)?;
        let mut running = Running { contender, process, port };
        let deadline = Instant::now() + PATIENCE;
        while !running.is_healthy() {
            if running.process.has_ended() || Instant::now() > deadline {
                return Err(format!("{} does not become healthy", contender.name()).into());
            }
            std::thread::yield_now();
        }
        Ok(running)
    }

    fn command(&self, contender: Contender, bedrock: u16, port: u16) -> Result<Command, Failure> {
        let program = match contender {
            Contender::Ours => self.agent.clone(),
            Contender::Peer => self.peer.clone(),
            Contender::Floor => std::env::current_exe()?,
            Contender::Coach | Contender::Untuned | Contender::Tuned | Contender::Echo => {
                env!("CARGO_BIN_EXE_vitracka").into()
            }
        };
        let mut command = match contender.script() {
            Some(script) => {
                let mut command = foreign::secluded(interpreter());
                command.arg(scripts().join(script));
                command
            }
            None => foreign::secluded(program),
        };
        match contender {
            Contender::Floor => {
                command.args(["--play", "floor", "--bedrock", &bedrock.to_string()]);
            }
            Contender::Coach => {
                command.args(["agent", "coach_companion"]);
            }
            _ => {}
        }
        command
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("MODEL_ID", "eu.anthropic.claude-3-5-sonnet-20240620-v1:0")
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{bedrock}"))
            .stdout(Stdio::null());
        Ok(command)
    }
}

// === impl Bedrock ===

impl Bedrock {
    /// One of that pace.
    pub(crate) fn start(pace: Pace) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--play", "fake-bedrock", "--first-token", &pace.first_token.as_millis().to_string()]);
        command.args(["--token", &pace.token.as_millis().to_string()]).stdout(Stdio::piped());
        let mut process = Subject::start(&mut command)?;
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Self { process, port: line.trim().parse()? })
    }
}

// === impl Running ===

impl Running {
    /// Whether it says on a connection of its own that it is well.
    pub(crate) fn is_healthy(&self) -> bool {
        let answer = self.ask("GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains("Healthy"))
    }

    /// One turn on a connection of its own; what came back.
    pub(crate) fn turn(&self, session: &str, body: &str) -> Result<String, Failure> {
        let head = format!(
            "POST /invocations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: application/json\r\n\
             content-type: application/json\r\n{}: {session}\r\ncontent-length: {}\r\n\r\n",
            crate::load::SESSION,
            body.len()
        );
        let answer = self.ask(&(head + body))?;
        let is_answered = answer.starts_with("HTTP/1.1 200");
        is_answered.then_some(()).ok_or_else(|| format!("{}: {answer}", self.contender.name()))?;
        Ok(answer)
    }

    fn ask(&self, request: &str) -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}
