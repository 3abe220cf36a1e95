//! The inputs that fuzzing has kept, once more through the targets that it found them with. `tests/fuzz/README.md` tells
//! how to look for others.

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;

use crate::foreign::repository;
use targets::Target;

/// The kept inputs of a target, by name.
fn corpus(target: &Target) -> Vec<PathBuf> {
    let folder = repository().join("tests/fuzz/corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn what_fuzzing_has_kept_is_taken_as_it_should_be() {
    for target in targets::ALL {
        let files = corpus(target);
        assert!(!files.is_empty(), "{} has a corpus", target.name);
        for file in files {
            // What a failing test has printed is shown with it.
            println!("{}", file.display());
            (target.run)(&fs::read(&file).expect("it can be read"));
        }
    }
}
