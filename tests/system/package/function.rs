//! The Lambda function: the same program under the name that `provided.al2023` starts.

use std::fs::File;
use std::io::Read as _;

use zip::ZipArchive;

use super::{made, read};

#[test]
fn the_zip_holds_the_agent_as_bootstrap_and_nothing_else() {
    let Some(coach) = made::coach() else { return };
    let mut zip = ZipArchive::new(File::open(coach.join("lambda.zip")).expect("a zip")).expect("a zip");
    assert_eq!(zip.len(), 1);
    let mut entry = zip.by_index(0).expect("an entry");
    assert_eq!(entry.name().expect("UTF-8"), "bootstrap");
    assert_eq!(entry.unix_mode().map(|mode| mode & 0o7777), Some(0o755));
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).expect("it unpacks");
    assert!(bytes == read(&coach.join("code/coach_companion")), "one binary serves all");
}
