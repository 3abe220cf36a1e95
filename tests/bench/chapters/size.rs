//! What has to be on a machine beside an operating system.

use std::path::Path;

use serde::Serialize;

use crate::Failure;
use crate::contender::{Bench, Contender};

/// How much somebody ships.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Size {
    pub(crate) contender: Contender,
    pub(crate) bytes: u64,
    pub(crate) files: usize,
}

/// Counts the files of each: for Python the packages, not the interpreter.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Size>, Failure> {
    [Contender::Ours, Contender::Peer, Contender::Tuned]
        .into_iter()
        .map(|contender| {
            let counted = bench.files(contender).iter().map(|path| count(path)).collect::<Result<Vec<_>, _>>()?;
            let bytes = counted.iter().map(|(bytes, _)| bytes).sum();
            Ok(Size { contender, bytes, files: counted.iter().map(|(_, files)| files).sum() })
        })
        .collect()
}

fn count(path: &Path) -> Result<(u64, usize), Failure> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_dir() {
        return Ok((metadata.len(), 1));
    }
    std::fs::read_dir(path)?.try_fold((0, 0), |(bytes, files), entry| {
        let (more_bytes, more_files) = count(&entry?.path())?;
        Ok((bytes + more_bytes, files + more_files))
    })
}
