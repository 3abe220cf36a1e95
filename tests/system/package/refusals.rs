//! What `vitracka package` says when it cannot.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::made;
use crate::foreign::repository;

fn refused(command: &mut Command) -> String {
    let output = command.output().expect("vitracka starts");
    assert!(!output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}

/// A workspace of someone else's, with a package `haiku`.
fn workspace(manifest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("src")).expect("a folder");
    fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").expect("a file");
    let manifest = format!("[package]\nname = \"haiku\"\nversion = \"1.2.3\"\nedition = \"2024\"\n{manifest}");
    fs::write(folder.path().join("Cargo.toml"), manifest).expect("a file");
    folder
}

#[test]
fn an_agent_that_is_not_there_is_told_with_those_that_are() {
    let sentence = refused(&mut made::package(&repository(), &["coach"]));
    insta::assert_snapshot!(sentence, @"vitracka: coach is not an agent of this workspace; there are coach_companion, test_agent");
}

#[test]
fn a_feature_that_is_not_there_is_told_with_those_that_are() {
    let sentence = refused(&mut made::package(&repository(), &["test_agent", "--features", "mcp,grpc"]));
    insta::assert_snapshot!(sentence, @"vitracka: test_agent has no feature grpc; its Cargo.toml has a2a, ag-ui, file-memory, jwt, mcp, websocket");
}

#[test]
fn in_another_workspace_its_members_on_the_runtime_are_the_agents() {
    let runtime = "[dependencies]\nagentcore-runtime = \"0.1\"\n";
    let agent = workspace(runtime);
    let sentence = refused(&mut made::package(agent.path(), &["coach"]));
    insta::assert_snapshot!(sentence, @"vitracka: coach is not an agent of this workspace; there are haiku");

    let no_agent = [workspace(""), workspace(&format!("{runtime}[package.metadata.vitracka]\npackage = false\n"))];
    for folder in no_agent {
        let sentence = refused(&mut made::package(folder.path(), &[]));
        let sentence = sentence.replace(&folder.path().display().to_string(), "<folder>");
        insta::allow_duplicates! {
            insta::assert_snapshot!(sentence, @"vitracka: there is no agent in <folder>; an agent is a member that depends on agentcore-runtime and has a binary of its own name");
        }
    }
}

#[test]
fn a_folder_without_a_workspace_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let sentence = refused(&mut made::package(folder.path(), &[]));
    assert!(sentence.starts_with("vitracka: the workspace cannot be read ("), "{sentence}");
    assert!(sentence.ends_with("; run this in the folder of a Cargo workspace"), "{sentence}");
}

#[test]
fn a_compiler_that_cannot_build_for_arm64_is_told_with_what_to_install() {
    let sentence = refused(made::package(&repository(), &[]).env("RUSTC", Path::new("/bin/false")));
    insta::assert_snapshot!(sentence, @"vitracka: no Rust compiler here builds for linux/arm64; run `rustup target add aarch64-unknown-linux-musl` and install gcc-aarch64-linux-gnu, or on Debian run `dpkg --add-architecture arm64 && apt-get update && apt-get install rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross`");
}

#[test]
fn a_date_that_is_none_is_told() {
    let sentence = refused(made::package(&repository(), &[]).env("SOURCE_DATE_EPOCH", "yesterday"));
    insta::assert_snapshot!(sentence, @"vitracka: SOURCE_DATE_EPOCH=yesterday is not a date; it counts seconds since 1970, of a day from 1980 to 2107");
}
