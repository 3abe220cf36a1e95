//! An invoke door that says what a test wrote down, for what no real one can be told to do: to turn
//! away exactly two calls, to stop in the middle of a frame, to wait until the caller has seen a word.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A door on a free port of the loopback; it opens once for each reply, in their order.
#[derive(Debug)]
pub(crate) struct Door {
    port: u16,
    callers: Arc<Mutex<Vec<Caller>>>,
}

/// What somebody sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What the next caller gets.
#[derive(Debug)]
pub(crate) struct Reply {
    head: String,
    steps: Vec<Step>,
}

/// A part of a streamed reply. After the last one the connection is closed.
#[derive(Debug)]
pub(crate) enum Step {
    /// A frame with this JSON in it, as a chunk of its own.
    Frame(&'static str),
    /// Half of a frame.
    Torn(&'static str),
    /// Says nothing until the sender is used or dropped.
    Until(Receiver<()>),
    /// Says nothing until the caller hangs up, and tells of it.
    UntilHungUp(Sender<()>),
    /// The mark of a whole stream's end.
    End,
}

// === impl Door ===

impl Door {
    pub(crate) fn open(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has free ports");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let callers = Arc::<Mutex<Vec<Caller>>>::default();
        let seen = Arc::clone(&callers);
        thread::spawn(move || {
            for reply in replies {
                let (stream, _) = listener.accept().expect("a listening socket accepts");
                let caller = read_caller(&stream);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(caller);
                // A caller that hung up gets no more, which may be what the test is about.
                let _ = reply.give(stream);
            }
        });
        Self { port, callers }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everybody who has been answered or is being answered.
    pub(crate) fn callers(&self) -> Vec<Caller> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read_caller(stream: &TcpStream) -> Caller {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("the caller sends a head");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut caller = Caller {
        path: lines[0].split(' ').nth(1).expect("a request line has a path").to_owned(),
        headers: lines[1..].iter().filter_map(header).collect(),
        body: String::new(),
    };
    let length = caller.header("content-length").map_or(0, |length| length.parse().expect("a length is a number"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the caller sends its body");
    caller.body = String::from_utf8(body).expect("a JSON body is UTF-8");
    caller
}

// === impl Caller ===

impl Caller {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

// === impl Reply ===

impl Reply {
    /// A body in one piece.
    pub(crate) fn json(body: &str) -> Self {
        Self::status(200, "", body)
    }

    /// An exception as AWS words it.
    pub(crate) fn exception(status: u16, name: &str, message: &str) -> Self {
        Self::status(status, &format!("x-amzn-errortype: {name}\r\n"), &format!(r#"{{"message":"{message}"}}"#))
    }

    /// The same, with a time after which to ask again.
    pub(crate) fn throttling(retry_after: &str) -> Self {
        let headers = format!("x-amzn-errortype: ThrottlingException\r\nretry-after: {retry_after}\r\n");
        Self::status(429, &headers, r#"{"message":"Rate exceeded"}"#)
    }

    /// A stream of events.
    pub(crate) fn stream(steps: Vec<Step>) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                    transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        Self { head: head.to_owned(), steps }
    }

    /// A caller that is kept waiting for the first byte.
    pub(crate) fn silence(until: Receiver<()>) -> Self {
        Self { head: String::new(), steps: vec![Step::Until(until)] }
    }

    fn status(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self {
            head: format!(
                "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            ),
            steps: Vec::new(),
        }
    }

    fn give(self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.write_all(self.head.as_bytes())?;
        for step in self.steps {
            match step {
                Step::Frame(json) => {
                    let frame = format!("data: {json}\n\n");
                    write!(stream, "{:x}\r\n{frame}\r\n", frame.len())?;
                }
                Step::Torn(json) => write!(stream, "ffff\r\ndata: {json}")?,
                // A dropped sender is as good as a word.
                Step::Until(word) => drop(word.recv()),
                Step::UntilHungUp(tell) => {
                    while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
                    let _ = tell.send(());
                }
                Step::End => write!(stream, "0\r\n\r\n")?,
            }
        }
        Ok(())
    }
}
