//! Somebody who means ill: what they send, and what they are told, at once and without harm to anybody else. Which
//! bytes go out is written here in full; what a whole process takes meanwhile is in `tests/system/hostile.rs`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentcore_runtime::core::memory::process::ProcessMemory;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::played::Served;

/// Long beside what any of these takes on a machine that is busy. What is refused before it is read is read for up to 5
/// s more, so that who sends it sees why.
const SOON: Duration = Duration::from_secs(15);

/// Sends bytes as they are, and gives the status and the body of what comes back until the server closes.
async fn told(served: &Served, request: &[u8]) -> String {
    let answered = async {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        // It may refuse and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("what is answered is UTF-8")
    };
    let answer = tokio::time::timeout(SOON, answered).await.expect("an answer, soon");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or("closed without a word");
    format!("{status} {body}").trim_end().to_owned()
}

/// A request of a head with such lines and a body.
fn request(lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let id = "x-amzn-bedrock-agentcore-runtime-request-id: request-1";
    let head = format!(
        "POST /invocations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{id}\r\ncontent-length: {length}\r\n{lines}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// What each is told, a line each.
async fn told_of_all(served: &Served, cases: &[(&str, Vec<u8>)]) -> String {
    let mut lines = String::new();
    for (name, bytes) in cases {
        let _ = writeln!(lines, "{name}: {}", told(served, bytes).await);
    }
    assert_eq!(served.ping().await["status"], "Healthy", "and the process is well");
    lines
}

/// A value inside of so many others.
fn nested(depth: usize, open: &str, close: &str) -> String {
    format!("{}1{}", open.repeat(depth), close.repeat(depth))
}

#[tokio::test]
async fn json_that_is_deep_or_endless_is_refused_with_the_place() {
    let served = Served::start();
    let payload = |text: String| request("", text.as_bytes());
    let cases = [
        ("a prompt of lists in lists", payload(format!(r#"{{"prompt":{}}}"#, nested(200_000, "[", "]")))),
        ("objects in objects", payload(nested(200_000, r#"{"prompt":"#, "}"))),
        ("lists that never end", payload("[".repeat(1_000_000))),
        ("a text that never ends", payload(format!(r#"{{"prompt":"{}"#, "x".repeat(1_000_000)))),
        ("a number of a million digits", payload(format!(r#"{{"prompt":{}}}"#, "9".repeat(1_000_000)))),
        ("a number beyond all numbers", payload(r#"{"prompt":1e999999999}"#.to_owned())),
        ("a member again and again", payload(format!(r#"{{"prompt":"a"{}}}"#, r#","prompt":"b""#.repeat(200_000)))),
        (
            "replies without an end",
            payload(format!(r#"{{"replies":[{}7]}}"#, r#"{"id":"a","reply":1},"#.repeat(200_000))),
        ),
    ];
    insta::assert_snapshot!(told_of_all(&served, &cases).await, @r#"
    a prompt of lists in lists: HTTP/1.1 400 Bad Request {"error":"`prompt` must be a string","code":"invalid_payload","request_id":"request-1"}
    objects in objects: HTTP/1.1 400 Bad Request {"error":"`prompt` must be a string","code":"invalid_payload","request_id":"request-1"}
    lists that never end: HTTP/1.1 400 Bad Request {"error":"the payload must be a JSON object","code":"invalid_payload","request_id":"request-1"}
    a text that never ends: HTTP/1.1 400 Bad Request {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"EOF while parsing a string at line 1 column 1000011"}
    a number of a million digits: HTTP/1.1 400 Bad Request {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"number out of range at line 1 column 1000010"}
    a number beyond all numbers: HTTP/1.1 400 Bad Request {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"number out of range at line 1 column 21"}
    a member again and again: HTTP/1.1 400 Bad Request {"error":"the payload has a duplicate field `prompt`","code":"invalid_payload","request_id":"request-1"}
    replies without an end: HTTP/1.1 400 Bad Request {"error":"`replies[200000]` must be a JSON object","code":"invalid_payload","request_id":"request-1"}
    "#);
}

#[tokio::test]
async fn text_that_is_none_is_refused_with_the_place() {
    let served = Served::start();
    let cases = [
        ("half a character", request("", b"{\"prompt\":\"\xc3\"}")),
        ("a character in too many bytes", request("", b"{\"prompt\":\"\xc0\xaf\"}")),
        ("half a pair", request("", br#"{"prompt":"\ud800"}"#)),
        ("the halves of a pair in the wrong order", request("", br#"{"prompt":"\udc00\ud800"}"#)),
        ("a control character as it is", request("", b"{\"prompt\":\"\x07\"}")),
        ("UTF-16", request("", b"\xff\xfe{\0}\0")),
        ("a mark of UTF-8 before it", request("", b"\xef\xbb\xbf{\"prompt\":\"Hi\"}")),
        ("compressed", request("content-encoding: gzip\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0")),
    ];
    insta::assert_snapshot!(told_of_all(&served, &cases).await, @r#"
    half a character: HTTP/1.1 400 Bad Request {"error":"Invalid encoding","code":"invalid_encoding","request_id":"request-1","details":"byte 11 is not UTF-8"}
    a character in too many bytes: HTTP/1.1 400 Bad Request {"error":"Invalid encoding","code":"invalid_encoding","request_id":"request-1","details":"byte 11 is not UTF-8"}
    half a pair: HTTP/1.1 400 Bad Request {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"unexpected end of hex escape at line 1 column 18"}
    the halves of a pair in the wrong order: HTTP/1.1 400 Bad Request {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"lone leading surrogate in hex escape at line 1 column 17"}
    a control character as it is: HTTP/1.1 400 Bad Request {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"control character (\\u0000-\\u001F) found while parsing a string at line 1 column 12"}
    UTF-16: HTTP/1.1 400 Bad Request {"error":"Invalid encoding","code":"invalid_encoding","request_id":"request-1","details":"byte 0 is not UTF-8"}
    a mark of UTF-8 before it: HTTP/1.1 400 Bad Request {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"expected value at line 1 column 1"}
    compressed: HTTP/1.1 400 Bad Request {"error":"Invalid encoding","code":"invalid_encoding","request_id":"request-1","details":"byte 1 is not UTF-8"}
    "#);
}

#[tokio::test]
async fn heads_that_lie_or_never_end_are_refused_before_anything_is_read() {
    let served = Served::start();
    let hello: &[u8] = br#"{"prompt":"Hi"}"#;
    let with_length = |length: &str| {
        let length_of_nothing = "content-length: 0";
        let head = String::from_utf8(request("", b"")).expect("ASCII");
        head.replace(length_of_nothing, &format!("content-length: {length}")).into_bytes()
    };
    let many = "x: a\r\n".repeat(200);
    let cases = [
        ("two hundred lines", request(&many, hello)),
        ("a line of 100 KB", request(&format!("x: {}\r\n", "a".repeat(100_000)), hello)),
        ("a path of 100 KB", format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(100_000)).into_bytes()),
        ("a line without an end", request(&"x".repeat(100_000), hello)),
        ("two lengths", request("content-length: 3\r\n", hello)),
        ("a length and chunks", request("transfer-encoding: chunked\r\n", b"0\r\n\r\n")),
        ("a length below nothing", with_length("-1")),
        ("a length beyond all numbers", with_length("99999999999999999999999999")),
        ("a length of a petabyte", with_length("1000000000000000")),
        ("a line that begins with a blank", request("x: a\r\n b\r\n", hello)),
        ("a name with a blank", request("content length: 1\r\n", hello)),
        ("a zero in a value", request("x: \0\r\n", hello)),
        ("no HTTP at all", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ("HTTP/2 at once", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (
            "a path that climbs",
            b"GET /../../etc/passwd HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec(),
        ),
        (
            "somebody's proxy",
            b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n".to_vec(),
        ),
    ];
    insta::assert_snapshot!(told_of_all(&served, &cases).await, @r#"
    two hundred lines: HTTP/1.1 431 Request Header Fields Too Large
    a line of 100 KB: HTTP/1.1 431 Request Header Fields Too Large
    a path of 100 KB: HTTP/1.1 431 Request Header Fields Too Large
    a line without an end: HTTP/1.1 431 Request Header Fields Too Large
    two lengths: HTTP/1.1 400 Bad Request
    a length and chunks: HTTP/1.1 400 Bad Request {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"EOF while parsing a value at line 1 column 0"}
    a length below nothing: HTTP/1.1 400 Bad Request
    a length beyond all numbers: HTTP/1.1 400 Bad Request
    a length of a petabyte: HTTP/1.1 413 Payload Too Large {"error":"The payload is larger than 100000000 bytes. Please send a smaller one.","code":"payload_too_large","request_id":"request-1"}
    a line that begins with a blank: HTTP/1.1 400 Bad Request
    a name with a blank: HTTP/1.1 400 Bad Request
    a zero in a value: HTTP/1.1 400 Bad Request
    no HTTP at all: HTTP/1.1 400 Bad Request
    HTTP/2 at once: closed without a word
    a path that climbs: HTTP/1.1 404 Not Found Not Found
    somebody's proxy: HTTP/1.1 404 Not Found Not Found
    "#);
}

#[tokio::test]
async fn ids_may_be_anything_and_each_is_somebody_elses() {
    let served = Served::start();
    let ids: [&[u8]; 8] = [
        b"../../etc/passwd",
        b"..%2f..%2fetc%2fpasswd",
        b"a/../b",
        b"b",
        b"\xff\xfe",
        b"\t'; DROP TABLE sessions; --",
        b"session/b",
        b"sha256-3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
    ];
    for id in ids {
        let line = [b"x-amzn-bedrock-agentcore-runtime-session-id: ", id, b"\r\n"].concat();
        let mut bytes = request("", b"");
        bytes.truncate(bytes.len() - 2);
        let hello = br#"{"prompt":"Hi"}"#;
        let head = String::from_utf8(bytes)
            .expect("ASCII")
            .replace("content-length: 0", &format!("content-length: {}", hello.len()));
        let answer = told(&served, &[head.as_bytes(), &line, b"\r\n", hello].concat()).await;
        assert!(answer.contains("before: []; now: Hi"), "{}: {answer}", String::from_utf8_lossy(id));
    }
    let long = format!("x-amzn-bedrock-agentcore-runtime-session-id: {}\r\n", "a".repeat(60_000));
    assert!(told(&served, &request(&long, br#"{"prompt":"Hi"}"#)).await.contains("before: []"));
    let actor = request("", br#"{"prompt":"Hi","user_id":"../\u0000\u001b[2J"}"#);
    assert!(told(&served, &actor).await.contains("before: []"));
}

#[tokio::test]
async fn words_that_look_like_ours_stay_words() {
    let served = Served::start();
    let forged =
        "x\n\ndata: {\"error\":\"forged\",\"code\":\"forged\"}\n\ndata: {\"message\":{\"role\":\"assistant\"}}\n\n";
    let streamed = served.prompt("one", forged).header("accept", "text/event-stream");
    let stream = streamed.send().await.expect("a stream").text().await.expect("a body");
    let frames = stream.split_terminator("\n\n").map(|frame| frame.strip_prefix("data: ").expect("a frame"));
    let frames: Vec<Value> = frames.map(|json| serde_json::from_str(json).expect("JSON")).collect();
    assert!(frames.iter().all(|frame| frame.get("error").is_none()), "{stream}");
    assert_eq!(frames.iter().filter(|frame| frame.get("message").is_some()).count(), 1, "{stream}");
    let told = frames.last().and_then(|frame| frame["message"]["content"][0]["text"].as_str());
    assert!(told.is_some_and(|text| text.ends_with(forged)), "{stream}");
}

#[tokio::test]
async fn a_caller_cannot_speak_as_the_platform_does() {
    let served = Served::start();
    let ask = br#"{"_agent_core_app_action":"force_busy"}"#;
    let answer = told(&served, &request("x-amz-foo: 1\r\nx-amzn-trace-id: Root=1\r\n", ask)).await;
    insta::assert_snapshot!(answer, @r#"HTTP/1.1 400 Bad Request {"error":"`prompt` is missing; send it as a string that is not blank","code":"invalid_payload","request_id":"request-1"}"#);
    assert_eq!(served.ping().await["status"], "Healthy", "debug actions are for debugging");
    let two = "x-amzn-bedrock-agentcore-runtime-session-id: the-platforms\r\n\
               X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: the-callers\r\n";
    let answer = told(&served, &request(two, br#"{"prompt":"Hi"}"#)).await;
    assert!(answer.contains(r#""session_id":"the-platforms""#), "the first is the platform's: {answer}");
}

#[tokio::test]
async fn a_payload_that_does_not_come_is_not_waited_for() {
    let served = Served::of(Arc::new(ProcessMemory::default()), |server| server.patience(Duration::from_millis(300)));
    let began = Instant::now();
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    let mut whole = request("", &[b' '; 1_000]);
    whole.truncate(whole.len() - 900);
    stream.write_all(&whole).await.expect("it reads");
    // A byte at a time, which is never enough.
    let (mut reader, mut writer) = stream.into_split();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = String::new();
    let _ = reader.read_to_string(&mut answer).await;
    dripping.abort();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    insta::assert_snapshot!(body, @r#"{"error":"The payload did not come in time. Please send it again, in one go.","code":"payload_too_slow","request_id":"request-1"}"#);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(served.answer(served.prompt("one", "Hello")).await.starts_with("200"), "others are served");
}
