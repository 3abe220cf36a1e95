//! The packages, made once a test run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::lacking;
use crate::foreign::repository;
use crate::local_aws::unconfigured;

/// What the command says where it has nothing to build with.
const NO_TOOLCHAIN: [&str; 2] = ["no Rust compiler here builds", "nothing here compiles C"];

/// The coach, packaged.
pub(crate) fn coach() -> Option<PathBuf> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match MADE.get_or_init(make) {
        Ok(folder) => Some(folder.join("coach_companion")),
        Err(sentence) => lacking(sentence),
    }
}

/// `vitracka package` in `folder`, with cargo as a person has it.
pub(super) fn package(folder: &Path, words: &[&str]) -> Command {
    let mut command = unconfigured(env!("CARGO_BIN_EXE_vitracka"));
    command.current_dir(folder).arg("package").args(words);
    command
}

/// Cargo is incremental: what is there and up to date costs seconds.
fn make() -> Result<PathBuf, String> {
    let output = package(&repository(), &["coach_companion"]).output().expect("vitracka starts");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        let zip = said.lines().find_map(|line| line.trim().split_once("/coach_companion/code.zip"));
        let (folder, _) = zip.unwrap_or_else(|| panic!("it does not say where the zip is: {said}"));
        return Ok(PathBuf::from(folder));
    }
    let sentence = errors.lines().last().unwrap_or_default();
    assert!(NO_TOOLCHAIN.iter().any(|lack| sentence.contains(lack)), "{said}{errors}");
    Err(sentence.to_owned())
}
