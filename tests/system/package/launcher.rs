//! The launcher on this machine, with a program of this machine in the agent's place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::lacking;
use crate::foreign::repository;
use crate::local_aws::START;
use crate::process::{Process, signal};

/// A folder with the launcher and a program that is named `an_agent`.
struct Staged(TempDir);

// === impl Staged ===

impl Staged {
    fn new(program: &[u8], mode: u32) -> Self {
        let staged = Self(tempfile::tempdir().expect("a folder"));
        let launcher = fs::read_to_string(repository().join("deploy/launcher/main.py")).expect("the launcher");
        let launcher = launcher.replace(r#"BINARY = "AGENT""#, r#"BINARY = "an_agent""#);
        assert!(launcher.contains("an_agent"), "the launcher has a place for the name");
        fs::write(staged.0.path().join("main.py"), launcher).expect("a file");
        fs::write(staged.program(), program).expect("a file");
        fs::set_permissions(staged.program(), fs::Permissions::from_mode(mode)).expect("its own file");
        staged
    }

    /// The shell of this machine, which does as its arguments say.
    fn shell(mode: u32) -> Self {
        Self::new(&fs::read("/bin/sh").expect("a shell"), mode)
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("an_agent")
    }

    fn is_executable(&self) -> bool {
        fs::metadata(self.program()).expect("it is there").permissions().mode() & 0o111 != 0
    }

    /// The launcher with these arguments, by whom or in what `before` says.
    fn command(&self, before: &[&str], arguments: &[&str]) -> Command {
        let words = [before, &["python3", "-B"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(self.0.path().join("main.py")).args(arguments);
        command
    }

    fn run(&self, before: &[&str], arguments: &[&str]) -> (Option<i32>, String, String) {
        let (status, said, errors) = Process::start("the launcher", self.command(before, arguments)).wait(START);
        (status.code(), said, errors)
    }
}

/// What Python ignores, by their numbers on Linux: a pipe that nobody reads, and a file grown too large.
const PIPE: u32 = 13;
const XFSZ: u32 = 25;

/// Prints which file it runs as, and ends with a status of its own.
const WHICH: [&str; 2] = ["-c", "readlink /proc/$$/exe; exit 7"];

#[test]
fn the_agent_gets_arguments_environment_and_process_id_and_its_status_is_the_launchers() {
    let staged = Staged::shell(0o755);
    let mut command = staged.command(&[], &["-c", r#"echo "$$ $GREETING $0 $1"; exit 7"#, "one argument", "two"]);
    command.env("GREETING", "hello");
    let process = Process::start("the launcher", command);
    let id = process.id();
    let (status, said, errors) = process.wait(START);
    assert_eq!((status.code(), said.trim()), (Some(7), &*format!("{id} hello one argument two")), "{errors}");
}

#[test]
fn a_signal_reaches_the_agent_and_none_is_ignored_that_python_ignores() {
    let staged = Staged::shell(0o755);
    let script = "trap 'echo asked to end; exit 3' TERM; grep SigIgn /proc/$$/status; while :; do read line || :; done";
    let process = Process::start("the launcher", staged.command(&[], &["-c", script]));
    let ignored = process.wait_for("SigIgn", START);
    let ignored = u64::from_str_radix(ignored.trim_start_matches("SigIgn:").trim(), 16).expect("a mask");
    for signal in [PIPE, XFSZ] {
        assert_eq!(ignored & (1 << (signal - 1)), 0, "{ignored:x}");
    }

    signal("TERM", process.id());

    let (status, said, _) = process.wait(START);
    assert_eq!(status.code(), Some(3), "{said}");
}

#[test]
fn an_exec_bit_that_was_lost_is_put_back() {
    let staged = Staged::shell(0o644);
    let (status, said, errors) = staged.run(&[], &WHICH);
    assert_eq!((status, said.trim()), (Some(7), &*staged.program().display().to_string()), "{errors}");
    assert!(staged.is_executable());
}

/// In a mount namespace of its own the folder is bound to itself with the flags of the case.
fn mounted(flags: &str, folder: &Path) -> Option<Vec<String>> {
    let namespace = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    if !namespace.is_ok_and(|output| output.status.success()) {
        return lacking(
            "folders that nothing may run in are made by `unshare --user --mount`, which is not allowed here",
        );
    }
    let folder = folder.display();
    let script = format!("mount --bind {folder} {folder} && mount -o remount,bind,{flags} {folder} && exec \"$@\"");
    ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec().into()
}

#[test]
fn where_the_folder_is_read_only_or_nothing_in_it_may_run_the_agent_runs_from_memory() {
    for (flags, mode) in [("ro", 0o644), ("noexec", 0o755), ("ro,noexec", 0o644)] {
        let staged = Staged::shell(mode);
        let Some(before) = mounted(flags, staged.0.path()) else { return };
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        let (status, said, errors) = staged.run(&before, &WHICH);
        assert_eq!((status, said.trim()), (Some(7), "/memfd:an_agent (deleted)"), "{flags}: {errors}");
    }
}

#[test]
fn where_memory_may_not_run_either_the_agent_runs_from_a_copy() {
    let staged = Staged::shell(0o755);
    let copies = tempfile::tempdir().expect("a folder");
    let Some(before) = mounted("noexec", staged.0.path()) else { return };
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    // What a kernel without memfd answers, or one told to forbid programs there.
    let forbid = "import os, runpy, sys\ndef no(*_): raise PermissionError(13, 'Permission denied')\n\
                  os.memfd_create = no\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')";
    let mut command = Command::new(before[0]);
    command.args(&before[1..]).args(["python3", "-B", "-c", forbid]).arg(staged.0.path().join("main.py")).args(WHICH);
    command.env("TMPDIR", copies.path());
    let (status, said, errors) = Process::start("the launcher", command).wait(START);
    assert_eq!(status.code(), Some(7), "{errors}");
    assert!(Path::new(said.trim()).starts_with(copies.path()), "{said}");
}

#[test]
fn what_cannot_run_is_told_in_a_sentence() {
    let mut foreign = fs::read("/bin/sh").expect("a shell");
    // An s390, which nobody is.
    foreign[18..20].copy_from_slice(&22_u16.to_le_bytes());
    let damaged = b"\x7fELF".to_vec();
    let missing = Staged::shell(0o755);
    fs::remove_file(missing.program()).expect("it was there");
    let told = [Staged::new(&foreign, 0o755), Staged::new(&foreign, 0o644), Staged::new(&damaged, 0o755), missing].map(
        |staged| {
            let (status, said, errors) = staged.run(&[], &[]);
            assert_eq!((status, said.as_str()), (Some(1), ""));
            let here = format!("this machine is {}", std::env::consts::ARCH);
            errors
                .trim_end()
                .replace(&staged.0.path().display().to_string(), "<folder>")
                .replace(&here, "this machine is <arch>")
        },
    );
    insta::assert_snapshot!(told.join("\n"), @"
    vitracka: an_agent is built for machine type 22 and this machine is <arch>; deploy what `vitracka package` made, with platform linux/arm64
    vitracka: an_agent is built for machine type 22 and this machine is <arch>; deploy what `vitracka package` made, with platform linux/arm64
    vitracka: <folder>/an_agent is no program for Linux; make it again with `vitracka package`
    vitracka: an_agent is not beside <folder>/main.py; deploy what `vitracka package` made, all of it
    ");
}

/// The oldest managed runtime has Python 3.10: nothing newer may be in the source.
#[test]
fn the_launcher_is_python_of_the_oldest_managed_runtime() {
    let check = "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 10))";
    let launcher = repository().join("deploy/launcher/main.py");
    let status = Command::new("python3").args(["-c", check]).arg(launcher).status().expect("python3 starts");
    assert!(status.success());
}
