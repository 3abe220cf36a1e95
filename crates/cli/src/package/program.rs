//! The binary, read before it ships: what the linker made is what counts, not what it was asked for.

use std::fs;
use std::path::{Path, PathBuf};

use object::elf::{EM_AARCH64, PT_INTERP, SHT_SYMTAB};
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, Object as _};

use super::size::Megabytes;

/// Why a binary must not ship.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("{} cannot be read: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: std::io::Error },
    #[error("{} is no program for 64-bit Linux: {reason}", .path.display())]
    NotElf { path: PathBuf, reason: object::Error },
    #[error("{} is {problem}; take the compiler's flags out of the way that made it so (RUSTC, CC, a Cargo profile)", .path.display())]
    Unfit { path: PathBuf, problem: &'static str },
    #[error(
        "{} has {size}, and {limit} are allowed; see what grew with cargo-bloat, or build for size with opt-level",
        .path.display()
    )]
    TooLarge { path: PathBuf, size: Megabytes, limit: Megabytes },
}

/// A binary that runs on Graviton and needs nothing beside it.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) bytes: Vec<u8>,
}

// === impl Program ===

impl Program {
    /// Reads the binary at `path`, and refuses one that would not run, or not everywhere, or that is too large.
    pub(crate) fn read(path: &Path, limit: Megabytes) -> Result<Self, ProgramError> {
        let path = path.to_owned();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(reason) => return Err(ProgramError::Unreadable { path, reason }),
        };
        match problem(&bytes) {
            Err(reason) => return Err(ProgramError::NotElf { path, reason }),
            Ok(Some(problem)) => return Err(ProgramError::Unfit { path, problem }),
            Ok(None) => {}
        }
        let size = Megabytes::of(&bytes);
        if size > limit {
            return Err(ProgramError::TooLarge { path, size, limit });
        }
        Ok(Self { bytes })
    }

    /// How large it is.
    pub(crate) fn size(&self) -> Megabytes {
        Megabytes::of(&self.bytes)
    }
}

fn problem(bytes: &[u8]) -> Result<Option<&'static str>, object::Error> {
    let file = ElfFile64::<Endianness>::parse(bytes)?;
    let endian = file.endian();
    let wants_loader = file.elf_program_headers().iter().any(|header| header.p_type(endian) == PT_INTERP);
    let has_symbols = file.elf_section_table().iter().any(|section| section.sh_type(endian) == SHT_SYMTAB);
    Ok(if file.elf_header().e_machine(endian) != EM_AARCH64 {
        Some("not built for aarch64")
    } else if wants_loader {
        Some("linked dynamically, and an image from scratch has nothing to link it with")
    } else if has_symbols || file.has_debug_symbols() {
        Some("not stripped")
    } else {
        None
    })
}

// === tests ===

#[cfg(test)]
mod specification {
    use super::super::size::IMAGE_LIMIT;
    use super::{Path, Program};

    #[test]
    fn a_program_of_this_machine_is_refused_with_the_first_thing_that_is_wrong() {
        let own = std::env::current_exe().expect("a test is a program");
        let refused =
            Program::read(&own, IMAGE_LIMIT).expect_err("it is large, dynamic, and mostly for another machine");
        let sentence = refused.to_string().replace(&own.display().to_string(), "PROGRAM");
        let expected = if cfg!(target_arch = "aarch64") { "linked dynamically" } else { "not built for aarch64" };
        assert!(sentence.starts_with(&format!("PROGRAM is {expected}")), "{sentence}");
    }

    #[test]
    fn a_file_that_is_no_program_is_refused() {
        let refused = Program::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), IMAGE_LIMIT);
        let sentence = refused.expect_err("a manifest does not run").to_string();
        assert!(sentence.contains("Cargo.toml is no program for 64-bit Linux: "), "{sentence}");
    }
}
