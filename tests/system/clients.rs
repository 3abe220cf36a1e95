//! The examples that Vitracka's backend copies, run as they are: against a door that does what no real
//! one can be told to, and against the coach.

use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Door, Reply, Step};
use crate::local_aws::{LocalAws, START};

const ANSWER: &str = r#"{"response":{"role":"assistant","content":[{"text":"Setbacks "},{"text":"teach."}]},"session_id":"s","stop_reason":"end_turn","usage":{"inputTokens":9,"outputTokens":4}}"#;
const FIRST: &str = r#"{"event":{"contentBlockDelta":{"delta":{"text":"Setbacks "},"contentBlockIndex":0}}}"#;
const SECOND: &str = r#"{"event":{"contentBlockDelta":{"delta":{"text":"teach."},"contentBlockIndex":0}}}"#;
const GONE: &str = r#"{"error":"The model can't be reached.","code":"model_unavailable"}"#;
const LAST: &str = r#"{"message":{"role":"assistant","content":[{"text":"Setbacks teach."}]},"usage":{"inputTokens":9,"outputTokens":4},"stop_reason":"end_turn"}"#;
const BUSY: &str = r#"{"error":"The model is busy.","error_type":"ModelThrottled","message":"An error occurred during streaming","code":"model_throttled","request_id":"r-1","retry_after":7}"#;

/// The coach at home and in a second region, as both clients are told of them.
const TWO_REGIONS: &str = "arn:aws:bedrock-agentcore:eu-west-1:000000000000:runtime/coach_companion-0000000000,\
                           arn:aws:bedrock-agentcore:eu-central-1:000000000000:runtime/coach_companion-1111111111";

/// The regions that were called, in their order, as the signatures name them.
fn regions(door: &Door) -> Vec<String> {
    let callers = door.callers();
    let signatures = callers.iter().map(|caller| caller.header("authorization").expect("it is signed"));
    signatures.map(|signature| signature.split('/').nth(2).expect("a scope has a region").to_owned()).collect()
}

const SESSION_HEADER: &str = "x-amzn-bedrock-agentcore-runtime-session-id";

/// Longest run of a client, interpreter's start included.
const RUN: Duration = Duration::from_secs(30);

/// What the agent answers to a call it will not take, as the service passes it on.
fn agent_answered(status: u16) -> Reply {
    let message = format!("Received error ({status}) from runtime. Please check your logs for more information.");
    Reply::exception(424, "RuntimeClientError", &message)
}

mod python {
    use super::{
        ANSWER, BUSY, Door, FIRST, LAST, LocalAws, RUN, Reply, SECOND, SESSION_HEADER, Step, TWO_REGIONS,
        agent_answered, channel, regions,
    };
    use crate::foreign::example_client;
    use crate::process::Process;

    fn start(endpoint: &str, arguments: &[&str]) -> Process {
        let mut command = example_client();
        command.env("AWS_ENDPOINT_URL", endpoint).args(arguments);
        Process::start("the Python example", command)
    }

    /// Runs it to its end, and gives what it printed and its errors without the session's line.
    fn run(door: &Door, arguments: &[&str]) -> (String, String) {
        let (status, stdout, stderr) = start(&door.endpoint(), arguments).wait(RUN);
        let errors = stderr.lines().filter(|line| !line.starts_with("session ")).collect::<Vec<_>>().join("\n");
        assert_eq!(status.success(), errors.is_empty(), "the exit status tells of an error: {errors}");
        (stdout, errors)
    }

