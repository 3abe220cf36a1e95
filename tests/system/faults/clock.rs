//! A process whose clock a test sets, by the library libfaketime.
//!
//! What a person reads on the clock is set, the clock that only runs is not: so it is for a process that is revived from a
//! snapshot, or on a machine whose clock is put right.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian has the library, by architecture.
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// A clock that is set by a file.
pub(super) struct Clock {
    library: &'static str,
    file: PathBuf,
}

// === impl Clock ===

impl Clock {
    /// A clock that is right; none where the library is not installed, which is said.
    pub(super) fn right(folder: &Path) -> Option<Self> {
        let Some(library) = LIBRARIES.into_iter().find(|library| Path::new(library).exists()) else {
            assert!(std::env::var("FAULTS").as_deref() != Ok("required"), "libfaketime is not installed");
            eprintln!("LEFT OUT: clocks that jump, because libfaketime is not installed");
            return None;
        };
        let clock = Self { library, file: folder.join("clock") };
        clock.set(0);
        Some(clock)
    }

    /// Sets it so many seconds before or after what is right.
    pub(super) fn set(&self, seconds: i64) {
        // Read by the process while it is written: it must never be found empty.
        let beside = self.file.with_extension("next");
        fs::write(&beside, format!("{seconds:+}")).expect("written");
        fs::rename(&beside, &self.file).expect("renamed");
    }

    /// Has a command live by it.
    pub(super) fn given_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
}
