//! What a client sends over a WebSocket of the coach: whatever it is, what comes back is frames of JSON and a reason
//! for the end. An input is a line a frame: `t` text, `f` the first part of a text, `c` a part that goes on, `e` the
//! last one, `b` binary, `p` a ping, `q` a pong, `x` a close, each before its content; any other line goes out as it
//! is.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::LazyLock;

use agentcore_runtime::Protocol;
use serde_json::Value;

use super::aws::Aws;
use super::served::Served;

/// The most frames of an input: what is answered leaves at a frame in 5 ms.
const MOST: usize = 6;

const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The codes by which a connection may be closed: never 1011, which is a failure of ours.
const CODES: [u16; 8] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013];

static COACH: LazyLock<(Aws, Served)> = LazyLock::new(|| Aws::behind_the_coach(Protocol::Http));

pub(crate) fn run(bytes: &[u8]) {
    let (aws, served) = &*COACH;
    aws.say([], None);
    let mut stream = served.connect();
    let frames = bytes.split(|byte| *byte == b'\n').take(MOST).flat_map(frame);
    let goodbye = [vec![0x88, 0x82, 0, 0, 0, 0], 1000_u16.to_be_bytes().to_vec()].concat();
    let sent: Vec<u8> = HANDSHAKE.iter().copied().chain(frames).chain(goodbye).collect();
    // It may be closed while we speak.
    let _ = stream.write_all(&sent);
    // Whoever sends half a frame hangs up in the middle of it.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("no end: {error} after {:?}", String::from_utf8_lossy(&read)),
    }
    told(&read);
    aws.assert_was_asked_well();
}

/// A frame with a mask of zeros, whose length has the highest bit for it; a line of no kind as it is.
fn frame(line: &[u8]) -> Vec<u8> {
    let (first, content) = match line.split_first() {
        Some((b't', content)) => (0x81, content),
        Some((b'f', content)) => (0x01, content),
        Some((b'c', content)) => (0x00, content),
        Some((b'e', content)) => (0x80, content),
        Some((b'b', content)) => (0x82, content),
        Some((b'p', content)) => (0x89, content),
        Some((b'q', content)) => (0x8A, content),
        Some((b'x', content)) => (0x88, content),
        _ => return line.to_vec(),
    };
    let length = match (u8::try_from(content.len()), u16::try_from(content.len())) {
        (Ok(short @ ..126), _) => vec![0x80 | short],
        (_, Ok(long)) => [&[0xFE][..], &long.to_be_bytes()].concat(),
        _ => [&[0xFF][..], &(content.len() as u64).to_be_bytes()].concat(),
    };
    [&[first][..], &length, &[0; 4], content].concat()
}

/// Fails unless what was read is a handshake and then frames.
fn told(read: &[u8]) {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n").map_or(read.len(), |end| end + 4);
    let (head, mut rest) = read.split_at(end);
    assert!(head.is_empty() || head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(head));
    let mut text = Vec::new();
    // The connection may break off after a whole frame, and does not in the middle of one.
    while let [first, length, ..] = rest {
        let (length, head) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[2], rest[3]])), 4),
            127 => panic!("a frame above 64 KB"),
            short => (usize::from(*short), 2),
        };
        let content = &rest[head..head + length];
        rest = &rest[head + length..];
        match first {
            0x01 | 0x00 => text.extend_from_slice(content),
            0x81 | 0x80 => {
                text.extend_from_slice(content);
                let message: Value = serde_json::from_slice(&text).expect("a message is JSON");
                assert_ne!(message["code"], "internal_error", "{message}");
                text.clear();
            }
            0x88 => {
                let code = content.first_chunk().map(|code| u16::from_be_bytes(*code));
                assert!(code.is_none_or(|code| CODES.contains(&code) || code >= 3_000), "closed with {code:?}");
            }
            0x89 | 0x8A => {}
            other => panic!("a frame of kind {other:#x}"),
        }
    }
}
