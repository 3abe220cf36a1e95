//! What can build for Graviton on this machine.
//!
//! Every choice links statically, so that one binary serves code deployment, an image with nothing else in it,
//! and Lambda, whatever C library each has. musl comes first: its resolver reads no plug-ins. Debian's cross
//! compiler has no musl; its glibc is linked statically and resolves names from files and DNS by itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

const MUSL: &str = "aarch64-unknown-linux-musl";
const GNU: &str = "aarch64-unknown-linux-gnu";

/// Nothing here builds for Graviton.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolchainError {
    #[error(
        "no Rust compiler here builds for linux/arm64; run `rustup target add {MUSL}` and install \
         gcc-aarch64-linux-gnu, or on Debian run `dpkg --add-architecture arm64 && apt-get update && apt-get install \
         rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross`"
    )]
    NoCompiler,
    #[error(
        "{rustc} builds for {target}, but nothing here compiles C for it, which TLS needs; install \
         gcc-aarch64-linux-gnu (with libc6-dev-arm64-cross on Debian), or cargo-zigbuild and zig"
    )]
    NoLinker { rustc: String, target: &'static str },
}

/// A Rust compiler, a target, and what compiles C and links for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toolchain {
    pub(super) rustc: PathBuf,
    pub(super) target: &'static str,
    pub(super) linker: Linker,
    /// What the compiler says it is.
    version: String,
}

/// How C is compiled and programs are linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Linker {
    /// `cargo zigbuild` sees to both.
    Zig,
    /// A C compiler for the target does both.
    Gcc(&'static str),
    /// A C compiler for another C library of the same machine compiles; rustc's own linker links, with the
    /// C library that comes with the target.
    Lld { c_compiler: &'static str },
}

// === impl Toolchain ===

impl Toolchain {
    /// The first that is whole. `RUSTC` decides the compiler where it is set.
    pub(super) fn find() -> Result<Self, ToolchainError> {
        let mut lacking = None;
        for rustc in compilers() {
            let Some(version) = version(&rustc) else { continue };
            for target in [MUSL, GNU].into_iter().filter(|target| has_library(&rustc, target)) {
                match Linker::find(target) {
                    Some(linker) => return Ok(Self { rustc, target, linker, version }),
                    None => lacking = Some(ToolchainError::NoLinker { rustc: version.clone(), target }),
                }
            }
        }
        Err(lacking.unwrap_or(ToolchainError::NoCompiler))
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, target, linker, version } = self;
        write!(formatter, "{version} ({}) for {target}, static, linked by {linker}", rustc.display())
    }
}

// === impl Linker ===

impl Linker {
    fn find(target: &str) -> Option<Self> {
        let gcc = "aarch64-linux-gnu-gcc";
        if target == GNU {
            return answers(gcc).then_some(Self::Gcc(gcc));
        }
        let musl_gcc = "aarch64-linux-musl-gcc";
        if answers(musl_gcc) {
            Some(Self::Gcc(musl_gcc))
        } else if answers("cargo-zigbuild") {
            Some(Self::Zig)
        } else {
            answers(gcc).then_some(Self::Lld { c_compiler: gcc })
        }
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zig => formatter.write_str("cargo-zigbuild"),
            Self::Gcc(program) => formatter.write_str(program),
            Self::Lld { c_compiler } => write!(formatter, "rust-lld, C compiled by {c_compiler}"),
        }
    }
}

/// rustup's compiler comes first on PATH and hides the distribution's, which may have the library it lacks.
fn compilers() -> Vec<PathBuf> {
    match std::env::var_os("RUSTC") {
        Some(chosen) => vec![PathBuf::from(chosen)],
        None => vec![PathBuf::from("rustc"), PathBuf::from("/usr/bin/rustc")],
    }
}

fn version(rustc: &Path) -> Option<String> {
    said(Command::new(rustc).arg("--version"))
}

/// Whether the standard library for `target` lies where `rustc` looks for it.
fn has_library(rustc: &Path, target: &str) -> bool {
    let folder = said(Command::new(rustc).args(["--print", "target-libdir", "--target", target]));
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("libstd-"))
}

fn answers(program: &str) -> bool {
    said(Command::new(program).arg("--version")).is_some()
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}
