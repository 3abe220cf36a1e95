//! Code deployment: the zip, unpacked by a careful tool and by a careless one, and started by its launcher.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use zip::ZipArchive;

use super::arm64::arm64;
use super::{answers, made, read};
use crate::agent::{Agent, agent_environment};
use crate::foreign::repository;
use crate::local_aws::LocalAws;

#[test]
fn the_zip_holds_the_agent_as_a_program_and_its_launcher_and_nothing_else() {
    let Some(coach) = made::coach() else { return };
    let mut zip = ZipArchive::new(File::open(coach.join("code.zip")).expect("a zip")).expect("a zip");
    let entries: Vec<_> = (0..zip.len())
        .map(|index| {
            let entry = zip.by_index(index).expect("an entry");
            (entry.name().expect("UTF-8").into_owned(), entry.unix_mode().expect("a mode") & 0o7777)
        })
        .collect();
    assert_eq!(entries, [("coach_companion".to_owned(), 0o755), ("main.py".to_owned(), 0o644)]);
    for (name, _) in entries {
        let mut bytes = Vec::new();
        zip.by_name(&name).expect("an entry").read_to_end(&mut bytes).expect("it unpacks");
        assert!(bytes == read(&coach.join("code").join(&name)), "{name} is not what lies in code/");
    }
}

#[test]
fn what_ships_names_no_folder_of_the_machine_that_built_it() {
    let Some(coach) = made::coach() else { return };
    let program = read(&coach.join("code/coach_companion"));
    let home = std::env::home_dir().expect("a person has a home").join(".cargo");
    let home = std::env::var_os("CARGO_HOME").map_or(home, Into::into);
    for folder in [repository(), home] {
        let name = folder.display().to_string();
        let found = program.windows(name.len()).position(|window| window == name.as_bytes());
        let around = found.map(|at| String::from_utf8_lossy(&program[at..(at + 120).min(program.len())]).into_owned());
        assert_eq!(around, None, "{name}");
    }
}

#[test]
fn unpacked_by_a_tool_that_keeps_the_exec_bit_it_answers() {
    let Some(coach) = made::coach() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut zip = ZipArchive::new(File::open(coach.join("code.zip")).expect("a zip")).expect("a zip");
    zip.extract(folder.path()).expect("it unpacks");
    assert_eq!(mode(&folder.path().join("coach_companion")), 0o755);
    launched_it_answers(folder.path());
}

/// As the npm command of AgentCore does, and Python's own `zipfile`.
#[test]
fn unpacked_by_a_tool_that_loses_the_exec_bit_it_answers() {
    let Some(coach) = made::coach() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let unpacked = Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(coach.join("code.zip"))
        .arg(folder.path())
        .status()
        .expect("python3 starts");
    assert!(unpacked.success());
    assert_eq!(mode(&folder.path().join("coach_companion")) & 0o111, 0);
    launched_it_answers(folder.path());
}

fn launched_it_answers(folder: &Path) {
    let Some(mut command) = arm64("python3") else { return };
    let aws = LocalAws::start();
    command.arg("-B").arg(folder.join("main.py"));
    agent_environment(&mut command, &aws.endpoint(), &[]);
    let agent = Agent::start_command("the launched coach", command);
    answers(&agent);
    let (status, log) = agent.end();
    assert_eq!(status.code(), Some(0), "SIGTERM reaches the agent: {log}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}
