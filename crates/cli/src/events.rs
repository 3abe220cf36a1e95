//! Reads server-sent events as they come: bytes in, JSON frames out, however the bytes are cut.

use serde_json::Value;

/// What has come of a stream and is not a whole frame yet.
#[derive(Default)]
pub(crate) struct Frames {
    unread: Vec<u8>,
}

// === impl Frames ===

impl Frames {
    /// Takes bytes, and gives the frames they complete. What is not JSON is passed over.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Value> {
        self.unread.extend_from_slice(bytes);
        let mut frames = Vec::new();
        while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
            let frame: Vec<u8> = self.unread.drain(..end + 2).collect();
            frames.extend(frame.strip_prefix(b"data: ").and_then(|json| serde_json::from_slice(json).ok()));
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_wherever_the_bytes_are_cut() {
        let stream = "data: {\"event\":{\"é\":1}}\n\ndata: 2\n\n".as_bytes();
        for cut in 0..stream.len() {
            let mut frames = Frames::default();
            let mut seen = frames.take(&stream[..cut]);
            seen.extend(frames.take(&stream[cut..]));
            assert_eq!(seen, [serde_json::json!({"event": {"é": 1}}), serde_json::json!(2)], "cut at {cut}");
        }
    }
}
