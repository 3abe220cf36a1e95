//! `vitracka package`: an agent for each of the ways AWS takes one.
//!
//! Under `target/package/AGENT/` lie afterwards
//! - `code/` and `code.zip`: the agent and a launcher, for AgentCore's code deployment;
//! - `image/` and `image.tar`: an image's files, and the image, for AgentCore's containers;
//! - `lambda.zip`: a function for `provided.al2023`.
//!
//! All hold the same static binary. The same commit makes the same bytes, whoever builds it and where, with
//! the same compiler: dates are the commit's or `SOURCE_DATE_EPOCH`, orders are fixed, owners are root, and
//! paths of the building machine are renamed. Deflate is `miniz_oxide`'s, which does not choose by processor.

mod build;
mod certificates;
mod commit;
mod file;
mod image;
pub(crate) mod program;
pub(crate) mod size;
mod toolchain;
mod workspace;
mod zip_file;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zip::result::ZipError;

use crate::output;
use build::{Build, BuildError};
use commit::{Commit, DateError};
use file::{EXECUTABLE, PackedFile, READABLE, lay};
use image::ImageError;
use program::{Program, ProgramError};
use size::{IMAGE_LIMIT, Megabytes, PROGRAM_LIMIT};
use toolchain::{Toolchain, ToolchainError};
use workspace::{Agent, Workspace, WorkspaceError};
use zip_file::zipped;

/// What AgentCore starts, with a place for the agent's name.
const LAUNCHER: &str = include_str!("../../../../deploy/launcher/main.py");

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Date(#[from] DateError),
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("the zip cannot be written: {0}")]
    Zip(#[from] ZipError),
    #[error("{} cannot be written: {reason}", .folder.display())]
    Write { folder: PathBuf, reason: std::io::Error },
    #[error("the result cannot be printed: {0}")]
    Output(#[source] std::io::Error),
}

/// Packages the agents of these names, all when none is named, with those features of theirs.
pub(crate) fn run(names: &[String], features: &[String]) -> Result<ExitCode, PackageError> {
    let workspace = Workspace::read()?;
    let agents = workspace.choose(names, features)?;
    let commit = Commit::read(&workspace.root)?;
    let toolchain = Toolchain::find()?;
    say(&format!("toolchain  {toolchain}"))?;
    let build = Build { workspace: &workspace, toolchain: &toolchain, features };
    build.run(&agents)?;
    for agent in agents {
        let program = Program::read(&build.program(agent), program_limit(features))?;
        let folder = workspace.target.join("package").join(&agent.name);
        Package::of(agent, &program, &commit)?.write(&folder)?;
        say(&format!("{}  {}, aarch64, static, stripped", agent.name, program.size()))?;
        for made in ["code.zip", "image.tar", "lambda.zip"] {
            let path = folder.join(made);
            let length = fs::metadata(&path).map_err(unwritable(&folder))?.len();
            say(&format!("  {}  {}", path.display(), Megabytes::new(length)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What an agent speaks beside HTTP it pays for with bytes; what an image may have still holds.
fn program_limit(features: &[String]) -> Megabytes {
    if features.is_empty() { PROGRAM_LIMIT } else { IMAGE_LIMIT }
}

/// All that is made of one binary.
struct Package<'a> {
    program: &'a [u8],
    launcher: String,
    authorities: String,
    code_zip: Vec<u8>,
    image_tar: Vec<u8>,
    lambda_zip: Vec<u8>,
    name: &'a str,
}

// === impl Package ===

impl<'a> Package<'a> {
    fn of(agent: &'a Agent, program: &'a Program, commit: &Commit) -> Result<Self, PackageError> {
        let mut package = Self {
            program: &program.bytes,
            launcher: LAUNCHER.replace(r#"BINARY = "AGENT""#, &format!("BINARY = {:?}", agent.name)),
            authorities: certificates::bundle(),
            code_zip: Vec::new(),
            image_tar: Vec::new(),
            lambda_zip: Vec::new(),
            name: &agent.name,
        };
        package.code_zip = zipped(&package.code(), commit.date)?;
        package.image_tar = image::image(agent, &package.image(), commit)?;
        package.lambda_zip = zipped(&[executable("bootstrap", package.program)], commit.date)?;
        Ok(package)
    }

    fn code(&self) -> [PackedFile<'_>; 2] {
        [executable(self.name, self.program), readable("main.py", self.launcher.as_bytes())]
    }

    fn image(&self) -> [PackedFile<'_>; 2] {
        [executable(image::PROGRAM, self.program), readable(certificates::PATH, self.authorities.as_bytes())]
    }

    /// Writes it all, over whatever an earlier run left.
    fn write(&self, folder: &Path) -> Result<(), PackageError> {
        let write = || {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            lay(&folder.join("code"), &self.code())?;
            lay(&folder.join("image"), &self.image())?;
            fs::create_dir(folder.join("image/tmp"))?;
            fs::write(folder.join("code.zip"), &self.code_zip)?;
            fs::write(folder.join("image.tar"), &self.image_tar)?;
            fs::write(folder.join("lambda.zip"), &self.lambda_zip)
        };
        write().map_err(unwritable(folder))
    }
}

fn executable<'a>(path: &'a str, bytes: &'a [u8]) -> PackedFile<'a> {
    PackedFile { path, mode: EXECUTABLE, bytes }
}

fn readable<'a>(path: &'a str, bytes: &'a [u8]) -> PackedFile<'a> {
    PackedFile { path, mode: READABLE, bytes }
}

fn unwritable(folder: &Path) -> impl Fn(std::io::Error) -> PackageError {
    move |reason| PackageError::Write { folder: folder.to_owned(), reason }
}

fn say(line: &str) -> Result<(), PackageError> {
    output::line(line).map_err(PackageError::Output)
}