    #[test]
    fn an_answer_is_printed() {
        let door = Door::open(vec![Reply::json(ANSWER)]);

        assert_eq!(run(&door, &["I slipped"]), ("Setbacks teach.\n".to_owned(), String::new()));

        let [caller] = &door.callers()[..] else { panic!("one call") };
        assert_eq!(caller.body, r#"{"prompt": "I slipped"}"#);
        let session = caller.header(SESSION_HEADER).expect("a session id");
        assert!((33..=256).contains(&session.len()), "{session}");
    }

    #[test]
    fn a_piece_is_printed_before_the_next_has_come() {
        let (seen, wait) = channel();
        let steps = vec![Step::Frame(FIRST), Step::Until(wait), Step::Frame(SECOND), Step::Frame(LAST), Step::End];
        let door = Door::open(vec![Reply::stream(steps)]);

        let client = start(&door.endpoint(), &["--stream"]);
        client.wait_for("Setbacks ", RUN);
        seen.send(()).expect("the door waits");

        assert_eq!(client.wait(RUN).1, "Setbacks teach.\n");
    }

    #[test]
    fn a_throttled_call_is_made_again() {
        let replies = vec![Reply::throttling("0"), agent_answered(429), Reply::json(ANSWER)];
        let door = Door::open(replies);

        assert_eq!(run(&door, &["I slipped"]).0, "Setbacks teach.\n");

        let callers = door.callers();
        assert_eq!(callers.len(), 3);
        assert!(callers.iter().all(|caller| caller.body == callers[0].body), "the same words each time");
    }

    #[test]
    fn every_failure_has_a_type_of_its_own_and_is_tried_once() {
        let cases = [
            (Reply::throttling("7"), "Throttled: Rate exceeded (again in 7 s)"),
            (Reply::exception(400, "ValidationException", "No."), "BadRequest: No."),
            (Reply::exception(403, "AccessDeniedException", "No."), "NotAllowed: No."),
            (Reply::exception(404, "ResourceNotFoundException", "No."), "NotFound: No."),
            (Reply::exception(500, "InternalServerException", "No."), "Unavailable: No."),
            (agent_answered(400), "BadRequest: Received error (400)"),
            (agent_answered(503), "Unavailable: Received error (503)"),
            (agent_answered(500), "AgentFailed: Received error (500)"),
            (Reply::json("[]"), "AgentFailed: The answer is not a JSON object."),
            (Reply::json("{}"), "AgentFailed: The answer has no `response` object."),
        ];
        for (reply, expected) in cases {
            let door = Door::open(vec![reply]);
            let (_, errors) = run(&door, &["--attempts", "1"]);
            assert!(errors.starts_with(expected), "{expected}: {errors}");
            assert_eq!(door.callers().len(), 1);
        }
    }

    #[test]
    fn a_failure_in_a_stream_has_a_type_of_its_own() {
        let cases = [
            (vec![Step::Frame(FIRST), Step::Frame(BUSY), Step::End], "Throttled: The model is busy. (again in 7 s)"),
            (vec![Step::Frame(FIRST), Step::End], "AgentFailed: The answer broke off before its last frame."),
            (vec![Step::Frame(FIRST), Step::Torn(r#"{"ev"#)], "AgentFailed: "),
        ];
        for (steps, expected) in cases {
            let (printed, errors) = run(&Door::open(vec![Reply::stream(steps)]), &["--stream"]);
            assert_eq!(printed, "Setbacks ");
            assert!(errors.starts_with(expected), "{expected}: {errors}");
        }
    }

    #[test]
    fn a_region_that_cannot_answer_is_stepped_over_and_one_that_is_busy_is_not() {
        let gone = || Reply::exception(500, "InternalServerException", "No.");
        for more in [&[][..], &["--stream"]] {
            let arguments = [&["--arn", TWO_REGIONS, "--qualifier", "live"], more].concat();
            let answer = || match more {
                [] => Reply::json(ANSWER),
                _ => Reply::stream(vec![Step::Frame(FIRST), Step::Frame(SECOND), Step::Frame(LAST), Step::End]),
            };
            let door = Door::open(vec![gone(), answer()]);
            assert_eq!(run(&door, &arguments).0, "Setbacks teach.\n");
            assert_eq!(regions(&door), ["eu-west-1", "eu-central-1"]);
            assert!(door.callers().iter().all(|caller| caller.path.ends_with("qualifier=live")));
        }

        let door = Door::open(vec![Reply::throttling("0"), Reply::json(ANSWER)]);
        assert_eq!(run(&door, &["--arn", TWO_REGIONS]).0, "Setbacks teach.\n");
        assert_eq!(regions(&door), ["eu-west-1", "eu-west-1"]);
    }

    #[test]
    fn silence_ends_a_call_and_is_not_tried_again() {
        let (_held, silence) = channel();
        let door = Door::open(vec![Reply::silence(silence), Reply::json(ANSWER)]);
        assert!(run(&door, &["--timeout", "0.3"]).1.starts_with("TimedOut: "));
        assert_eq!(door.callers().len(), 1);

        let (_held, silence) = channel();
        let door = Door::open(vec![Reply::stream(vec![Step::Frame(FIRST), Step::Until(silence)])]);
        let (printed, errors) = run(&door, &["--timeout", "0.3", "--stream"]);
        assert_eq!(printed, "Setbacks ");
        assert!(errors.starts_with("TimedOut: "), "{errors}");
    }

    #[test]
    fn the_coach_answers_it_and_remembers() {
        let aws = LocalAws::start();
        let session = "session-of-the-python-example-0123456789";
        for stream in [false, true] {
            let more = if stream { vec!["--stream"] } else { vec![] };
            let say = |words: &str| {
                let arguments = [&["--session", session, words], &more[..]].concat();
                let (status, stdout, stderr) = start(&aws.endpoint(), &arguments).wait(RUN);
                assert!(status.success(), "{stderr}");
                stdout
            };
            say("Hello, my name is Niamh.");
            assert!(say("What is my name?").contains("Niamh"));
        }
    }
}

mod typescript {
    use super::{
        ANSWER, BUSY, Door, FIRST, GONE, LAST, LocalAws, Reply, SECOND, SESSION_HEADER, START, Step, TWO_REGIONS,
        Value, agent_answered, channel, regions,
    };
    use crate::foreign::typescript_example;
    use crate::process::Process;
    use crate::socket::{Answer, Request};

    /// The example's server, and the port it listens on.
    struct Server {
        port: u16,
        _process: Process,
    }

    impl Server {
        fn start(endpoint: &str) -> Self {
            Self::start_with(endpoint, &[])
        }

        fn start_with(endpoint: &str, environment: &[(&str, &str)]) -> Self {
            let mut command = typescript_example();
            command
                .envs(environment.iter().copied())
                .env("AWS_ENDPOINT_URL", endpoint)
                .env("PORT", "0")
                .env("SILENCE_MS", "1500");
            let process = Process::start("the TypeScript example", command);
            let line = process.wait_for("listening on http://127.0.0.1:", START);
            let port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok()).expect("a port");
            Self { port, _process: process }
        }

        fn post(&self, path: &str, prompt: &str) -> Answer {
            let body = serde_json::json!({ "prompt": prompt }).to_string();
            Request::post(path, body.as_bytes()).send(self.port)
        }
    }

    fn error_of(answer: &Answer) -> (u16, Value) {
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("not JSON: {}", answer.body));
        (answer.status, body["code"].clone())
    }

    #[test]
    fn the_json_route_gives_the_text() {
        let door = Door::open(vec![Reply::json(ANSWER)]);
        let answer = Server::start(&door.endpoint()).post("/coach", "I slipped");

        assert_eq!(answer.status, 200);
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((&body["text"], &body["stop_reason"]), (&"Setbacks teach.".into(), &"end_turn".into()));
        assert_eq!(door.callers()[0].body, r#"{"prompt":"I slipped"}"#);
    }

    #[test]
    fn the_stream_route_gives_each_piece_before_the_next_has_come() {
        let (seen, wait) = channel();
        let steps = vec![Step::Frame(FIRST), Step::Until(wait), Step::Frame(SECOND), Step::Frame(LAST), Step::End];
        let door = Door::open(vec![Reply::stream(steps)]);
        let server = Server::start(&door.endpoint());

        let mut browser = Request::post("/coach/stream", br#"{"prompt":"I slipped"}"#).open(server.port);
        browser.read_until("Setbacks ");
        seen.send(()).expect("the door waits");
        let answer = browser.finish();

        assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let shown = answer.body.replace(door.callers()[0].header(SESSION_HEADER).expect("a session"), "SESSION");
        insta::assert_snapshot!(shown, @r#"
        data: {"text":"Setbacks "}

        data: {"text":"teach."}

        event: done
        data: {"text":"Setbacks teach.","session_id":"SESSION","stop_reason":"end_turn","usage":{"inputTokens":9,"outputTokens":4}}
        "#);
    }

    #[test]
    fn a_browser_that_leaves_hangs_up_on_the_agent() {
        let (hung_up, told) = channel();
        let steps = vec![Step::Frame(FIRST), Step::UntilHungUp(hung_up)];
        let door = Door::open(vec![Reply::stream(steps)]);
        let server = Server::start(&door.endpoint());

        let mut browser = Request::post("/coach/stream", b"{}").open(server.port);
        browser.read_until("Setbacks ");
        drop(browser);

        // Sooner than the silence that would end the call by itself.
        assert!(told.recv_timeout(std::time::Duration::from_millis(1200)).is_ok(), "the agent is still being heard");
    }

    #[test]
    fn a_throttled_call_is_made_again() {
        let door = Door::open(vec![Reply::throttling("0"), agent_answered(429), Reply::json(ANSWER)]);
        assert_eq!(Server::start(&door.endpoint()).post("/coach", "I slipped").status, 200);
        assert_eq!(door.callers().len(), 3);
    }

    #[test]
    fn a_region_that_cannot_answer_is_stepped_over_and_then_left_alone() {
        let gone = Reply::exception(500, "InternalServerException", "No.");
        let pieces = vec![Step::Frame(FIRST), Step::Frame(SECOND), Step::Frame(LAST), Step::End];
        let door = Door::open(vec![gone, Reply::json(ANSWER), Reply::stream(pieces)]);
        let environment = [("AGENT_RUNTIME_ARN", TWO_REGIONS), ("AGENT_RUNTIME_QUALIFIER", "live")];
        let server = Server::start_with(&door.endpoint(), &environment);

        assert_eq!(server.post("/coach", "I slipped").status, 200);
        assert!(server.post("/coach/stream", "I slipped").body.contains("event: done"));

        assert_eq!(regions(&door), ["eu-west-1", "eu-central-1", "eu-central-1"]);
        assert!(door.callers().iter().all(|caller| caller.path.ends_with("qualifier=live")));
    }

    #[test]
    fn a_stream_moves_only_before_its_first_piece() {
        let gone = Reply::exception(500, "InternalServerException", "No.");
        let cut = vec![Step::Frame(FIRST), Step::Frame(GONE), Step::End];
        let door = Door::open(vec![gone, Reply::stream(cut)]);
        let server = Server::start_with(&door.endpoint(), &[("AGENT_RUNTIME_ARN", TWO_REGIONS)]);
        assert!(server.post("/coach/stream", "x").body.contains("event: failed"));
        assert_eq!(regions(&door), ["eu-west-1", "eu-central-1"]);

        let door = Door::open(vec![Reply::stream(vec![Step::Frame(FIRST), Step::Frame(GONE), Step::End])]);
        let server = Server::start_with(&door.endpoint(), &[("AGENT_RUNTIME_ARN", TWO_REGIONS)]);
        assert!(server.post("/coach/stream", "x").body.contains("event: failed"));
        assert_eq!(regions(&door), ["eu-west-1"], "users would read two beginnings");
    }

    #[test]
    fn every_failure_has_a_status_of_its_own() {
        let (_held, silence) = channel();
        let cases = [
            (Reply::exception(400, "ValidationException", "No."), 400, "ValidationException"),
            (Reply::exception(403, "AccessDeniedException", "No."), 502, "AccessDeniedException"),
            (Reply::exception(404, "ResourceNotFoundException", "No."), 502, "ResourceNotFoundException"),
            (Reply::exception(500, "InternalServerException", "No."), 503, "InternalServerException"),
            (agent_answered(400), 400, "RuntimeClientError"),
            (agent_answered(503), 503, "RuntimeClientError"),
            (agent_answered(500), 502, "RuntimeClientError"),
            (Reply::json("[]"), 502, "unreadable"),
            (Reply::silence(silence), 504, "timed_out"),
        ];
        let mut expected = Vec::new();
        let mut replies = Vec::new();
        for (reply, status, code) in cases {
            replies.push(reply);
            expected.push((status, Value::from(code)));
        }
        let door = Door::open(replies);
        let server = Server::start(&door.endpoint());

        let found = expected.iter().map(|_| error_of(&server.post("/coach", "x"))).collect::<Vec<_>>();

        assert_eq!(found, expected);
        assert_eq!(door.callers().len(), expected.len(), "none of them is tried again");
    }

    #[test]
    fn a_browser_is_told_nothing_of_the_services_own_words() {
        let door = Door::open(vec![Reply::exception(403, "AccessDeniedException", "role/secret-role may not")]);
        let answer = Server::start(&door.endpoint()).post("/coach", "x");
        insta::assert_snapshot!(answer.body, @r#"{"error":"The coach can't answer right now.","code":"AccessDeniedException"}"#);
    }

    #[test]
    fn a_failure_before_the_first_piece_has_a_status_and_a_later_one_an_event() {
        let early = vec![Step::Frame(BUSY), Step::End];
        let late = vec![Step::Frame(FIRST), Step::Frame(BUSY), Step::End];
        let cut = vec![Step::Frame(FIRST), Step::Torn(r#"{"ev"#)];
        let door = Door::open(vec![Reply::stream(early), Reply::stream(late), Reply::stream(cut)]);
        let server = Server::start(&door.endpoint());

        let early = server.post("/coach/stream", "x");
        assert_eq!((early.status, early.header("retry-after")), (429, Some("7")));
        insta::assert_snapshot!(server.post("/coach/stream", "x").body, @r#"
        data: {"text":"Setbacks "}

        event: failed
        data: {"error":"The coach is busy. Please try again in a moment.","code":"model_throttled","retry_after":7}
        "#);
        insta::assert_snapshot!(server.post("/coach/stream", "x").body, @r#"
        data: {"text":"Setbacks "}

        event: failed
        data: {"error":"The coach can't answer right now.","code":"cut"}
        "#);
    }

    #[test]
    fn the_coach_answers_it_and_remembers() {
        let aws = LocalAws::start();
        let server = Server::start(&aws.endpoint());
        server.post("/coach", "Hello, my name is Niamh.");
        assert!(server.post("/coach", "What is my name?").body.contains("Niamh"));

        let streamed = server.post("/coach/stream", "What is my name?").body;
        assert!(streamed.contains("Niamh") && streamed.contains("event: done"), "{streamed}");

        let stranger = Request::post("/coach", br#"{"prompt":"What is my name?"}"#)
            .with(&[("content-type", "application/json"), ("x-user", "somebody-else")])
            .send(server.port);
        assert!(!stranger.body.contains("Niamh"), "{}", stranger.body);
    }
}
