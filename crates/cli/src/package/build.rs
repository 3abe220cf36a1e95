//! Cargo, told to build for Graviton and to leave no trace of where.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::commit::DATE_VARIABLE;
use super::toolchain::{Linker, Toolchain};
use super::workspace::{Agent, Workspace};

/// What separates flags in `CARGO_ENCODED_RUSTFLAGS`, where they may hold blanks.
const BETWEEN_FLAGS: &str = "\u{1f}";

/// How many bytes of code must be saved before LLVM makes a function of instructions that stand in several places. Each
/// function has an entry of some 30 bytes in the tables for unwinding, which LLVM does not count: with its own 1 byte,
/// half of the coach's functions were such, and the binary was 3 % larger.
const WORTH_OUTLINING: &str = "-Cllvm-args=-outliner-benefit-threshold=40";

/// Why there is no binary.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("cargo cannot be started: {0}")]
    NoCargo(#[source] std::io::Error),
    #[error("the build failed ({0}); the lines above say why")]
    Failed(ExitStatus),
}

/// A build of some agents.
#[derive(Debug)]
pub(super) struct Build<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) toolchain: &'a Toolchain,
    /// Features of each of the agents.
    pub(super) features: &'a [String],
}

// === impl Build ===

impl Build<'_> {
    /// Builds them in one go, in a target directory of its own: the developer's builds stay as they are.
    pub(super) fn run(&self, agents: &[&Agent]) -> Result<(), BuildError> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.arg(if self.toolchain.linker == Linker::Zig { "zigbuild" } else { "build" });
        command.args(["--release", "--locked", "--target", self.toolchain.target, "--target-dir"]).arg(self.folder());
        command.args(agents.iter().flat_map(|agent| ["--package", &agent.name, "--bin", &agent.name]));
        for (agent, feature) in agents.iter().flat_map(|agent| self.features.iter().map(move |name| (agent, name))) {
            command.args(["--features", &format!("{}/{feature}", agent.name)]);
        }
        self.prepare(&mut command);
        let status = command.status().map_err(BuildError::NoCargo)?;
        if status.success() { Ok(()) } else { Err(BuildError::Failed(status)) }
    }

    /// Where an agent's binary is after the build.
    pub(super) fn program(&self, agent: &Agent) -> PathBuf {
        self.folder().join(self.toolchain.target).join("release").join(&agent.name)
    }

    fn folder(&self) -> PathBuf {
        self.workspace.target.join("package/build")
    }

    fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_another_builds(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        let target = self.toolchain.target.replace('-', "_");
        command
            .current_dir(&self.workspace.root)
            .env("RUSTC", &self.toolchain.rustc)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags())
            .env(format!("CFLAGS_{target}"), self.c_flags())
            .env("CC_SHELL_ESCAPED_FLAGS", "1")
            // Not the commit's: no date belongs into a binary, and build scripts would begin anew with each commit.
            .env(DATE_VARIABLE, "0")
            // A panic is answered with status 500 and the process lives on, whatever the workspace's profile says.
            .env("CARGO_PROFILE_RELEASE_PANIC", "unwind")
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
        if let Linker::Gcc(program) | Linker::Lld { c_compiler: program } = self.toolchain.linker {
            command.env(format!("CC_{target}"), program);
        }
    }

    fn rust_flags(&self) -> OsString {
        let mut flags: Vec<OsString> = vec!["-Ctarget-feature=+crt-static".into(), WORTH_OUTLINING.into()];
        match self.toolchain.linker {
            Linker::Gcc(program) => {
                flags.extend([format!("-Clinker={program}").into(), "-Clink-arg=-Wl,--build-id=none".into()]);
            }
            Linker::Lld { .. } => flags.push("-Clinker=rust-lld".into()),
            Linker::Zig => {}
        }
        flags.extend(self.places().map(|(place, name)| renamed("--remap-path-prefix=", &place, name)));
        flags.join(BETWEEN_FLAGS.as_ref())
    }

    /// Names of source files get into binaries by `assert` in C as by panics in Rust. Quoted, for folders with
    /// blanks in their names.
    fn c_flags(&self) -> OsString {
        let flags = self.places().map(|(place, name)| {
            let mut quoted = renamed("'-ffile-prefix-map=", &place, name);
            quoted.push("'");
            quoted
        });
        flags.collect::<Vec<_>>().join(" ".as_ref())
    }

    /// What differs from machine to machine, and what it is called instead. Of several that fit the compilers
    /// take the last: a target directory mostly lies in its workspace.
    fn places(&self) -> impl Iterator<Item = (PathBuf, &'static str)> {
        let home = || std::env::home_dir().map(|home| home.join(".cargo"));
        let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
        let cargo_home = cargo_home.map(|place| (place, "/cargo"));
        let workspace = [(self.workspace.root.clone(), "/workspace"), (self.folder(), "/build")];
        cargo_home.into_iter().chain(workspace)
    }
}

/// Whether a variable is of the build that this program runs in, under `cargo run` or `cargo test`: build scripts
/// would see it, and their work would be done again each time that somebody else asks for it.
fn is_another_builds(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CFG_", "CARGO_BIN_", "CARGO_FEATURE_"]
        .iter()
        .any(|start| name.starts_with(start))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_BUILD_TARGET", "RUSTFLAGS", "OUT_DIR"].contains(&name)
}

fn renamed(flag: &str, place: &Path, name: &str) -> OsString {
    let mut text = OsString::from(flag);
    text.push(place);
    text.push("=");
    text.push(name);
    text
}
