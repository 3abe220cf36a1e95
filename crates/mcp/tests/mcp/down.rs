//! A server that is not there degrades an agent and does not stop it.

use std::time::Duration;

use agentcore_core::model::retry::Backoff;
use agentcore_mcp::{HttpServer, McpServer, StdioServer, Timeouts};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::conversation::{call, eventually, failure, offered, patient};
use crate::kitchen::Kitchen;
use crate::log::Log;
use crate::process::free_port;

#[tokio::test]
async fn a_server_that_is_down_from_the_start_costs_nothing_but_its_tools_and_one_warning() {
    let log = Log::keep();
    let nowhere = HttpServer::at(&format!("http://127.0.0.1:{}/mcp", free_port())).expect("an address");
    let missing = StdioServer::new("/no/such/program");
    for server in
        [McpServer::with_timeouts("web", nowhere, patient()), McpServer::with_timeouts("own", missing, patient())]
    {
        for _turn in 0..5 {
            assert_eq!(offered(&server).await, Vec::<String>::new());
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    let warnings = log.ours("WARN");
    assert_eq!(warnings.len(), 2, "one a server: {warnings:#?}");
    insta::assert_snapshot!(warnings[1], @r#"WARN agentcore_mcp::link message=an MCP server cannot be reached; turns go on without its tools, and it is tried again when needed server="own" error=its program does not start: No such file or directory (os error 2)"#);
}

#[tokio::test]
async fn an_outage_is_one_warning_however_many_turns_it_lasts() {
    let log = Log::keep();
    let mut kitchen = Kitchen::over_http();
    assert!(!offered(&kitchen.server).await.is_empty());

    kitchen.close();
    for _turn in 0..5 {
        let called = call(&kitchen.server, "kitchen__echo", json!({ "text": "anybody?" })).await;
        failure(&called);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    kitchen.open_again();
    eventually("an answer", async || {
        let called = call(&kitchen.server, "kitchen__echo", json!({ "text": "again" })).await;
        (called.result["status"] == "success").then_some(())
    })
    .await;

    // At the end of a line are numbers that are chance or the system's.
    let lines = log.ours("INFO");
    let told = lines.iter().filter_map(|line| line.split(" failures=").next()?.split(" (os error").next());
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r#"
    INFO agentcore_mcp::link message=the connection to an MCP server is lost server="kitchen"
    WARN agentcore_mcp::link message=an MCP server cannot be reached; turns go on without its tools, and it is tried again when needed server="kitchen" error=it did not greet us: error sending request: client error (Connect): tcp connect error: Connection refused
    INFO agentcore_mcp::link message=an MCP server is reached again server="kitchen" tools=8
    "#);
}

#[tokio::test]
async fn a_server_that_says_nothing_does_not_hold_turns_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/mcp", silent.local_addr().expect("an address"));
    let turn = Duration::from_millis(100);
    let timeouts = Timeouts { turn, connect: Duration::from_millis(300), ..Timeouts::default() };
    let server = McpServer::with_timeouts("silent", HttpServer::at(&address).expect("an address"), timeouts);

    let begun = Instant::now();
    assert!(server.known_tools().is_empty());
    assert!(begun.elapsed() < turn, "what is known is given at once");
    assert_eq!(offered(&server).await, Vec::<String>::new());
    assert!(begun.elapsed() >= turn, "it was waited for");
    assert!(begun.elapsed() < Duration::from_secs(2), "and not for long: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_up_later_is_found_by_a_later_turn() {
    let mut kitchen = Kitchen::over_http();
    kitchen.close();
    assert_eq!(offered(&kitchen.server).await, Vec::<String>::new());

    kitchen.open_again();

    let found = eventually("a tool", async || Some(offered(&kitchen.server).await).filter(|tools| !tools.is_empty()));
    assert!(found.await.contains(&"kitchen__echo".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_tried_ever_less_often() {
    let log = Log::keep();
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1)).expect("pauses that grow");
    let timeouts = Timeouts { backoff, ..patient() };
    let server = McpServer::with_timeouts("own", StdioServer::new("/no/such/program"), timeouts);

    for _second in 0..3600 {
        server.tools().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    let attempts = log.lines().iter().filter(|line| line.contains("cannot be reached")).count();
    // One a minute at the least, by the longest pause; a mean pause is half of it.
    assert!((60..=240).contains(&attempts), "{attempts} attempts in an hour of turns each second");
}
