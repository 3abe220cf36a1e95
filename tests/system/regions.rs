//! Where a model is asked and who asks, as the service would see it: in another region when its own fails
//! (`MODEL_FALLBACKS=PROFILE@REGION`), at an address of its own, with a key in place of a signature. Regions share one
//! address here, so they are told apart as AWS tells them apart: by what a call is signed for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::agent::{Agent, agent_command};
use crate::local_aws::LocalAws;
use crate::process::free_port;

const SESSION: &str = "a-session-of-the-tests-of-regions-0123456789";
const PROFILE: &str = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";

/// What stands before a local AWS: in one region nothing works, and every other one is passed on to.
struct Regions {
    port: u16,
    /// By whom each call says it is.
    callers: Arc<Mutex<Vec<String>>>,
}

// === impl Regions ===

impl Regions {
    fn before(aws: &LocalAws, down: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let callers: Arc<Mutex<Vec<String>>> = Arc::default();
        let (upstream, seen) = (aws.port(), Arc::clone(&callers));
        // It ends with the test's process.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || pass_on(connection.expect("a connection"), upstream, down, &seen));
            }
        });
        Self { port, callers }
    }

    fn callers(&self) -> Vec<String> {
        self.callers.lock().expect("no panic").clone()
    }

    /// The regions that calls were signed for.
    fn asked(&self) -> Vec<String> {
        self.callers().iter().map(|caller| signed_for(caller).expect("a signature").to_owned()).collect()
    }
}

/// Answers one request: with a refusal where it is signed for `down`.
fn pass_on(mut caller: TcpStream, upstream: u16, down: &str, seen: &Mutex<Vec<String>>) {
    let Some(request) = read_request(&mut caller) else { return };
    let authorization = authorization(&request);
    let is_down = signed_for(&authorization) == Some(down);
    seen.lock().expect("no panic").push(authorization);
    if is_down {
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

fn authorization(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let header = text.lines().find_map(|line| line.strip_prefix("authorization: "));
    header.unwrap_or_else(|| panic!("nobody calls: {text}")).to_owned()
}

/// The region in the scope of the signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn signed_for(authorization: &str) -> Option<&str> {
    authorization.split_once("Credential=")?.1.split('/').nth(2)
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

/// Given addresses for all services and for Bedrock alone, in variables or in a profile, then the one for Bedrock is nearer.
#[test]
fn an_address_of_bedrocks_own_is_nearer_than_that_of_all_services() {
    let aws = LocalAws::start();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let regions = Regions::before(&aws, "nowhere");
    let address = format!("http://127.0.0.1:{}", regions.port);
    let agent = Agent::start("test_agent", &nobody, &[("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &address)]);
    agent.say(SESSION, "Hello!");
    assert_eq!(regions.callers().len(), 1);

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    let settings =
        format!("[default]\nservices = ours\n[services ours]\nbedrock_runtime =\n  endpoint_url = {address}\n");
    std::fs::write(&file, settings).expect("the folder can be written to");
    let file = file.to_str().expect("a path of letters");
    let mut command = agent_command("test_agent", &nobody, &[("AWS_CONFIG_FILE", file)]);
    command.env_remove("AWS_ENDPOINT_URL");
    Agent::start_command("test_agent", command).say(SESSION, "Hello!");
    assert_eq!(regions.callers().len(), 2);
}

#[test]
fn an_api_key_of_bedrocks_takes_the_place_of_the_signature_and_is_in_no_log() {
    let aws = LocalAws::start();
    let regions = Regions::before(&aws, "nowhere");
    let address = format!("http://127.0.0.1:{}", regions.port);
    let agent = Agent::start("test_agent", &address, &[("AWS_BEARER_TOKEN_BEDROCK", "a-key-of-the-tests")]);
    agent.say(SESSION, "Hello!");
    assert_eq!(regions.callers(), ["Bearer a-key-of-the-tests"]);
    let (_, log) = agent.end();
    assert!(!log.contains("a-key-of-the-tests"), "{log}");
}

/// Given credentials that end soon, as a role's do, then they are asked for again before they end, and not for every call.
#[test]
fn credentials_are_asked_for_again_when_they_end_and_not_before() {
    let aws = LocalAws::start();
    let regions = Regions::before(&aws, "nowhere");
    let address = format!("http://127.0.0.1:{}", regions.port);
    let agent_with = |lasting: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let (asked, config) = (folder.path().join("asked"), folder.path().join("config"));
        let program = folder.path().join("credentials");
        // A program that is a role: each time it is asked it gives another key, good for so long.
        let script = format!(
            "#!/bin/sh\necho asked >> {asked}\nend=$(date -u -d '{lasting}' +%Y-%m-%dT%H:%M:%SZ)\n\
             printf '{{\"Version\":1,\"AccessKeyId\":\"key-%s\",\"SecretAccessKey\":\"none\",\"SessionToken\":\"none\",\
             \"Expiration\":\"%s\"}}' $(wc -l < {asked}) $end\n",
            asked = asked.display()
        );
        std::fs::write(&program, script).expect("the folder can be written to");
        std::fs::write(&config, format!("[default]\ncredential_process = sh {}\n", program.display()))
            .expect("likewise");
        let config = config.to_str().expect("a path of letters");
        let mut command = agent_command("test_agent", &address, &[("AWS_CONFIG_FILE", config)]);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        let agent = Agent::start_command("test_agent", command);
        for words in ["Hello!", "And again", "Once more"] {
            agent.say(SESSION, words);
        }
        std::fs::read_to_string(asked).expect("it was asked").lines().count()
    };
    assert_eq!(agent_with("+1 hour"), 1);
    // Ten seconds are not trusted.
    assert_eq!(agent_with("+5 seconds"), 3);
}
