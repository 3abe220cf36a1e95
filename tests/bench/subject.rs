//! Children of a run, and what the system says of them.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::Failure;

/// Clock ticks of `/proc/PID/stat` in a second, on every Linux that this is built for.
const TICKS: f64 = 100.0;

/// A child that ends with its measurement.
pub(crate) struct Subject(pub(crate) Child);

/// What a process takes of the machine's memory, in kilobytes.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct Footprint {
    /// Resident, pages that others have too included.
    pub(crate) rss: u64,
    /// Resident, pages that others have too counted by share.
    pub(crate) pss: u64,
    /// The most that was resident.
    pub(crate) peak: u64,
}

// === impl Subject ===

impl Subject {
    /// Starts a command whose logs nobody reads.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.map_err(|error| format!("{} cannot be started: {error}", command.get_program().display()))?))
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Seconds of CPU that it has used.
    pub(crate) fn cpu(&self) -> Result<f64, Failure> {
        cpu(&self.0.id().to_string())
    }

    pub(crate) fn footprint(&self) -> Result<Footprint, Failure> {
        let id = self.0.id();
        let [status, rollup] = ["status", "smaps_rollup"].map(|file| fs::read_to_string(format!("/proc/{id}/{file}")));
        let (status, rollup) = (status?, rollup?);
        Ok(Footprint {
            rss: kilobytes(&status, "VmRSS:")?,
            pss: kilobytes(&rollup, "Pss:")?,
            peak: kilobytes(&status, "VmHWM:")?,
        })
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds of CPU that this process has used: the clients' share.
pub(crate) fn own_cpu() -> Result<f64, Failure> {
    cpu("self")
}

fn cpu(process: &str) -> Result<f64, Failure> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS)
}

fn kilobytes(file: &str, name: &str) -> Result<u64, Failure> {
    let line = file.lines().find(|line| line.starts_with(name)).ok_or("the kernel does not say")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}
