//! A file on its way into a package.

use std::fs;
use std::io::Result;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Who may what with a program.
pub(super) const EXECUTABLE: u32 = 0o755;

/// Who may what with any other file.
pub(super) const READABLE: u32 = 0o644;

/// A file of a package.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedFile<'a> {
    /// Relative to the package's root.
    pub(super) path: &'a str,
    pub(super) mode: u32,
    pub(super) bytes: &'a [u8],
}

/// Lays files into a folder.
pub(super) fn lay(folder: &Path, files: &[PackedFile<'_>]) -> Result<()> {
    for file in files {
        let path = folder.join(file.path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(&path, file.bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
    }
    Ok(())
}
