//! What telemetry costs: the same turns by agents that hand over nothing, that hand over to a collector, and whose
//! collector is not there. `cargo bench -p vitracka --bench telemetry [ROUNDS]`
//!
//! Two kinds of turns: the smallest agent's with a model that answers at once, so that the turn is all there is to
//! measure; and the coach's with one that writes as models do, piece after piece, read as it is written. The agents take turns, some hundred turns each, so that
//! what else the machine does falls on all of them. CPU is what the system counted for the agent's process.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
/// Clock ticks of `/proc/PID/stat` in a second, on every Linux that this is built for.
const TICKS: f64 = 100.0;
/// Between two pieces of a paced answer, in milliseconds: 50 a second.
const PACE: u32 = 20;

/// Turns of one kind.
struct Kind {
    what: &'static str,
    agent: &'static str,
    prompt: &'static str,
    is_paced: bool,
    /// How many callers each have how many turns in a round.
    callers: usize,
    turns: usize,
}

const KINDS: [Kind; 2] = [
    Kind {
        what: "test_agent, a model that answers at once",
        agent: "test_agent",
        prompt: "I walked to work today",
        is_paced: false,
        callers: 1,
        turns: 200,
    },
    Kind {
        what: "coach_companion, a model that writes 50 pieces a second, streamed",
        agent: "coach_companion",
        prompt: "My weight has not moved for two weeks and I feel stuck. What can I do?",
        is_paced: true,
        callers: 16,
        turns: 2,
    },
];

/// A child that ends with the run.
struct Program(Child);

/// An agent, and what its turns took.
struct Agent {
    what: &'static str,
    program: Program,
    port: u16,
    /// The median latency of each round, in microseconds.
    latencies: Vec<f64>,
    turns: usize,
    cpu_at_first: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    KINDS.iter().try_for_each(|kind| compare(kind, rounds))
}

fn compare(kind: &Kind, rounds: usize) -> Result<(), Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    let (_aws, aws) = local_aws(data.path(), kind)?;
    let (collector, nobody) = (collector()?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port());
    let mut agents = vec![
        Agent::start("off", kind, aws, None)?,
        Agent::start("on", kind, aws, Some(collector))?,
        Agent::start("dead collector", kind, aws, Some(nobody))?,
    ];
    for agent in &mut agents {
        agent.hold(kind)?;
        agent.begin_to_count()?;
    }
    for _ in 0..rounds {
        for agent in &mut agents {
            agent.hold_and_count(kind)?;
        }
    }
    let off = agents[0].figures()?;
    println!("{}", kind.what);
    println!("{:<16}{:>14}{:>10}{:>18}{:>10}", "telemetry", "latency (us)", "ratio", "CPU a turn (us)", "ratio");
    for agent in &agents {
        let (latency, cpu) = agent.figures()?;
        println!("{:<16}{latency:>14.1}{:>10.3}{cpu:>18.1}{:>10.3}", agent.what, latency / off.0, cpu / off.1);
    }
    Ok(())
}

fn vitracka() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitracka"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy().into_owned();
        if ["AWS_", "OTEL_", "MODEL_"].iter().any(|prefix| name_text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// A local AWS with a model of that kind, and its port.
fn local_aws(data: &std::path::Path, kind: &Kind) -> Result<(Program, u16), Box<dyn Error>> {
    let mut command = vitracka();
    command.args(["dev", "--port", "0", "--data"]).arg(data).stdout(Stdio::piped()).stderr(Stdio::null());
    if kind.is_paced {
        command.args(["--fault", &format!("slow={PACE}*")]);
    }
    let mut program = Program(command.spawn()?);
    let output = program.0.stdout.take().ok_or("no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some((_, address)) = line.split_once("http://127.0.0.1:") {
            let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
            return Ok((program, digits.parse()?));
        }
    }
    Err("the local AWS told no address".into())
}

/// A collector that takes everything, and its port.
fn collector() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || accept_all(connection));
        }
    });
    Ok(port)
}

fn accept_all(connection: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

// === impl Agent ===

impl Agent {
    fn start(what: &'static str, kind: &Kind, aws: u16, collector: Option<u16>) -> Result<Self, Box<dyn Error>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = vitracka();
        command
            .args(["agent", kind.agent])
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{aws}"))
            .env("AWS_ACCESS_KEY_ID", "AKIALOCALTESTS000000")
            .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(collector) = collector {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{collector}"));
        }
        let program = Program(command.spawn()?);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if Instant::now() > deadline {
                return Err("an agent does not listen".into());
            }
            std::thread::yield_now();
        }
        Ok(Self { what, program, port, latencies: Vec::new(), turns: 0, cpu_at_first: 0.0 })
    }

    /// Holds the turns of a round, and gives what each took in microseconds.
    fn hold(&self, kind: &Kind) -> Result<Vec<f64>, Box<dyn Error>> {
        let took: Result<Vec<Vec<f64>>, String> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..kind.callers).map(|_| scope.spawn(|| self.call(kind))).collect();
            callers.into_iter().map(|caller| caller.join().map_err(|_| "a caller panicked".to_owned())?).collect()
        });
        Ok(took?.concat())
    }

    /// One caller's turns, each in a session of its own.
    fn call(&self, kind: &Kind) -> Result<Vec<f64>, String> {
        let body = format!(r#"{{"prompt": "{}"}}"#, kind.prompt);
        let accept = if kind.is_paced { "text/event-stream" } else { "application/json" };
        let head = format!(
            "POST /invocations HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let told = |error: std::io::Error| format!("{}: {error}", self.what);
        (0..kind.turns)
            .map(|_| {
                let began = Instant::now();
                let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(told)?;
                connection.set_nodelay(true).map_err(told)?;
                connection.write_all(head.as_bytes()).map_err(told)?;
                let mut answer = String::new();
                connection.read_to_string(&mut answer).map_err(told)?;
                let is_whole = answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"stop_reason\":\"end_turn\"");
                is_whole.then(|| began.elapsed().as_secs_f64() * 1e6).ok_or_else(|| format!("{}: {answer}", self.what))
            })
            .collect()
    }

    fn begin_to_count(&mut self) -> Result<(), Box<dyn Error>> {
        self.cpu_at_first = self.cpu()?;
        Ok(())
    }

    fn hold_and_count(&mut self, kind: &Kind) -> Result<(), Box<dyn Error>> {
        let mut took = self.hold(kind)?;
        took.sort_by(f64::total_cmp);
        self.latencies.push(took[took.len() / 2]);
        self.turns += took.len();
        Ok(())
    }

    /// The median of the rounds' latencies, and the CPU time a turn, both in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    fn figures(&self) -> Result<(f64, f64), Box<dyn Error>> {
        let mut latencies = self.latencies.clone();
        latencies.sort_by(f64::total_cmp);
        Ok((latencies[latencies.len() / 2], (self.cpu()? - self.cpu_at_first) / self.turns as f64 * 1e6))
    }

    /// Seconds of CPU that the agent has used.
    fn cpu(&self) -> Result<f64, Box<dyn Error>> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.program.0.id()))?;
        let (_, after_name) = stat.rsplit_once(')').ok_or("no name")?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
