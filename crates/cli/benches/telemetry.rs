//! What telemetry costs: the same turns by agents that hand over nothing, that hand over to a collector, and whose
//! collector is not there. `cargo bench -p vitracka --bench telemetry [ROUNDS]`
//!
//! The agents take turns, some hundred turns each, so that what else the machine does falls on all of them. Latency
//! is that of one caller; CPU is what the system counted for the agent's process.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TURNS: usize = 200;
const ROUNDS: usize = 15;
/// Clock ticks of `/proc/PID/stat` in a second, on every Linux that this is built for.
const TICKS: f64 = 100.0;

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
    let data = tempfile::tempdir()?;
    let (_aws, aws) = local_aws(data.path())?;
    let (collector, nobody) = (collector()?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port());
    let mut agents = vec![
        Agent::start("off", aws, None)?,
        Agent::start("on", aws, Some(collector))?,
        Agent::start("dead collector", aws, Some(nobody))?,
    ];
    for agent in &mut agents {
        agent.hold(TURNS)?;
        agent.begin_to_count()?;
    }
    for _ in 0..rounds {
        for agent in &mut agents {
            agent.hold_and_count()?;
        }
    }
    let off = agents[0].figures()?;
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

/// A local AWS and its port.
fn local_aws(data: &std::path::Path) -> Result<(Program, u16), Box<dyn Error>> {
    let mut command = vitracka();
    command.args(["dev", "--port", "0", "--data"]).arg(data).stdout(Stdio::piped()).stderr(Stdio::null());
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
    fn start(what: &'static str, aws: u16, collector: Option<u16>) -> Result<Self, Box<dyn Error>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = vitracka();
        command
            .args(["agent", "test_agent"])
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

    /// Holds so many turns, each in a session of its own, and gives what each took in microseconds.
    fn hold(&self, turns: usize) -> Result<Vec<f64>, Box<dyn Error>> {
        let mut writer = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        writer.set_nodelay(true)?;
        let mut reader = BufReader::new(writer.try_clone()?);
        let body = r#"{"prompt": "I walked to work today"}"#;
        let head = format!(
            "POST /invocations HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut took = Vec::with_capacity(turns);
        for _ in 0..turns {
            let began = Instant::now();
            writer.write_all(head.as_bytes())?;
            let (status, length) = answer_head(&mut reader)?;
            reader.read_exact(&mut vec![0; length])?;
            if !status.contains(" 200 ") {
                return Err(format!("{}: {status}", self.what).into());
            }
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
        Ok(took)
    }

    fn begin_to_count(&mut self) -> Result<(), Box<dyn Error>> {
        self.cpu_at_first = self.cpu()?;
        Ok(())
    }

    fn hold_and_count(&mut self) -> Result<(), Box<dyn Error>> {
        let mut took = self.hold(TURNS)?;
        took.sort_by(f64::total_cmp);
        self.latencies.push(took[took.len() / 2]);
        self.turns += TURNS;
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

/// The status line of an answer, and how long its body is.
fn answer_head(reader: &mut BufReader<TcpStream>) -> Result<(String, usize), Box<dyn Error>> {
    let mut status = String::new();
    reader.read_line(&mut status)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            return Ok((status, length));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
