//! The Lambda function: the same program under the name that `provided.al2023` starts.

use std::fs::File;
use std::io::Read as _;

use zip::ZipArchive;

use super::arm64::arm64;
use super::{SESSION, made, read};
use crate::lambda::Function;
use crate::local_aws::LocalAws;
use crate::socket::Request;

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

#[test]
fn on_lambda_it_streams_a_turn() {
    let Some(coach) = made::coach() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut zip = ZipArchive::new(File::open(coach.join("lambda.zip")).expect("a zip")).expect("a zip");
    zip.extract(folder.path()).expect("it unpacks");
    let Some(command) = arm64(folder.path().join("bootstrap")) else { return };
    let aws = LocalAws::start();
    let function = Function::of(command, &aws, &[("FUNCTION_URL_INVOKE_MODE", "RESPONSE_STREAM")]);

    let headers = [("accept", "text/event-stream"), ("x-amzn-bedrock-agentcore-runtime-session-id", SESSION)];
    let turn = Request::post("/lambda-url/_/", br#"{"prompt":"I had a setback today."}"#);
    let turn = turn.with(&headers).send(function.port);

    assert_eq!(turn.status, 200, "{}", turn.body);
    assert!(turn.body.matches("contentBlockDelta").count() > 1, "{}", turn.body);
    assert!(turn.body.contains(r#""stop_reason":"end_turn""#), "{}", turn.body);
}
