//! What a process takes of its machine, as Linux tells it.

use std::fs;

/// A size of memory, by the kernel's name of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory {
    /// What it has now.
    Now,
    /// The most it has had.
    Peak,
}

/// How many files and sockets a process has open.
pub(crate) fn open_files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count()
}

/// The memory of a process, in kilobytes.
pub(crate) fn kilobytes(process: u32, memory: Memory) -> u64 {
    let name = match memory {
        Memory::Now => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel says so");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
