//! How many instructions a turn takes, counted by valgrind's callgrind, which counts the same on every machine: a copy of
//! the history that slips in, a client that is made for every turn, or JSON that is read twice shows here, and not in times.
//!
//! What is counted is the program that these tests are run with, which is not optimised. So the numbers are large, and say
//! nothing about what ships; what they are held to is what was counted when they were written down, and a tenth more. Who
//! makes a turn dearer for a reason writes down the new count, and who makes it cheaper does so too.
//!
//! `INSTRUCTIONS=required` fails where there is no valgrind; without it the test says that it counts nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::agent::{Agent, agent_environment};
use crate::local_aws::{LocalAws, unconfigured, vitracka};
use crate::process::{Process, free_port, signal};
use crate::socket::Request;

/// How many turns are counted.
const COUNTED: u64 = 40;

/// Everything takes some forty times as long as without valgrind.
const PATIENCE: Duration = Duration::from_mins(5);

/// A way to ask, and what a turn of it took in instructions when it was written down.
struct Course {
    name: &'static str,
    accept: &'static str,
    /// Whether all turns are those of one session, which remembers the ones before.
    is_one_session: bool,
    instructions: u64,
}

const COURSES: [Course; 3] = [
    Course { name: "whole", accept: "application/json", is_one_session: false, instructions: 3_150_000 },
    Course { name: "streamed", accept: "text/event-stream", is_one_session: false, instructions: 5_800_000 },
    Course { name: "remembering", accept: "application/json", is_one_session: true, instructions: 5_450_000 },
];

#[test]
fn a_turn_takes_no_more_instructions_than_it_did() {
    if !has_valgrind() {
        assert!(std::env::var("INSTRUCTIONS").as_deref() != Ok("required"), "valgrind is not installed");
        eprintln!("not counted: valgrind is not installed (apt-get install valgrind)");
        return;
    }
    let aws = LocalAws::start();
    let start = count(&aws, &COURSES[0], 0);
    let counts = COURSES.map(|course| {
        let counted = (count(&aws, &course, COUNTED) - start) / COUNTED;
        eprintln!("{}: {counted} instructions a turn, {} written down", course.name, course.instructions);
        (course, counted)
    });
    for (course, counted) in counts {
        let bound = course.instructions + course.instructions / 10;
        assert!(
            counted <= bound,
            "a turn that is {} takes {counted} instructions; {} are written down in {}. What has become dearer?",
            course.name,
            course.instructions,
            file!()
        );
    }
}

fn has_valgrind() -> bool {
    let asked = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// All instructions of a process that answers one turn, for which it reads what is read once, and so many more.
fn count(aws: &LocalAws, course: &Course, turns: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let counted = folder.path().join("callgrind.out");
    let agent = agent_under_valgrind(aws, &counted);
    for turn in 0..=turns {
        let session = if course.is_one_session { 0 } else { turn };
        let session = format!("a-session-of-the-tests-that-count-{session:06}");
        let headers = [("accept", course.accept), ("x-amzn-bedrock-agentcore-runtime-session-id", session.as_str())];
        let answer = Request::post("/invocations", br#"{"prompt": "Hello!"}"#).with(&headers).send(agent.port);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    signal("TERM", agent.process.id());
    agent.process.wait(PATIENCE);
    let counted = std::fs::read_to_string(&counted).expect("valgrind has counted");
    let total = counted.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a sum");
    total.trim().parse().expect("a number")
}

fn agent_under_valgrind(aws: &LocalAws, counted: &Path) -> Agent {
    let program = vitracka().get_program().to_owned();
    let mut command = unconfigured("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", counted.display())).arg(program);
    // One thread for turns: who waits for whom is not what is counted.
    agent_environment(command.args(["agent", "test_agent"]), &aws.endpoint(), &[("TOKIO_WORKER_THREADS", "1")]);
    let port = free_port();
    let mut process = Process::start("test_agent under valgrind", {
        command.env("PORT", port.to_string());
        command
    });
    process.wait_for_port(port, PATIENCE);
    Agent { port, process }
}
