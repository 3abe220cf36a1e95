//! Faults of real processes: an agent and the AWS on this machine, where the kernel, the clock and the disk take part.
//!
//! What can be had on a clock of the test's own is in `crates/runtime/tests/runtime/faults`, over thousands of sessions.
//! Here are [`processes`] that are killed, stopped and asked to end, a [`disk`] that is full, a process that is
//! [`revived`] from a snapshot, and the [`soak`].
//!
//! `FAULTS_SEED=SEED` runs a seed again that was printed.

#[path = "../../../crates/runtime/tests/runtime/faults/answer.rs"]
mod answer;
#[path = "../../../crates/runtime/tests/runtime/faults/chance.rs"]
mod chance;
mod clock;
mod disk;
mod machine;
mod processes;
mod revived;
mod soak;

/// The seed of `FAULTS_SEED`, where it is set.
fn seed() -> Option<u64> {
    let seed = std::env::var("FAULTS_SEED").ok()?;
    Some(seed.parse().unwrap_or_else(|_| panic!("FAULTS_SEED must be a whole number, not {seed}")))
}
