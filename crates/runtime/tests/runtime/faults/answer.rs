//! What a client reads of an answer, however it ends: HTTP/1.1 in JSON or in server-sent events.

use serde_json::Value;

/// An answer as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether its end was read.
    pub(crate) is_whole: bool,
    /// The words that were streamed.
    pub(crate) told: String,
    /// The message at its end, and why it ended.
    pub(crate) message: Option<String>,
    pub(crate) stop_reason: String,
    /// The error's code, where it is one.
    pub(crate) code: Option<String>,
}

// === impl Answer ===

impl Answer {
    /// Reads as much of an HTTP/1.1 answer as there is.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Self::default();
        };
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut answer = Self { status, ..Self::default() };
        if head.contains("transfer-encoding: chunked") {
            let (body, is_whole) = unchunked(body);
            answer.is_whole = is_whole;
            body.split_inclusive("\n\n").filter_map(|frame| frame.strip_suffix("\n\n")).for_each(|frame| {
                let frame = frame.strip_prefix("data: ").and_then(|frame| serde_json::from_str(frame).ok());
                answer.take(&frame.unwrap_or_default());
            });
        } else {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            answer.is_whole = length == Some(body.len());
            answer.take(&serde_json::from_str(body).unwrap_or_default());
        }
        answer
    }

    fn take(&mut self, frame: &Value) {
        if let Some(text) = frame["event"]["contentBlockDelta"]["delta"]["text"].as_str() {
            self.told.push_str(text);
        }
        let message = [&frame["message"], &frame["response"]].into_iter().find(|message| message.is_object());
        if let Some(message) = message {
            let texts = message["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str());
            self.message = Some(texts.collect());
            frame["stop_reason"].as_str().unwrap_or_default().clone_into(&mut self.stop_reason);
        }
        if let Some(code) = frame["code"].as_str() {
            self.code = Some(code.to_owned());
        }
    }

    /// Whether the client was told that its turn is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.is_whole && self.message.is_some()
    }
}

/// The body as far as it is there, and whether that is all of it.
fn unchunked(body: &str) -> (String, bool) {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        if size == 0 {
            return (whole, true);
        }
        let Some(chunk) = after.get(..size) else {
            whole.push_str(after);
            break;
        };
        whole.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    (whole, false)
}
