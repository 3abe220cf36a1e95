//! What `vitracka package` makes, in the hands of programs nobody here wrote: Python, skopeo, umoci, and qemu
//! in place of a Graviton.
//!
//! What a machine lacks is said on standard error, past the test harness, which would keep it to itself; with
//! `PACKAGING=required` in the environment it fails, so that CI cannot pass on less than it says.

mod arm64;
mod code;
mod container;
mod function;
mod launcher;
pub(crate) mod made;
mod refusals;

use std::io::Write as _;
use std::path::Path;

use crate::agent::Agent;
use crate::socket::Request;

const SESSION: &str = "a-session-of-the-package-tests-0123456789";

/// Gives nothing, and says why, unless it must not lack here.
fn lacking<T>(what: &str) -> Option<T> {
    assert!(std::env::var("PACKAGING").as_deref() != Ok("required"), "{what}");
    let _ = writeln!(std::io::stderr(), "SKIPPED  packaging: {what}");
    None
}

/// Whether a program is on the machine.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// It is healthy, and a turn of the coach comes in pieces to its end.
fn answers(agent: &Agent) {
    let ping = Request::get("/ping").send(agent.port);
    assert_eq!(ping.status, 200, "{}", ping.body);
    assert!(ping.body.contains(r#""status":"Healthy""#), "{}", ping.body);
    let turn = agent.post(SESSION, "I had a setback today.", "text/event-stream");
    assert_eq!(turn.status, 200, "{}", turn.body);
    assert!(turn.body.matches("contentBlockDelta").count() > 1, "{}", turn.body);
    let last = turn.body.trim_end().rsplit("\n\n").next().expect("a split has a part");
    assert!(last.contains(r#""stop_reason":"end_turn""#), "{last}");
    // What ships was built without it.
    let websocket = Request::get("/ws").send(agent.port);
    assert!(websocket.status == 403 && websocket.body.contains("--features websocket"), "{}", websocket.body);
}
