//! The inputs that fuzzing has kept, once more through the targets that it found them with, whole and broken.
//! `tests/fuzz/README.md` tells how to look for others.

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;

use crate::foreign::repository;
use targets::Target;

/// How many broken forms of each input are tried: some seconds of work in all.
const BROKEN: u64 = 2;

/// What breaks numbers, texts, lines and lengths.
const PIECES: [&[u8]; 10] =
    [b"\0", b"\xff", b"\"", b"{", b"[[[[[[[[", b"\n", b"-1", b"99999999999999999999", b"1e999", b"\\ud800"];

/// The kept inputs of a target, by name.
fn corpus(target: &Target) -> Vec<PathBuf> {
    let folder = repository().join("tests/fuzz/corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// The input with something wrong in it, the same at each run: what goes wrong here can be looked at again.
fn broken(input: &[u8], mut seed: u64) -> Vec<u8> {
    let mut drawn = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or_default() % below.max(1)
    };
    let mut bytes = input.to_vec();
    for _ in 0..=drawn(3) {
        let (one, other) = (drawn(bytes.len() + 1), drawn(bytes.len() + 1));
        let (from, to) = (one.min(other), one.max(other));
        match drawn(4) {
            0 => bytes.truncate(to),
            1 => drop(bytes.drain(from..to)),
            2 => drop(bytes.splice(from..from, PIECES[drawn(PIECES.len())].iter().copied())),
            _ => bytes.extend_from_within(from..to),
        }
    }
    bytes
}

#[test]
fn what_fuzzing_has_kept_is_taken_as_it_should_be_and_so_is_what_is_like_it() {
    for target in targets::ALL {
        let files = corpus(target);
        assert!(!files.is_empty(), "{} has a corpus", target.name);
        for (file, place) in files.into_iter().zip(0..) {
            let input = fs::read(&file).expect("it can be read");
            // What a failing test has printed is shown with it.
            println!("{}", file.display());
            (target.run)(&input);
            for number in 0..BROKEN {
                let broken = broken(&input, place * BROKEN + number);
                println!("{} broken: {}", file.display(), broken.escape_ascii());
                (target.run)(&broken);
            }
        }
    }
}
