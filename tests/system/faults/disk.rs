//! A disk that is full while sessions are kept in a file on it, and that has room again.

use std::process::Command;
use std::time::Duration;

use crate::agent::{Agent, agent_environment};
use crate::local_aws::{LocalAws, vitracka};
use crate::process::poll;
use crate::socket::Request;

const SESSION: &str = "a-session-of-the-disk-tests-0123456789";

/// How large the file may become at first, in blocks of 512 bytes: what an empty one has, and some turns.
const BLOCKS: u32 = 4_096;

/// More turns than fit.
const TURNS: usize = 40;

/// How long a write may rest before it is tried again, and a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// An agent whose files may not grow beyond a size. Where one would, the write fails as on a disk that is full.
fn agent_with_little_room(endpoint: &str, memory: &str) -> Agent {
    let mut command = Command::new("sh");
    // Without the trap the kernel would end the process instead.
    command.args(["-c", r#"trap '' XFSZ; ulimit -S -f "$1"; shift; exec "$@""#, "sh", &BLOCKS.to_string()]);
    command.arg(vitracka().get_program()).args(["agent", "test_agent"]);
    agent_environment(&mut command, endpoint, &[("SESSION_MEMORY", memory)]);
    Agent::start_command("agent with little room", command)
}

fn is_idle(agent: &Agent) -> bool {
    Request::get("/ping").send(agent.port).body.contains(r#""status":"Healthy""#)
}

#[test]
fn a_disk_that_was_full_for_a_while_costs_no_turn() {
    let aws = LocalAws::start();
    let folder = tempfile::tempdir().expect("a folder");
    let memory = format!("file:{}", folder.path().join("sessions.redb").display());
    let agent = agent_with_little_room(&aws.endpoint(), &memory);
    // Each as long as many.
    let words = "My cat Marmalade knocked over the zucchini. ".repeat(2_000);
    agent.say(SESSION, "My name is Aoife.");
    let full = (0..TURNS).find(|turn| {
        agent.say(&format!("{SESSION}-{turn}"), &words);
        !is_idle(&agent)
    });
    assert!(full.is_some(), "the disk is full after {TURNS} turns: the process is busy storing one");
    agent.say(SESSION, "I live in Galway.");
    assert!(!is_idle(&agent), "what is answered meanwhile is not stored yet");

    let freed = Command::new("prlimit").args([&format!("--pid={}", agent.process.id()), "--fsize=unlimited"]).status();
    assert!(freed.expect("prlimit is there").success());
    poll(PATIENCE, || is_idle(&agent).then_some(())).expect("everything is stored when there is room again");
    crate::process::signal("KILL", agent.process.id());
    drop(agent);

    let next = Agent::start("test_agent", &aws.endpoint(), &[("SESSION_MEMORY", &memory)]);
    let answer = next.say(SESSION, "What is my name, and where do I live?");
    assert!(answer.contains("Aoife") || answer.contains("Galway"), "{answer}");
    let (_, log) = next.end();
    assert!(!log.contains("could not be stored"), "{log}");
}
