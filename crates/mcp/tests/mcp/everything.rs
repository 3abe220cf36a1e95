//! MCP's own example server, on the TypeScript SDK: over HTTP it keeps sessions and wants a greeting.

use std::path::Path;
use std::process::Command;

use agentcore_mcp::{HttpServer, McpServer, StdioServer};
use serde_json::json;

use crate::conversation::{SOON, call, eventually, offered, patient, text};
use crate::process::{Process, free_port};
use crate::servers;

fn over_stdio() -> McpServer {
    let script = servers::everything().into_os_string().into_string().expect("the repository's path is text");
    McpServer::with_timeouts("all", StdioServer::new("node").arg(script).arg("stdio"), patient())
}

/// The same, which writes down the number of its process each time it is started.
pub(crate) fn over_stdio_noting(process: &Path) -> McpServer {
    let path = |path: &Path| path.to_str().expect("the path is text").to_owned();
    let started = r#"echo $$ > "$0"; exec node "$1" stdio"#;
    let server = StdioServer::new("sh").arg("-c").arg(started).arg(path(process)).arg(path(&servers::everything()));
    McpServer::with_timeouts("all", server, patient())
}

fn over_http(port: u16) -> McpServer {
    let server = HttpServer::at(&format!("http://127.0.0.1:{port}/mcp")).expect("an address");
    McpServer::with_timeouts("all", server, patient())
}

fn serve(port: u16) -> Process {
    let mut command = Command::new("node");
    command.arg(servers::everything()).arg("streamableHttp").env("PORT", port.to_string());
    let mut process = Process::start("everything", command);
    process.wait_for_port(port, SOON);
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn its_tools_are_called_over_both_transports() {
    let port = free_port();
    let _process = serve(port);
    for server in [over_stdio(), over_http(port)] {
        let tools = offered(&server).await;
        let sum = call(&server, "all__get-sum", json!({ "a": 2, "b": 3 })).await;
        let slow = call(&server, "all__trigger-long-running-operation", json!({ "duration": 1, "steps": 2 })).await;
        let weather = call(&server, "all__get-structured-content", json!({ "location": "Chicago" })).await;
        let image = call(&server, "all__get-tiny-image", json!({})).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(tools.join(" "), @"all__echo all__get-annotated-message all__get-env all__get-resource-links all__get-resource-reference all__get-structured-content all__get-sum all__get-tiny-image all__gzip-file-as-resource all__toggle-simulated-logging all__toggle-subscriber-updates all__trigger-long-running-operation all__simulate-research-query");
            insta::assert_snapshot!(text(&sum), @"The sum of 2 and 3 is 5.");
            insta::assert_snapshot!(text(&slow), @"Long running operation completed. Duration: 1 seconds, Steps: 2.");
            // The last word of progress may be overtaken by the result.
            assert_eq!(slow.progress[0], "1 of 2");
            insta::assert_json_snapshot!(weather.result, @r#"
            {
              "toolUseId": "call-1",
              "content": [
                {
                  "json": {
                    "temperature": 36,
                    "conditions": "Light rain / drizzle",
                    "humidity": 82
                  }
                }
              ],
              "status": "success"
            }
            "#);
            assert_eq!(image.result["content"][1]["image"]["format"], "png");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_it_has_forgotten_is_begun_again() {
    let port = free_port();
    let process = serve(port);
    let server = over_http(port);
    assert_eq!(text(&call(&server, "all__echo", json!({ "message": "one" })).await), "Echo: one");

    drop(process);
    let _process = serve(port);

    let again = eventually("an answer", async || {
        let called = call(&server, "all__echo", json!({ "message": "two" })).await;
        (called.result["status"] == "success").then(|| text(&called).to_owned())
    });
    assert_eq!(again.await, "Echo: two");
}
