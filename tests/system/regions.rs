//! A model is asked in another region when its own fails: `MODEL_FALLBACKS=PROFILE@REGION`, as the service would
//! see it. Regions share one address here, so they are told apart as AWS tells them apart: by what a call is signed
//! for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::agent::Agent;
use crate::local_aws::LocalAws;

const SESSION: &str = "a-session-of-the-tests-of-regions-0123456789";
const PROFILE: &str = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";

/// What stands before a local AWS: in one region nothing works, and every other one is passed on to.
struct Regions {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

// === impl Regions ===

impl Regions {
    fn before(aws: &LocalAws, down: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (upstream, seen) = (aws.port(), Arc::clone(&asked));
        // It ends with the test's process.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || pass_on(connection.expect("a connection"), upstream, down, &seen));
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// Answers one request: with a refusal where it is signed for `down`.
fn pass_on(mut caller: TcpStream, upstream: u16, down: &str, seen: &Mutex<Vec<String>>) {
    let Some(request) = read_request(&mut caller) else { return };
    let region = signed_for(&request);
    seen.lock().expect("no panic").push(region.clone());
    if region == down {
        let body = r#"{"message":"Bedrock is unable to process your request."}"#;
        let refusal = format!(
            "HTTP/1.1 503 Service Unavailable\r\nx-amzn-errortype: ServiceUnavailableException\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        caller.write_all(refusal.as_bytes()).expect("the caller reads");
        return;
    }
    let mut service = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).expect("the local AWS listens");
    let end = request.windows(2).position(|pair| pair == b"\r\n").expect("a first line") + 2;
    let request = [&request[..end], b"connection: close\r\n", &request[end..]].concat();
    service.write_all(&request).expect("the service reads");
    std::io::copy(&mut service, &mut caller).expect("the answer is passed on");
}

fn read_request(caller: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a number"));
            let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("as found") + 4;
            if bytes.len() >= body + length {
                return Some(bytes);
            }
        }
        match caller.read(&mut chunk).expect("the caller sends") {
            // A connection that was opened in vain.
            0 => return None,
            read => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

/// The region in the scope of the signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn signed_for(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let (_, scope) = text.split_once("Credential=").unwrap_or_else(|| panic!("not signed: {text}"));
    scope.split('/').nth(2).expect("a region").to_owned()
}

#[test]
fn given_a_region_in_which_the_model_fails_then_the_next_region_is_asked_and_answers() {
    let aws = LocalAws::start();
    let regions = Regions::before(&aws, "eu-west-1");
    let fallbacks = format!("{PROFILE}@eu-central-1");
    let environment = [("MODEL_FALLBACKS", fallbacks.as_str()), ("MODEL_ATTEMPTS", "2")];
    let agent = Agent::start("test_agent", &format!("http://127.0.0.1:{}", regions.port), &environment);

    let answer = agent.say(SESSION, "Hello!");

    assert!(answer.starts_with("Hello from AgentCore!"), "{answer}");
    assert_eq!(regions.asked(), ["eu-west-1", "eu-west-1", "eu-central-1"]);
    let streamed = agent.post(SESSION, "And again", "text/event-stream").body;
    assert!(streamed.contains(r#""stop_reason":"end_turn""#), "{streamed}");
    assert_eq!(regions.asked().last().map(String::as_str), Some("eu-central-1"));
    let (_, log) = agent.end();
    let told = log.lines().find(|line| line.contains("asking another model")).unwrap_or_else(|| panic!("{log}"));
    assert!(told.contains(&format!("{PROFILE}@eu-central-1")), "{told}");
}

#[test]
fn given_a_model_that_answers_then_no_other_region_hears_of_it() {
    let aws = LocalAws::start();
    let regions = Regions::before(&aws, "eu-north-1");
    let fallbacks = format!("{PROFILE}@eu-central-1");
    let agent =
        Agent::start("test_agent", &format!("http://127.0.0.1:{}", regions.port), &[("MODEL_FALLBACKS", &fallbacks)]);
    agent.say(SESSION, "Hello!");
    assert_eq!(regions.asked(), ["eu-west-1"]);
}
