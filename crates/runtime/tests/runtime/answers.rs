use crate::played::Served;

#[tokio::test]
async fn an_answer_is_json_as_callers_of_the_old_agents_read_it() {
    let served = Served::start();
    insta::assert_snapshot!(served.answer(served.prompt("a-session", "Hello")).await, @r#"
    200
    {"response":{"role":"assistant","content":[{"text":"before: []; now: Hello"}]},"session_id":"a-session","stop_reason":"end_turn","usage":{"inputTokens":12,"outputTokens":3,"totalTokens":15,"cacheReadInputTokens":0,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}}
    "#);
}

#[tokio::test]
async fn an_answer_is_streamed_where_events_are_accepted() {
    let served = Served::start();
    let request = served.prompt("a-session", "Hello").header("accept", "text/event-stream");
    let response = served.client.execute(request.build().expect("a request")).await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    insta::assert_snapshot!(response.text().await.expect("frames"), @r#"
    data: {"event":{"messageStart":{"role":"assistant"}}}

    data: {"event":{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"before: []; "}}}}

    data: {"event":{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"now: Hello"}}}}

    data: {"event":{"contentBlockStop":{"contentBlockIndex":0}}}

    data: {"event":{"messageStop":{"stopReason":"end_turn"}}}

    data: {"event":{"metadata":{"usage":{"inputTokens":12,"outputTokens":3,"totalTokens":15,"cacheReadInputTokens":0,"cacheWriteInputTokens":0,"usd":0.0},"metrics":{"latencyMs":1}}}}

    data: {"message":{"role":"assistant","content":[{"text":"before: []; now: Hello"}]},"session_id":"a-session","stop_reason":"end_turn","usage":{"inputTokens":12,"outputTokens":3,"totalTokens":15,"cacheReadInputTokens":0,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}}
    "#);
}

#[tokio::test]
async fn the_next_call_of_a_session_knows_what_was_said_and_another_session_does_not() {
    let served = Served::start();
    served.answer(served.prompt("one", "I am Aoife")).await;
    insta::assert_snapshot!(served.answer(served.prompt("one", "Who am I?")).await, @r#"
    200
    {"response":{"role":"assistant","content":[{"text":"before: [\"I am Aoife\", \"before: []; now: I am Aoife\"]; now: Who am I?"}]},"session_id":"one","stop_reason":"end_turn","usage":{"inputTokens":12,"outputTokens":3,"totalTokens":15,"cacheReadInputTokens":0,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}}
    "#);
    insta::assert_snapshot!(served.answer(served.prompt("two", "Who am I?")).await, @r#"
    200
    {"response":{"role":"assistant","content":[{"text":"before: []; now: Who am I?"}]},"session_id":"two","stop_reason":"end_turn","usage":{"inputTokens":12,"outputTokens":3,"totalTokens":15,"cacheReadInputTokens":0,"cacheWriteInputTokens":0,"usd":0.0},"safety":{"severity":"none","action":"none","flags":[]}}
    "#);
}

#[tokio::test]
async fn a_guard_knows_the_session_also_where_a_message_leaves_no_room_for_it_in_the_call() {
    let served = Served::start();
    served.answer(served.prompt("one", "danger")).await;
    let long = format!("look {}", "word ".repeat(130_000));
    assert!(served.answer(served.prompt("one", &long)).await.contains("Are you safe now?"));
    assert!(served.answer(served.prompt("two", &long)).await.contains("now: look word"));
}

#[tokio::test]
async fn a_session_is_its_users_alone() {
    let served = Served::start();
    let by = |user: &str, prompt: &str| {
        served.prompt("one", prompt).header("x-amzn-bedrock-agentcore-runtime-user-id", user)
    };
    served.answer(by("aoife", "I am Aoife")).await;
    assert!(served.answer(by("brendan", "Who am I?")).await.contains("before: []"));
    assert!(served.answer(by("aoife", "Who am I?")).await.contains("I am Aoife"));
    let in_payload = served.invocation("one", r#"{"prompt": "Who am I?", "user_id": "aoife"}"#);
    assert!(served.answer(in_payload).await.contains("I am Aoife"));
}

#[tokio::test]
async fn message_is_accepted_where_prompt_is_absent_and_the_content_type_is_ignored() {
    let served = Served::start();
    let request = served.invocation("one", r#"{"message": "Hello"}"#).header("content-type", "text/plain");
    assert!(served.answer(request).await.contains("now: Hello"));
}

#[tokio::test]
async fn a_call_without_a_session_gets_one_and_is_told() {
    let served = Served::start();
    let body = served.client.post(served.url("/invocations")).body(r#"{"prompt": "Hello"}"#);
    let answer: serde_json::Value =
        serde_json::from_str(&body.send().await.expect("an answer").text().await.expect("a body")).expect("JSON");
    assert_eq!(answer["session_id"].as_str().expect("a session").len(), 36);
}
