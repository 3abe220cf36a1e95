use std::sync::Arc;

use crate::played::{Served, Unreadable};

#[tokio::test]
async fn each_failure_has_a_status_a_code_and_a_sentence_and_shows_no_internals() {
    let served = Served::start();
    let prompts = [
        "throttled",
        "unavailable",
        "unavailable for a while",
        "unreachable",
        "silent",
        "broken",
        "denied",
        "retired",
        "too long",
        "panic",
    ];
    let mut answers = Vec::new();
    for prompt in prompts {
        answers.push(format!("--- {prompt}: {}", served.answer(served.prompt("one", prompt)).await));
    }
    let answers = answers.join("\n");
    assert!(!answers.contains("secret"), "{answers}");
    insta::assert_snapshot!(answers, @r#"
    --- throttled: 429 retry-after: 7
    {"error":"The model is busy. Please try again in a moment.","code":"model_throttled","request_id":"request-1"}
    --- unavailable: 503 retry-after: 2
    {"error":"The model cannot be reached just now. Please try again.","code":"model_unavailable","request_id":"request-1"}
    --- unavailable for a while: 503 retry-after: 9
    {"error":"The model cannot be reached just now. Please try again.","code":"model_unavailable","request_id":"request-1"}
    --- unreachable: 503 retry-after: 2
    {"error":"The model cannot be reached just now. Please try again.","code":"model_unavailable","request_id":"request-1"}
    --- silent: 503 retry-after: 2
    {"error":"The model did not answer in time. Please try again.","code":"model_timeout","request_id":"request-1"}
    --- broken: 503 retry-after: 2
    {"error":"The model cannot be reached just now. Please try again.","code":"model_unavailable","request_id":"request-1"}
    --- denied: 500
    {"error":"The agent cannot ask its model. Its operator has to look at the log.","code":"model_refused","request_id":"request-1"}
    --- retired: 500
    {"error":"The agent cannot ask its model. Its operator has to look at the log.","code":"model_refused","request_id":"request-1"}
    --- too long: 400
    {"error":"The message is too long for the model. Please send a shorter one.","code":"context_too_long","request_id":"request-1"}
    --- panic: 500
    {"error":"The agent failed unexpectedly. Please try again.","code":"internal_error","request_id":"request-1"}
    "#);
    assert!(served.answer(served.prompt("one", "Hello")).await.starts_with("200"), "the process lives on");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_would() {
    let served = Served::start();
    let bodies: [&[u8]; 8] = [
        b"{bad",
        b"",
        b"{\"a\":\"\xff\"}",
        b"[1,2]",
        b"{}",
        br#"{"prompt":7}"#,
        br#"{"prompt":" \n"}"#,
        br#"{"message":""}"#,
    ];
    let mut answers = Vec::new();
    for body in bodies {
        let answer = served.answer(served.invocation("one", body)).await;
        answers.push(format!("--- {}: {answer}", String::from_utf8_lossy(body)));
    }
    insta::assert_snapshot!(answers.join("\n"), @r#"
    --- {bad: 400
    {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"key must be a string at line 1 column 2"}
    --- : 400
    {"error":"Invalid JSON","code":"invalid_json","request_id":"request-1","details":"EOF while parsing a value at line 1 column 0"}
    --- {"a":"�"}: 400
    {"error":"Invalid encoding","code":"invalid_encoding","request_id":"request-1","details":"byte 6 is not UTF-8"}
    --- [1,2]: 400
    {"error":"the payload must be a JSON object","code":"invalid_payload","request_id":"request-1"}
    --- {}: 400
    {"error":"`prompt` is missing; send it as a string that is not blank","code":"invalid_payload","request_id":"request-1"}
    --- {"prompt":7}: 400
    {"error":"`prompt` must be a string","code":"invalid_payload","request_id":"request-1"}
    --- {"prompt":" \n"}: 400
    {"error":"`prompt` is blank; send what the user wrote, or leave it out to let the agent open the conversation","code":"invalid_payload","request_id":"request-1"}
    --- {"message":""}: 400
    {"error":"`message` is blank; send what the user wrote, or leave it out to let the agent open the conversation","code":"invalid_payload","request_id":"request-1"}
    "#);
}

#[tokio::test]
async fn a_failure_of_a_stream_is_a_frame_before_and_in_the_middle() {
    let served = Served::start();
    let streamed = |prompt: &str| served.prompt("one", prompt).header("accept", "text/event-stream");
    insta::assert_snapshot!(served.answer(streamed("throttled")).await, @r#"
    200
    data: {"error":"The model is busy. Please try again in a moment.","error_type":"model_throttled","message":"An error occurred during streaming","code":"model_throttled","request_id":"request-1","retry_after":7}
    "#);
    insta::assert_snapshot!(served.answer(streamed("breaks off")).await, @r#"
    200
    data: {"event":{"messageStart":{"role":"assistant"}}}

    data: {"event":{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"before: []; "}}}}

    data: {"event":{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"now: breaks off"}}}}

    data: {"error":"The model cannot be reached just now. Please try again.","error_type":"model_unavailable","message":"An error occurred during streaming","code":"model_unavailable","request_id":"request-1","retry_after":2}
    "#);
    let next = served.answer(served.prompt("one", "Go on")).await;
    assert!(next.contains("now: breaks off"), "what was said before the break is remembered: {next}");
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_an_error() {
    let served = Served::with_memory(Arc::new(Unreadable));
    insta::assert_snapshot!(served.answer(served.prompt("one", "Hello")).await, @r#"
    503 retry-after: 2
    {"error":"What was said before cannot be read just now. Please try again.","code":"memory_unavailable","request_id":"request-1"}
    "#);
}

#[tokio::test]
async fn somebody_in_danger_is_answered_even_if_the_session_cannot_be_read() {
    let served = Served::with_memory(Arc::new(Unreadable));
    let whole = served.answer(served.prompt("one", "danger")).await;
    assert!(whole.starts_with("200"), "{whole}");
    assert!(whole.contains(r#""severity":"crisis","action":"answered""#), "{whole}");
    let streamed = served.prompt("one", "danger").header("accept", "text/event-stream");
    let streamed = served.answer(streamed).await;
    assert!(streamed.contains("Help is on its way."), "{streamed}");
    assert!(streamed.contains(r#""severity":"crisis","action":"answered""#), "the last frame has it too: {streamed}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_as_the_contract_says() {
    let served = Served::start();
    let mut answers = Vec::new();
    for (method, path) in [("GET", "/invocations"), ("POST", "/ping"), ("GET", "/nope"), ("POST", "/invocations/")] {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let request = client.request(method.parse().expect("a method"), served.url(path));
        let response = request.send().await.expect("an answer");
        let header = |name| response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
        let told = format!(
            "{method} {path}: {} allow={:?} type={:?} location={:?}",
            response.status(),
            header("allow"),
            header("content-type"),
            header("location"),
        );
        answers.push(format!("{told} {:?}", response.text().await.expect("a body")));
    }
    insta::assert_snapshot!(answers.join("\n"), @r#"
    GET /invocations: 405 Method Not Allowed allow=Some("POST") type=Some("text/plain; charset=utf-8") location=None "Method Not Allowed"
    POST /ping: 405 Method Not Allowed allow=Some("GET,HEAD") type=Some("text/plain; charset=utf-8") location=None "Method Not Allowed"
    GET /nope: 404 Not Found allow=None type=Some("text/plain; charset=utf-8") location=None "Not Found"
    POST /invocations/: 307 Temporary Redirect allow=None type=None location=Some("/invocations") ""
    "#);
}

#[tokio::test]
async fn one_byte_more_than_a_hundred_million_is_refused() {
    let served = Served::start();
    let mut body = br#"{"prompt": "Hello", "pad": ""#.to_vec();
    body.resize(100_000_000 + 1 - 2, b'x');
    body.extend_from_slice(b"\"}");
    assert_eq!(body.len(), 100_000_001);
    insta::assert_snapshot!(served.answer(served.invocation("one", body)).await, @r#"
    413
    {"error":"The payload is larger than 100000000 bytes. Please send a smaller one.","code":"payload_too_large","request_id":"request-1"}
    "#);
}

#[tokio::test]
async fn a_prompt_that_no_model_can_read_is_refused_without_asking_one() {
    let served = Served::start();
    let prompt = "x".repeat(30_000_000);
    insta::assert_snapshot!(served.answer(served.prompt("one", &prompt)).await, @r#"
    400
    {"error":"The message is too long for the model. Please send a shorter one.","code":"context_too_long","request_id":"request-1"}
    "#);
}
