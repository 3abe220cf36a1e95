//! An agent that is served on the loopback, and requests as somebody sends them who knows no rules.

use std::future::pending;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use agentcore_runtime::Server;
use agentcore_runtime::core::agent::Agent;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The longest silence before an answer, and in it. Everything here takes milliseconds.
const SILENCE: Duration = Duration::from_secs(20);

/// The longest answer that anything here explains, in bytes.
const LONGEST_ANSWER: usize = 32 << 20;

/// Something that listens, and what it runs on.
pub(super) struct Served {
    address: SocketAddr,
    /// Dropped, it would stop.
    _runtime: Runtime,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

// === impl Served ===

impl Served {
    pub(super) fn agent<A: Agent>(server: impl FnOnce() -> Server<A>) -> Self {
        Self::start(async {
            let listening = server().listen().expect("the loopback has free ports");
            let address = listening.address();
            tokio::spawn(listening.serve_until(CancellationToken::new()));
            (address, ())
        })
    }

    /// Starts something, and keeps what must not be dropped for as long as it runs.
    pub(super) fn start<T: Send + 'static>(starting: impl Future<Output = (SocketAddr, T)>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("the system has threads");
        let (address, kept) = runtime.block_on(starting);
        runtime.spawn(async move {
            let _kept = kept;
            pending::<()>().await;
        });
        Self { address, _runtime: runtime }
    }

    /// Opens a connection.
    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(SILENCE)).expect("a socket has a time-out");
        stream.set_nodelay(true).expect("a socket sends at once");
        stream
    }

    /// Sends a body with such lines in the head, and gives the answer; none where the server hung up without one.
    /// `lines` may be anything at all: what belongs to HTTP stands before them.
    pub(super) fn ask(&self, method_and_path: &[u8], lines: &[u8], body: &[u8]) -> Option<Answer> {
        self.ask_at("host: localhost", method_and_path, lines, body)
    }

    /// The same with another `host` line.
    pub(super) fn ask_at(&self, host: &str, method_and_path: &[u8], lines: &[u8], body: &[u8]) -> Option<Answer> {
        let mut request = method_and_path.to_vec();
        let length = body.len();
        let head = format!(" HTTP/1.1\r\n{host}\r\nconnection: close\r\ncontent-length: {length}\r\n");
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(lines);
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body);
        let mut stream = self.connect();
        // It may be refused and closed while it is sent; the answer tells.
        let _ = stream.write_all(&request);
        let mut read = Vec::new();
        loop {
            if let Some(answer) = Answer::whole(&read) {
                return Some(answer);
            }
            assert!(read.len() < LONGEST_ANSWER, "an answer of {} bytes", read.len());
            let mut chunk = [0; 16_384];
            match stream.read(&mut chunk) {
                Ok(0) => return Answer::closed(&read),
                Ok(more) => read.extend_from_slice(&chunk[..more]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Answer::closed(&read),
                // libFuzzer looks at its clock.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no answer: {error}, after {:?}", String::from_utf8_lossy(&read)),
            }
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The answer, once all of it has come.
    fn whole(read: &[u8]) -> Option<Self> {
        let (head, body) = parted(read)?;
        let length = header(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
        let body = match length {
            Some(length) => body.get(..length)?.to_vec(),
            None if header(&head, "transfer-encoding") == Some("chunked") => unchunked(body)?,
            None => return None,
        };
        Some(Self { status: status(&head), head, body })
    }

    /// The answer of a server that has closed.
    fn closed(read: &[u8]) -> Option<Self> {
        let (head, body) = parted(read)?;
        Some(Self { status: status(&head), head, body: body.to_vec() })
    }

    /// A header's value, by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The body, which is UTF-8 whatever was sent.
    pub(super) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("what we write is UTF-8")
    }
}

fn parted(read: &[u8]) -> Option<(String, &[u8])> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&read[..end]).into_owned(), &read[end + 4..]))
}

fn status(head: &str) -> u16 {
    let code = head.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status line: {head:?}"))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    let mut lines = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name));
    lines.next().map(|(_, value)| value.trim())
}

/// What is in the chunks, once the last has come.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = usize::from_str_radix(str::from_utf8(&rest[..end]).ok()?, 16).expect("a chunk's size");
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}
