//! Other people's programs, installed once a machine.
//!
//! A list with every version pinned is installed under `target/`, in a folder named after the list's own
//! hash: an unchanged list costs nothing, a changed one gets a new folder. Tests and whole test runs may
//! want the same list at the same moment; a lock on a file lets one of them work and the others wait. A
//! folder becomes valid with its last file, so a run that was killed half-way leaves nothing that counts.

pub(crate) mod node;
pub(crate) mod python;
mod script;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

pub(crate) use node::{
    ag_ui_script, agentcore_cli, browser_script, mcp_conformance, mcp_inspector, mcp_node_script, node_script,
    typescript_example,
};
pub(crate) use python::{
    a2a_program, a2a_script, collector, example_client, lambda_emulator, linter, linters_script, mcp_python_script,
    ministack, moto_script, moto_server, older_a2a_script, python_script, starter_toolkit, telemetry_script,
    toolkit_script, websocket_script,
};
pub(crate) use script::Script;

/// The last file that is written into a prepared folder.
const COMPLETE: &str = ".complete";

/// The repository.
pub(crate) fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package is two folders down").to_owned()
}

/// A folder of the repository's `tests`.
pub(crate) fn tests(path: &str) -> PathBuf {
    repository().join("tests").join(path)
}

/// A program that must be on the machine.
struct Tool {
    program: &'static str,
    name: &'static str,
    least: (u32, u32),
    what_for: &'static str,
}

/// A folder `name-{hash of what it is made of}` under `target/`, made by `make` unless it is there.
fn prepared(name: &str, made_of: &[&[u8]], make: impl FnOnce(&Path)) -> PathBuf {
    prepared_in(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign"), name, made_of, make)
}

fn prepared_in(shelf: &Path, name: &str, made_of: &[&[u8]], make: impl FnOnce(&Path)) -> PathBuf {
    fs::create_dir_all(shelf).expect("target/ can be written to");
    let lock = File::create(shelf.join(format!("{name}.lock"))).expect("target/ can be written to");
    lock.lock().expect("the file system of target/ has locks");
    let folder = shelf.join(format!("{name}-{}", hash(made_of)));
    if !folder.join(COMPLETE).exists() {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                panic!("{} is half-made and cannot be removed: {error}", folder.display())
            }
            _ => {}
        }
        fs::create_dir_all(&folder).expect("target/ can be written to");
        make(&folder);
        fs::write(folder.join(COMPLETE), "").expect("target/ can be written to");
    }
    folder
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..6].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// Writes a file that can be run.
pub(crate) fn executable(path: &Path, content: &str) {
    fs::write(path, content).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its owner may change its mode");
}

/// Runs an installer. What it says matters only when it fails.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed, {}; it needs the network the first time:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// A command that sees no AWS account of the developer's and no proxy between it and the loopback.
pub(crate) fn secluded(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("AWS_") || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    let nothing = if cfg!(windows) { "NUL" } else { "/dev/null" };
    command
        .env("AWS_CONFIG_FILE", nothing)
        .env("AWS_SHARED_CREDENTIALS_FILE", nothing)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", "AKIALOCALTESTS000000")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_DEFAULT_REGION", "eu-west-1");
    command
}

// === impl Tool ===

impl Tool {
    /// The version as the tool prints it; panics with what to do unless it is there and new enough.
    fn version(&self) -> String {
        self.find().unwrap_or_else(|sentence| panic!("{sentence}"))
    }

    fn find(&self) -> Result<String, String> {
        let Self { program, name, least: (major, minor), what_for } = self;
        let wanted = format!("the system tests need {name} {major}.{minor} or newer as `{program}`, for {what_for}");
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|error| format!("{wanted}: {error}. Install it, or put it on PATH"))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match numbers(&version) {
            Some(found) if found >= self.least => Ok(version),
            _ => Err(format!("{wanted}; `{program}` is `{version}`. Install a newer one, or put it first on PATH")),
        }
    }
}

/// Major and minor of a version in the midst of other words: `Python 3.11.7`, `v20.20.2`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches(|c: char| !c.is_ascii_digit()).split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

// === tests ===

#[cfg(test)]
mod specification {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::{Tool, fs, numbers, prepared_in};

    #[test]
    fn many_who_want_the_same_folder_get_one_that_was_made_once() {
        let shelf = tempfile::tempdir().expect("a temporary folder");
        let made = AtomicUsize::new(0);
        let ask = || {
            prepared_in(shelf.path(), "thing", &[b"list"], |folder| {
                made.fetch_add(1, Ordering::SeqCst);
                fs::write(folder.join("thing"), "whole").expect("writable");
            })
        };

        let folders = thread::scope(|scope| {
            let asking = (0..8).map(|_| scope.spawn(ask)).collect::<Vec<_>>();
            asking.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });

        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert!(folders.iter().all(|folder| *folder == folders[0]));
        assert_eq!(fs::read_to_string(folders[0].join("thing")).expect("it is there"), "whole");
    }

    #[test]
    fn a_folder_left_half_made_is_made_again_from_nothing() {
        let shelf = tempfile::tempdir().expect("a temporary folder");
        let killed = std::panic::catch_unwind(|| {
            prepared_in(shelf.path(), "thing", &[b"list"], |folder| {
                fs::write(folder.join("left over"), "").expect("writable");
                std::panic::resume_unwind(Box::new("killed half-way"));
            })
        });
        assert!(killed.is_err());

        let folder = prepared_in(shelf.path(), "thing", &[b"list"], |_| ());

        assert!(!folder.join("left over").exists());
    }

    #[test]
    fn a_changed_list_gets_a_folder_of_its_own() {
        let shelf = tempfile::tempdir().expect("a temporary folder");
        let before = prepared_in(shelf.path(), "thing", &[b"list", b"1"], |_| ());
        let after = prepared_in(shelf.path(), "thing", &[b"list1", b""], |_| ());
        assert_ne!(before, after);
    }

    #[test]
    fn a_missing_tool_is_told_in_one_sentence() {
        let missing = Tool { program: "no-such-node", name: "Node", least: (20, 0), what_for: "AWS's own client" };
        insta::assert_snapshot!(missing.find().expect_err("there is none"), @"the system tests need Node 20.0 or newer as `no-such-node`, for AWS's own client: No such file or directory (os error 2). Install it, or put it on PATH");
    }

    #[test]
    fn an_old_tool_is_told_in_one_sentence() {
        let old = Tool { program: "echo", name: "Echo", least: (99, 0), what_for: "saying things" };
        let sentence = old.find().expect_err("no echo is that new");
        assert!(sentence.starts_with("the system tests need Echo 99.0 or newer as `echo`, for saying things; "));
    }

    #[test]
    fn versions_are_read_as_the_tools_print_them() {
        assert_eq!(numbers("Python 3.11.7"), Some((3, 11)));
        assert_eq!(numbers("v20.20.2"), Some((20, 20)));
        assert_eq!(numbers("none"), None);
    }
}
