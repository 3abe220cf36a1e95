//! Lines in the head of an invocation: whatever they say, the agent sees the session that the platform named, none of
//! the platform's other headers, and no secret among the plain ones.

use std::sync::{Arc, LazyLock};

use agentcore_runtime::Server;
use agentcore_runtime::core::memory::process::ProcessMemory;
use agentcore_runtime::prelude::*;

use super::answer;
use super::served::Served;
use super::yes::SaysYes;

const SESSION: &[u8] = b"x-amzn-bedrock-agentcore-runtime-session-id: the-session-that-the-platform-named-0123";

/// What belongs to the connection is between the server's HTTP and its client: other tests lie about it.
const OF_THE_CONNECTION: [&[u8]; 5] = [b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"connection"];

/// Looks at what it is told of a call.
struct Witness;

impl Agent for Witness {
    type Payload = Prompt;
    const NAME: &'static str = "witness";

    fn turn(&self, payload: Prompt, context: &Context) -> Result<TurnRequest, PayloadError> {
        for name in context.headers.keys() {
            let of_the_platform = name.starts_with("x-amz-") || name.starts_with("x-amzn-");
            let custom = name.starts_with("x-amzn-bedrock-agentcore-runtime-custom-");
            assert!(custom || !of_the_platform, "a header of the platform's: {name}");
            assert!(name != "authorization" && name != "workloadaccesstoken", "a secret: {name}");
        }
        assert!(!context.session_id.trim().is_empty() && !context.request_id.trim().is_empty());
        Ok(payload.turn()?.actor(context.user_id.clone()))
    }
}

static WITNESS: LazyLock<Served> =
    LazyLock::new(|| Served::agent(|| Server::new(Witness, Arc::new(SaysYes), Arc::new(ProcessMemory::default()))));

pub(crate) fn run(bytes: &[u8]) {
    let lowered = bytes.to_ascii_lowercase();
    let has = |name: &[u8]| lowered.windows(name.len()).any(|part| part == name);
    // An empty line is the end of the head.
    let is_empty = |line: &[u8]| line.trim_ascii().is_empty();
    if OF_THE_CONNECTION.iter().any(|name| has(name)) || bytes.split(|byte| *byte == b'\n').any(is_empty) {
        return;
    }
    let is_named = bytes.len() % 2 == 1;
    let lines = if is_named { [SESSION, b"\r\n", bytes].concat() } else { bytes.to_vec() };
    // What is no head at all is refused by HTTP, without a body.
    let Some(answer) = WITNESS.ask(b"POST /invocations", &lines, br#"{"prompt":"Hello!"}"#) else { return };
    if matches!(answer.status, 400 | 431) {
        assert!(answer.body.is_empty(), "{}", answer.text());
        return;
    }
    // Nothing is streamed here: a stream of nothing is a model that cannot be reached.
    let told = answer::of_an_invocation(&answer, &["model_unavailable"]);
    if is_named && told.get("response").is_some() {
        assert_eq!(told["session_id"], "the-session-that-the-platform-named-0123");
    }
}
