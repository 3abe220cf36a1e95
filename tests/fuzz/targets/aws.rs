//! An AWS that says what an input says: Bedrock's answers and Memory's events, over HTTP. What it is asked for must be
//! what Bedrock takes, by the rules of the emulated one.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use agentcore_runtime::core::aws::Aws as CoreAws;
use agentcore_runtime::core::memory::agentcore::AgentCoreMemory;
use agentcore_runtime::core::model::bedrock::Bedrock;
use agentcore_runtime::core::model::residency::{ModelId, Region, Residency};
use agentcore_runtime::core::settings::ModelSettings;
use agentcore_runtime::{Protocol, Server};
use coach_companion::CoachCompanion;
use serde_json::json;

use super::served::Served;

const MODEL: &str = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";

/// What it says, and what it was asked. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Aws(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    /// The next answers of the model; then it says something plain.
    answers: VecDeque<Vec<u8>>,
    /// What ListEvents answers; nothing was said before where it is none.
    events: Option<Vec<u8>>,
    /// Why Bedrock would have refused what it was asked.
    refusal: Option<String>,
}

// === impl Aws ===

impl Aws {
    /// An AWS, and the coach that is served before it.
    pub(super) fn behind_the_coach(protocol: Protocol) -> (Self, Served) {
        let aws = Self::default();
        let served = Served::agent(|| aws.coach().speaking(protocol));
        (aws, served)
    }

    fn coach(&self) -> Server<CoachCompanion> {
        let region = Region::parse("eu-west-1", Residency::Eu).expect("Ireland is in the EU");
        let aws = Arc::new(CoreAws::at(self.listen(), region.clone()));
        let settings = ModelSettings::new(ModelId::parse(MODEL, Residency::Eu).expect("a model"), region);
        let model = Arc::new(Bedrock::new(&settings, Arc::clone(&aws)));
        Server::new(CoachCompanion, model, Arc::new(AgentCoreMemory::new("a_memory-0123456789", aws)))
    }

    /// Says this, and then something plain.
    pub(super) fn say(&self, answers: impl IntoIterator<Item = Vec<u8>>, events: Option<Vec<u8>>) {
        *self.script() = Script { answers: answers.into_iter().collect(), events, refusal: None };
    }

    /// Fails if it was asked for what Bedrock refuses.
    pub(super) fn assert_was_asked_well(&self) {
        let refusal = self.script().refusal.take();
        assert_eq!(refusal, None, "Bedrock would not take it");
    }

    /// Opens a port for it.
    fn listen(&self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let this = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let this = this.clone();
                // A caller that hangs up gets no more.
                thread::spawn(move || this.serve(&stream));
            }
        });
        format!("http://{address}")
    }

    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        stream.set_nodelay(true)?;
        while let Some((path, body)) = request(&mut reader)? {
            let (kind, answer) = self.answer(&path, &body);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", answer.len());
            writer.write_all(&[head.as_bytes(), &answer].concat())?;
        }
        Ok(())
    }

    fn answer(&self, path: &str, body: &[u8]) -> (&'static str, Vec<u8>) {
        const EVENTS: &str = "application/vnd.amazon.eventstream";
        const JSON: &str = "application/json";
        let mut script = self.script();
        if path.starts_with("/model/") {
            let refusal = agentcore_local::bedrock::refusal_of(body, MODEL);
            script.refusal = script.refusal.take().or(refusal.map(|refusal| refusal.to_string()));
            let is_streamed = path.ends_with("/converse-stream");
            let plain = || if is_streamed { plain_stream() } else { plain_answer() };
            return (if is_streamed { EVENTS } else { JSON }, script.answers.pop_front().unwrap_or_else(plain));
        }
        if path.ends_with("/events") {
            return (JSON, kept());
        }
        (JSON, script.events.clone().unwrap_or_else(|| br#"{"events":[]}"#.to_vec()))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a request's path and body; none where the caller has hung up.
fn request(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() && !path.is_empty() {
            break;
        } else if path.is_empty() {
            line.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/").clone_into(&mut path);
        } else if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a client knows how much it sends");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((path, body)))
}

fn kept() -> Vec<u8> {
    let event = json!({
        "memoryId": "a_memory-0123456789", "actorId": "a", "sessionId": "s", "eventId": "0000001795405591000#0a1b2c3d",
        "eventTimestamp": 1_795_405_591.0, "payload": [],
    });
    json!({ "event": event }).to_string().into_bytes()
}

fn plain_answer() -> Vec<u8> {
    json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "Well done." }] } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": 12, "outputTokens": 3, "totalTokens": 15 },
        "metrics": { "latencyMs": 1 },
    })
    .to_string()
    .into_bytes()
}

fn plain_stream() -> Vec<u8> {
    let events = [
        r#"messageStart {"role":"assistant"}"#,
        r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Well done."}}"#,
        r#"contentBlockStop {"contentBlockIndex":0}"#,
        r#"messageStop {"stopReason":"end_turn"}"#,
        r#"metadata {"usage":{"inputTokens":12,"outputTokens":3,"totalTokens":15},"metrics":{"latencyMs":1}}"#,
    ];
    events.iter().flat_map(|line| framed(line.as_bytes())).collect()
}

/// A line, the name of an event and its JSON, as a message of an event stream; of an exception where the name has a `!`
/// before it.
pub(super) fn framed(line: &[u8]) -> Vec<u8> {
    let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (name, json) = (&line[..space], line.get(space + 1..).unwrap_or_default());
    let (kind, name_of_name, name): (&[u8], &[u8], _) = match name.strip_prefix(b"!") {
        Some(name) => (b"exception", b":exception-type", name),
        None => (b"event", b":event-type", name),
    };
    let headers: [(&[u8], &[u8]); 3] =
        [(b":message-type", kind), (name_of_name, name), (b":content-type", b"application/json")];
    let headers: Vec<u8> = headers.into_iter().flat_map(|(name, value)| header(name, value)).collect();
    let total = 12 + headers.len() + json.len() + 4;
    let mut message = [size(total), size(headers.len())].concat();
    message.extend(crc(&message).to_be_bytes());
    message.extend(headers);
    message.extend(json);
    message.extend(crc(&message).to_be_bytes());
    message
}

fn header(name: &[u8], value: &[u8]) -> Vec<u8> {
    /// The kind of a header's value: text.
    const TEXT: u8 = 7;
    let long = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let value = &value[..usize::from(long)];
    let name_length = u8::try_from(name.len()).expect("ours are short");
    [&[name_length][..], name, &[TEXT], &long.to_be_bytes(), value].concat()
}

fn size(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("an input is no 4 GB").to_be_bytes()
}

/// The checksum of event streams: CRC-32 as zip has it.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
