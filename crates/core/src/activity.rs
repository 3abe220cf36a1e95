//! What keeps a session busy, and since when.
//!
//! AgentCore reaps a session that says it is idle, so everything that must not be lost holds a
//! [`Busy`] guard: a turn until it is stored, and whatever an agent does in the background. Reading
//! the state takes no lock, because `/ping` must never wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The register of what a process is busy with. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<Register>);

/// Keeps the session busy until it is dropped.
#[derive(Debug)]
#[must_use = "the session is busy only as long as this lives"]
pub struct Busy {
    register: Arc<Register>,
    id: u64,
}

/// One thing a process is busy with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What it is called.
    pub name: String,
    /// How long it has been running.
    pub running_for: Duration,
}

#[derive(Debug, Default)]
struct Register {
    running: AtomicUsize,
    /// Grows whenever the first job begins or the last one ends.
    changes: AtomicU64,
    jobs: Mutex<Jobs>,
}

#[derive(Debug, Default)]
struct Jobs {
    next_id: u64,
    running: BTreeMap<u64, (String, Instant)>,
}

// === impl Activity ===

impl Activity {
    /// Registers a job called `name`. The session is busy until the guard is dropped.
    pub fn begin(&self, name: impl Into<String>) -> Busy {
        let register = Arc::clone(&self.0);
        let id = register.add(name.into());
        if register.running.fetch_add(1, Ordering::SeqCst) == 0 {
            register.changes.fetch_add(1, Ordering::SeqCst);
        }
        Busy { register, id }
    }

    /// Whether anything is running. Takes no lock.
    pub fn is_busy(&self) -> bool {
        self.0.running.load(Ordering::SeqCst) > 0
    }

    /// How often the state has changed between busy and idle. Takes no lock.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    /// What is running, oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        let jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let running = jobs.running.values();
        running.map(|(name, since)| Job { name: name.clone(), running_for: since.elapsed() }).collect()
    }
}

// === impl Register ===

impl Register {
    fn add(&self, name: String) -> u64 {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let id = jobs.next_id;
        jobs.next_id += 1;
        jobs.running.insert(id, (name, Instant::now()));
        id
    }
}

// === impl Busy ===

impl Drop for Busy {
    fn drop(&mut self) {
        let mut jobs = self.register.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.running.remove(&self.id);
        drop(jobs);
        if self.register.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.register.changes.fetch_add(1, Ordering::SeqCst);
        }
    }
}
