//! What keeps a session busy, and since when.
//!
//! AgentCore reaps a session that says it is idle, so everything that must not be lost holds a
//! [`Busy`] guard: a turn until it is stored, and whatever an agent does in the background. Reading
//! the state takes no lock, because `/ping` must never wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The register of what a process is busy with. Clones share it.
#[derive(Debug, Clone)]
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

/// A moment on both clocks: the one people read, which may be set, and the one that only runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// Milliseconds this machine has been running since the process looked first.
    pub running_ms: u64,
}

#[derive(Debug)]
struct Register {
    began: Instant,
    running: AtomicUsize,
    changed_wall_ms: AtomicU64,
    changed_running_ms: AtomicU64,
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
            register.mark_change();
        }
        Busy { register, id }
    }

    /// Whether anything is running. Takes no lock.
    pub fn is_busy(&self) -> bool {
        self.0.running.load(Ordering::SeqCst) > 0
    }

    /// When the state last changed between busy and idle. Takes no lock.
    pub fn changed(&self) -> Moment {
        Moment {
            wall_ms: self.0.changed_wall_ms.load(Ordering::SeqCst),
            running_ms: self.0.changed_running_ms.load(Ordering::SeqCst),
        }
    }

    /// Counts this moment as a change, whatever is running.
    pub fn mark_change(&self) {
        self.0.mark_change();
    }

    /// This moment, on the clocks that [`Self::changed`] is read from.
    pub fn now(&self) -> Moment {
        self.0.now()
    }

    /// What is running, oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        let jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let running = jobs.running.values();
        running.map(|(name, since)| Job { name: name.clone(), running_for: since.elapsed() }).collect()
    }
}

impl Default for Activity {
    fn default() -> Self {
        let register = Register {
            began: Instant::now(),
            running: AtomicUsize::new(0),
            changed_wall_ms: AtomicU64::new(0),
            changed_running_ms: AtomicU64::new(0),
            jobs: Mutex::default(),
        };
        register.mark_change();
        Self(Arc::new(register))
    }
}

// === impl Register ===

impl Register {
    fn now(&self) -> Moment {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Moment {
            wall_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
            running_ms: millis(self.began.elapsed()),
        }
    }

    fn mark_change(&self) {
        let now = self.now();
        self.changed_wall_ms.store(now.wall_ms, Ordering::SeqCst);
        self.changed_running_ms.store(now.running_ms, Ordering::SeqCst);
    }

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
            self.register.mark_change();
        }
    }
}
