//! A request to the local AWS, from its first line on: answered as AWS answers, and by nobody's failure; and never let
//! in under another host's name. An input is `METHOD /path`, lines of a head, a blank line, and the body.

use std::sync::{Arc, LazyLock};

use agentcore_local::bedrock::{Bedrock, Brain};
use agentcore_local::engine::Scripted;
use agentcore_local::{Local, LocalConfig, Traces};

use super::served::Served;

/// What belongs to the connection is between the server's HTTP and its client.
const OF_THE_CONNECTION: [&[u8]; 7] =
    [b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"connection", b"host", b"x-local-fault"];

static AWS: LazyLock<Served> = LazyLock::new(|| {
    Served::start(async {
        let bedrock = Bedrock::new(Brain::Engine(Arc::new(Scripted)));
        let config =
            LocalConfig { address: ([127, 0, 0, 1], 0).into(), traces: Traces::Told, ..LocalConfig::default() };
        let local = Local::start(config, bedrock).await.expect("a free port");
        (local.address(), local)
    })
});

pub(crate) fn run(bytes: &[u8]) {
    let parted = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = parted.map_or((bytes, &b""[..]), |place| (&bytes[..place], &bytes[place + 2..]));
    let lowered = head.to_ascii_lowercase();
    let has = |name: &[u8]| lowered.windows(name.len()).any(|part| part == name);
    if OF_THE_CONNECTION.iter().any(|name| has(name)) || head.contains(&b'\r') {
        return;
    }
    let mut lines = head.splitn(2, |byte| *byte == b'\n');
    let (first, lines) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if first.starts_with(b"HEAD") || first.starts_with(b"CONNECT") {
        return;
    }
    let Some(answer) = AWS.ask_at("host: 127.0.0.1", first, lines, body) else { return };
    assert!(answer.status < 500, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));

    // Under another host's name, alone or beside ours, nobody comes in.
    for hosts in ["host: evil.example", "host: localhost\r\nhost: evil.example"] {
        if let Some(answer) = AWS.ask_at(hosts, first, lines, body) {
            assert!(matches!(answer.status, 400 | 403 | 431), "{} to {hosts:?}", answer.status);
        }
    }
}
