//! HTTP over a plain socket: what goes out is exactly what the test says, and what comes back is seen as
//! it came.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// Longest silence of the other side.
const SILENCE: Duration = Duration::from_mins(1);

/// A request, said in full.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// An answer, its body without the chunks' frames.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// An answer that is being written.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
}

// === impl Request ===

impl<'a> Request<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, headers: &[], body: b"" }
    }

    pub(crate) fn post(path: &'a str, body: &'a [u8]) -> Self {
        Self { method: "POST", path, headers: &[("content-type", "application/json")], body }
    }

    pub(crate) fn with(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }

    /// Sends it on a connection of its own.
    pub(crate) fn open(&self, port: u16) -> Connection {
        let mut connection = Connection::to(port);
        connection.send(self);
        connection
    }

    fn bytes(&self) -> Vec<u8> {
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.path)];
        lines.push("host: localhost".to_owned());
        if !self.headers.iter().any(|(name, _)| *name == "connection") {
            lines.push("connection: close".to_owned());
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if self.method != "GET" && self.method != "HEAD" {
            lines.push(format!("content-length: {}", self.body.len()));
        }
        let head = lines.join("\r\n") + "\r\n\r\n";
        [head.as_bytes(), self.body].concat()
    }

    /// Sends it and reads the whole answer.
    pub(crate) fn send(&self, port: u16) -> Answer {
        self.open(port).finish()
    }
}

// === impl Connection ===

impl Connection {
    /// A connection on which nothing has been said yet.
    pub(crate) fn to(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server listens");
        stream.set_read_timeout(Some(SILENCE)).expect("a socket has a time-out");
        Self { stream, bytes: Vec::new() }
    }

    /// The same, and the server listens on it: it has answered a ping.
    pub(crate) fn heard_by(port: u16) -> Self {
        let mut connection = Self::to(port);
        connection.stream.write_all(b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("the server reads");
        connection.read_until("}");
        connection.bytes.clear();
        connection
    }

    /// Sends a request, in one piece.
    pub(crate) fn send(&mut self, request: &Request<'_>) {
        self.send_bytes(request.bytes());
    }

    /// Sends bytes, whatever they are.
    pub(crate) fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Reads until the server closes.
    pub(crate) fn read_to_end(&mut self) {
        while self.read_more() {}
    }

    /// Reads on until `part` has come.
    pub(crate) fn read_until(&mut self, part: &str) {
        let deadline = Instant::now() + SILENCE;
        while !String::from_utf8_lossy(&self.bytes).contains(part) {
            assert!(Instant::now() < deadline && self.read_more(), "`{part}` never came: {:?}", self.text());
        }
    }

    /// Reads to the end.
    pub(crate) fn finish(mut self) -> Answer {
        while self.read_more() {}
        let text = self.text();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status: status.expect("a status line"), headers, body: body.to_owned() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(body);
        }
        answer
    }

    fn read_more(&mut self) -> bool {
        let mut chunk = [0; 8192];
        let read = self.stream.read(&mut chunk).unwrap_or_else(|error| panic!("{error} after {:?}", self.text()));
        self.bytes.extend_from_slice(&chunk[..read]);
        read > 0
    }

    /// What has come so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

// === impl Answer ===

impl Answer {
    /// A header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

fn unchunked(body: &str) -> String {
    let (mut rest, mut whole) = (body.as_bytes(), Vec::new());
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.unwrap_or_else(|| panic!("not a chunk's size in {body:?}"));
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    String::from_utf8(whole).expect("the body is UTF-8")
}
