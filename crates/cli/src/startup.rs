//! `vitracka startup`: how long an agent takes from exec to its first healthy answer, and how large it is.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::arguments::Startup;
use crate::output;
use crate::package::size::Megabytes;

/// Longest start. AgentCore gives up later, users sooner.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartupError {
    #[error("{} cannot be started: {reason}", .program.display())]
    NotStarted { program: PathBuf, reason: io::Error },
    #[error("{} ended ({status}) before it was healthy; start it by hand to see why", .program.display())]
    Ended { program: PathBuf, status: ExitStatus },
    #[error("{} is not healthy after {PATIENCE:?}; it has to answer /ping on the port in PORT", .program.display())]
    TooLate { program: PathBuf },
    #[error("no port for it on the loopback: {0}")]
    NoPort(#[source] io::Error),
    #[error("the result cannot be printed: {0}")]
    Output(#[from] io::Error),
}

/// A process that ends with what was measured on it.
struct Started(Child);

/// Starts it so many times, one after another, and prints the median beside the size.
pub(crate) fn run(startup: &Startup) -> Result<ExitCode, StartupError> {
    let program = &startup.program;
    let not_started = |reason| StartupError::NotStarted { program: program.clone(), reason };
    let size = Megabytes::new(fs::metadata(program).map_err(not_started)?.len());
    let mut times = (0..startup.runs).map(|_| time(startup)).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    let [least, median, most] = [0, times.len() / 2, times.len() - 1].map(|place| milliseconds(times[place]));
    let emulated = startup.through.as_ref().map(|emulator| format!(", through {}", emulator.display()));
    output::line(&format!(
        "{}  {size}  exec to first healthy /ping {median} ms, the median of {} runs ({least} to {most}){}",
        program.display(),
        times.len(),
        emulated.unwrap_or_default()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// One start.
fn time(startup: &Startup) -> Result<Duration, StartupError> {
    let port = free_port().map_err(StartupError::NoPort)?;
    let mut command = match &startup.through {
        Some(emulator) => Command::new(emulator),
        None => Command::new(&startup.program),
    };
    command.args(startup.through.as_ref().map(|_| &startup.program)).args(&startup.arguments);
    command.env("HOST", "127.0.0.1").env("PORT", port.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let started = command.spawn();
    let not_started = |reason| StartupError::NotStarted { program: startup.program.clone(), reason };
    let mut process = Started(started.map_err(not_started)?);
    loop {
        if is_healthy(port) {
            return Ok(began.elapsed());
        }
        if let Ok(Some(status)) = process.0.try_wait() {
            return Err(StartupError::Ended { program: startup.program.clone(), status });
        }
        if began.elapsed() > PATIENCE {
            return Err(StartupError::TooLate { program: startup.program.clone() });
        }
        // A pause would be longer than what is measured.
        std::thread::yield_now();
    }
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains("Healthy"))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

// === impl Started ===

impl Drop for Started {
    fn drop(&mut self) {
        // It has served nobody: there is nothing that a quiet end would save.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
