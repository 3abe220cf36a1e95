//! What an MCP server answers to an agent that uses its tools: whatever it is, the tools have names that Bedrock takes,
//! and a call gives something to tell the model. The first line of an input is the result of `tools/list`, the second
//! that of `tools/call`; a third is the whole body of the answer to it instead.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use agentcore_mcp::{HttpServer, McpServer, Timeouts};
use agentcore_runtime::core::tool::ToolCall;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::yes::SaysYes;

/// Much is taken from a list; this many are called.
const CALLED: usize = 2;

const GREETING: &str =
    r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"other","version":"1"}}"#;

static SAYS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

static RUNTIME: LazyLock<(Runtime, String)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has free ports");
    let address = listener.local_addr().expect("a bound socket has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A caller that hangs up gets no more.
            thread::spawn(move || serve(&stream));
        }
    });
    (runtime.expect("the system has threads"), format!("http://{address}/mcp"))
});

pub(crate) fn run(bytes: &[u8]) {
    let (runtime, address) = &*RUNTIME;
    *SAYS.lock().unwrap_or_else(PoisonError::into_inner) =
        bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let soon = Duration::from_millis(500);
    let timeouts = Timeouts { connect: soon, list: soon, call: soon, turn: soon, ..Timeouts::default() };
    let server = McpServer::with_timeouts("other", HttpServer::at(address).expect("an address"), timeouts);
    runtime.block_on(async {
        let tools = server.tools().await;
        let mut names = HashSet::new();
        for tool in &tools {
            let spec = tool.spec();
            let fits = (1..=64).contains(&spec.name.len());
            assert!(
                fits && spec.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'),
                "{}",
                spec.name
            );
            assert!(names.insert(spec.name.clone()), "two tools of one name: {}", spec.name);
            assert!(!spec.description.trim().is_empty(), "{spec:?}");
            assert!(spec.input_schema.is_object(), "{spec:?}");
        }
        for tool in tools.iter().take(CALLED) {
            // Whatever it is, it is something.
            let _ = tool.call(ToolCall::alone(json!({}), Arc::new(SaysYes))).await;
        }
    });
}

fn serve(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    stream.set_nodelay(true)?;
    loop {
        let (mut first, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() && !first.is_empty() {
                break;
            } else if first.is_empty() {
                first = line;
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a client knows how much it sends");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, body) = if first.starts_with("post") { answer(&body) } else { ("405 No", Vec::new()) };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        writer.write_all(&[head.as_bytes(), &body].concat())?;
    }
}

fn answer(body: &[u8]) -> (&'static str, Vec<u8>) {
    let asked: Value = serde_json::from_slice(body).expect("rmcp sends JSON");
    let said = |place: usize| SAYS.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned();
    if asked.get("id").is_none() {
        return ("202 Accepted", Vec::new());
    }
    let result = match asked["method"].as_str().unwrap_or_default() {
        "initialize" => GREETING.as_bytes().to_vec(),
        "tools/list" => said(0).unwrap_or_default(),
        "tools/call" => match said(2) {
            Some(whole) => return ("200 OK", whole),
            None => said(1).unwrap_or_default(),
        },
        _ => {
            let error = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -32601, "message": "no" } });
            return ("200 OK", error.to_string().into_bytes());
        }
    };
    let head = format!(r#"{{"jsonrpc":"2.0","id":{},"result":"#, asked["id"]);
    ("200 OK", [head.as_bytes(), &result, b"}"].concat())
}
