//! A server's tools as an agent's own, over both transports.

use std::time::Duration;

use agentcore_mcp::Timeouts;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::conversation::{call, call_until, eventually, failure, offered, patient, text};
use crate::kitchen::Kitchen;

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_tools_are_offered_and_called_like_any_other() {
    for (transport, Kitchen { server, .. }) in &Kitchen::both() {
        let tools = server.tools().await;
        let names: Vec<String> = tools.iter().map(|tool| tool.spec().name).collect();
        let add = call(server, "kitchen__add", json!({ "a": 2, "b": 3 })).await;
        let picture = call(server, "kitchen__picture", json!({})).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(names.join(" "), @"kitchen__echo kitchen__add kitchen__environment kitchen__process kitchen__fail kitchen__picture kitchen__slow kitchen__learn");
            insta::assert_debug_snapshot!(tools[1].spec(), @r#"
            ToolSpec {
                name: "kitchen__add",
                description: "Adds two numbers.",
                input_schema: Object {
                    "type": String("object"),
                    "properties": Object {
                        "a": Object {
                            "title": String("A"),
                            "type": String("integer"),
                        },
                        "b": Object {
                            "title": String("B"),
                            "type": String("integer"),
                        },
                    },
                    "required": Array [
                        String("a"),
                        String("b"),
                    ],
                    "title": String("addArguments"),
                },
            }
            "#);
            insta::assert_json_snapshot!(add.result, @r#"
            {
              "toolUseId": "call-1",
              "content": [
                {
                  "json": {
                    "result": 5
                  }
                }
              ],
              "status": "success"
            }
            "#);
            insta::assert_json_snapshot!(picture.result, @r#"
            {
              "toolUseId": "call-1",
              "content": [
                {
                  "image": {
                    "format": "png",
                    "source": {
                      "bytes": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
                    }
                  }
                }
              ],
              "status": "success"
            }
            "#);
        }
        let echo = call(server, "kitchen__echo", json!({ "text": "Grüße, 😀" })).await;
        assert_eq!(text(&echo), "Grüße, 😀", "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_reports_goes_to_the_model_and_what_it_does_to_the_caller() {
    for (transport, Kitchen { server, .. }) in &Kitchen::both() {
        let failed = call(server, "kitchen__fail", json!({})).await;
        assert!(failure(&failed).contains("The oven is cold."), "{transport}: {failed:?}");

        let mistaken = call(server, "kitchen__add", json!({ "a": "two" })).await;
        assert!(failure(&mistaken).contains("valid integer"), "{transport}: {mistaken:?}");

        let slow = call(server, "kitchen__slow", json!({ "steps": 2, "seconds": 0.2 })).await;
        assert_eq!(slow.progress, ["step 1 of 2", "step 2 of 2"], "{transport}");
        assert_eq!(text(&slow), "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_a_server_adds_are_offered_from_the_next_turn_on() {
    for (transport, Kitchen { server, .. }) in &Kitchen::both() {
        assert!(!offered(server).await.contains(&"kitchen__fry".to_owned()));

        let learnt = call(server, "kitchen__learn", json!({ "name": "fry" })).await;

        assert_eq!(text(&learnt), "learnt", "{transport}");
        eventually("a new tool", async || offered(server).await.contains(&"kitchen__fry".to_owned()).then_some(()))
            .await;
        assert_eq!(text(&call(server, "kitchen__fry", json!({})).await), "I am fry.", "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_cut_stops_the_servers_work() {
    for (transport, kitchen) in &Kitchen::both() {
        let cut = CancellationToken::new();
        let turn = call_until(&kitchen.server, "kitchen__slow", json!({ "steps": 600, "seconds": 0.1 }), cut.clone());
        let cutting = async {
            eventually("the call", async || kitchen.journal().iter().any(|line| line == "begun").then_some(())).await;
            cut.cancel();
        };

        let (cut_short, ()) = tokio::join!(turn, cutting);

        assert_eq!(cut_short, None, "{transport}");
        eventually("the end of its work", async || {
            kitchen.journal().iter().any(|line| line == "stopped").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_too_long_is_stopped_and_the_model_is_told() {
    let timeouts = Timeouts { call: Duration::from_secs(2), ..patient() };
    let kitchen = Kitchen::over_stdio_within(timeouts);
    let hasty = &kitchen.server;
    hasty.tools().await;

    let late = call(hasty, "kitchen__slow", json!({ "steps": 600, "seconds": 0.1 })).await;

    insta::assert_snapshot!(failure(&late), @"kitchen__slow did not answer within 2 s and was told to stop.");
    eventually("the end of its work", async || kitchen.journal().iter().any(|line| line == "stopped").then_some(()))
        .await;
    assert_eq!(text(&call(hasty, "kitchen__echo", json!({ "text": "here" })).await), "here", "the connection is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_ours_sees_nothing_of_our_environment_that_it_does_not_need() {
    let Kitchen { server, .. } = &Kitchen::over_stdio();
    let hidden = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    assert!(!hidden.is_empty());

    let told = call(server, "kitchen__environment", json!({ "name": "CARGO_MANIFEST_DIR" })).await;

    assert_eq!(text(&told), "not set");
}
