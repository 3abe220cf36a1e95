//! A process that was frozen after its first healthy ping, and is revived again and again, hours later by its clock, as
//! AgentCore's runtime V2 does it with a machine and all that runs on it.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::machine::{HOST, Machine, Parts};
use crate::foreign::{Script, python_script};
use crate::local_aws::LocalAws;

const MEMORY: &str = "revived-0123456789";

const SESSION: &str = "a-session-of-the-revived-process-0123456789";

/// How many hours after it was frozen it is revived.
const HOURS: [u64; 3] = [5, 11, 26];

/// How far a time may be from what it should be, in seconds, on a machine that is busy.
const SANE: u64 = 60;

/// Gives credentials as a container's agent does, and counts them.
struct Credentials {
    port: u16,
    given: Arc<AtomicUsize>,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[test]
fn a_revived_process_is_like_a_new_one() {
    let Some(parts) = Parts::found() else { return };
    let (aws, credentials) = (LocalAws::start(), Credentials::served());
    let parts = parts.with_agent(&[
        ("AWS_ENDPOINT_URL", &format!("http://localhost:{}", aws.port())),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("http://{HOST}:{}/credentials", credentials.port)),
        ("BEDROCK_AGENTCORE_MEMORY_ID", MEMORY),
        ("SSL_CERT_FILE", "/etc/certificates.pem"),
    ]);
    parts.start().freeze(&parts);
    assert_eq!(credentials.given(), 0, "nothing is fetched before somebody asks for a turn");

    let mut ids = HashSet::new();
    for (place, hours) in HOURS.into_iter().enumerate() {
        let clock = now() + hours * 3_600;
        let machine = parts.revive(clock);
        let ping = machine.wait_for_ping(Duration::from_mins(1));
        let since = ping["time_of_last_update"].as_u64().expect("seconds");
        assert!((clock..clock + SANE).contains(&since), "{hours} h later, at {clock}: {ping}");
        ids.extend(ids_made(&machine));
        assert_eq!(ids.len(), (place + 1) * 2, "no id is made twice: {ids:?}");
        assert_eq!(credentials.given(), place + 1, "credentials are fetched anew");
        let said = say(&machine, Some(SESSION), &format!("I am back after {hours} hours."));
        assert!(said["response"].is_object(), "the first turn of a session succeeds: {said}");
        machine.end();
    }

    let mut boto3 = Script::start("boto3", python_script("memory.py"), &aws.endpoint());
    let actor = format!("session/{SESSION}");
    let kept = boto3.order(json!({ "do": "session", "memory": MEMORY, "actor": actor, "session": SESSION }));
    let said: Vec<&str> =
        kept["turns"].as_array().expect("turns").iter().filter_map(|turn| turn["said"][0][1].as_str()).collect();
    assert_eq!(
        said,
        HOURS.map(|hours| format!("I am back after {hours} hours.")),
        "no turn counts as another's repetition"
    );
}

/// The ids that the agent gives where the caller names none: of a session whose first turn succeeds, and of a request that
/// it refuses.
fn ids_made(machine: &Machine) -> [String; 2] {
    let answered = say(machine, None, "Hello!");
    let refused = machine.exchange("POST /invocations HTTP/1.1", "{").expect("an answer").1;
    let id = |of: &serde_json::Value, member: &str| {
        of[member].as_str().unwrap_or_else(|| panic!("no {member}: {of}")).to_owned()
    };
    [id(&answered, "session_id"), id(&refused, "request_id")]
}

fn say(machine: &Machine, session: Option<&str>, prompt: &str) -> serde_json::Value {
    let session =
        session.map(|id| format!("\r\nx-amzn-bedrock-agentcore-runtime-session-id: {id}")).unwrap_or_default();
    let head = format!("POST /invocations HTTP/1.1\r\ncontent-type: application/json{session}");
    let (answer, body) = machine.exchange(&head, &json!({ "prompt": prompt }).to_string()).expect("an answer");
    assert_eq!(answer.status, 200, "{body}");
    body
}

// === impl Credentials ===

impl Credentials {
    fn served() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let given = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&given);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                give(connection, count.fetch_add(1, Ordering::SeqCst));
            }
        });
        Self { port, given }
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

/// Credentials that are good for longer than anybody lives here.
fn give(mut connection: std::net::TcpStream, number: usize) {
    let mut asked = [0; 2_048];
    // Whatever is asked for, it is these.
    let _ = connection.read(&mut asked);
    let key = format!("AKIA{number:016}");
    let body = json!({
        "AccessKeyId": key, "SecretAccessKey": "not-a-secret", "Token": "token", "Expiration": "2100-01-01T00:00:00Z",
    });
    let body = body.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
    let _ = write!(connection, "{head}: {}\r\n\r\n{body}", body.len());
}
