//! Processes that end with their test.
//!
//! A test that fails must leave nothing running and must show what its processes said; one that waits
//! must wait for a thing that can be seen, and not for ever.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to end once it was asked to.
const FAREWELL: Duration = Duration::from_secs(8);

/// A child process. When dropped it is asked to end (SIGTERM), so that it can end its own children, and
/// then killed. What it said is printed when the test is failing.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    heard: Arc<Heard>,
    /// How much of the standard output `next_line` has given away, in bytes.
    read: usize,
}

/// What a process has said so far.
#[derive(Debug, Default)]
struct Heard {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    stdout: String,
    stderr: String,
    closed: u8,
}

/// Which of the outputs.
#[derive(Debug, Clone, Copy)]
enum Output {
    Stdout,
    Stderr,
}

// === impl Process ===

impl Process {
    /// Starts a command with its outputs captured and its input held open.
    pub(crate) fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}: {command:?}"));
        let heard = Arc::<Heard>::default();
        listen(child.stdout.take().expect("stdout is piped"), Output::Stdout, &heard);
        listen(child.stderr.take().expect("stderr is piped"), Output::Stderr, &heard);
        Self { name: name.to_owned(), stdin: child.stdin.take(), child, heard, read: 0 }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its input.
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input has not been ended");
        if let Err(error) = writeln!(stdin, "{line}").and_then(|()| stdin.flush()) {
            panic!("{} takes no more input: {error}", self.name);
        }
    }

    /// Ends its input.
    pub(crate) fn finish_input(&mut self) {
        drop(self.stdin.take());
    }

    /// The next whole line of its standard output.
    pub(crate) fn next_line(&mut self, within: Duration) -> String {
        let from = self.read;
        let line = self.wait_until("gives another line", within, |said| {
            let (line, _) = said.stdout[from..].split_once('\n')?;
            Some(line.to_owned())
        });
        self.read += line.len() + 1;
        line
    }

    /// Waits until either output has `part` in it, and gives the line as far as it is there.
    pub(crate) fn wait_for(&self, part: &str, within: Duration) -> String {
        self.wait_until(&format!("says `{part}`"), within, |said| {
            let mut lines = said.stdout.lines().chain(said.stderr.lines());
            lines.find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// Waits until its standard output has come to `end`, and gives it as far as that.
    pub(crate) fn wait_for_text(&self, end: &str, within: Duration) -> String {
        self.wait_until(&format!("says `{end}`"), within, |said| {
            let (head, _) = said.stdout.split_once(end)?;
            Some(format!("{head}{end}"))
        })
    }

    /// Waits until it accepts connections on a port of the loopback.
    pub(crate) fn wait_for_port(&mut self, port: u16, within: Duration) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listens = poll(within, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended ({status}) before it listened on {address}", self.name);
            }
            TcpStream::connect_timeout(&address, within).ok()
        });
        assert!(listens.is_some(), "{} does not listen on {address} after {within:?}", self.name);
    }

    /// Waits until it has ended by itself, and gives its status and its outputs.
    pub(crate) fn wait(mut self, within: Duration) -> (ExitStatus, String, String) {
        let (stdout, stderr) = self
            .wait_until("ends", within, |said| (said.closed == 2).then(|| (said.stdout.clone(), said.stderr.clone())));
        let status = self.child.wait().expect("a child can be waited for");
        (status, stdout, stderr)
    }

    fn wait_until<T>(&self, event: &str, within: Duration, found: impl Fn(&Said) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        let mut said = self.heard.lock();
        loop {
            if let Some(found) = found(&said) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || (said.closed == 2) {
                let why = if left.is_zero() { "in time" } else { "before it ended" };
                // Not held over the panic: dropping the process reads it once more.
                drop(said);
                panic!("{}: waited up to {within:?} until it {event}, which it did not do {why}", self.name);
            }
            said = self.heard.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn has_ended_within(&mut self, within: Duration) -> bool {
        poll(within, || self.child.try_wait().expect("a child can be asked")).is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            signal("TERM", self.child.id());
            if !self.has_ended_within(FAREWELL) {
                // Nobody is left to tell should even this fail.
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if thread::panicking() {
            let said = self.heard.lock();
            eprintln!("--- {} said\n{}--- and on stderr\n{}---", self.name, said.stdout, said.stderr);
        }
    }
}

// === impl Heard ===

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listen(mut pipe: impl Read + Send + 'static, output: Output, heard: &Arc<Heard>) {
    let heard = Arc::clone(heard);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = pipe.read(&mut chunk).unwrap_or(0);
            let mut said = heard.lock();
            if read == 0 {
                said.closed += 1;
            } else {
                bytes.extend_from_slice(&chunk[..read]);
                let text = whole_characters(&mut bytes);
                match output {
                    Output::Stdout => said.stdout.push_str(&text),
                    Output::Stderr => said.stderr.push_str(&text),
                }
            }
            heard.more.notify_all();
            if read == 0 {
                return;
            }
        }
    });
}

/// Takes what is complete: a pipe may break a character in two.
fn whole_characters(bytes: &mut Vec<u8>) -> String {
    let whole = match str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
    bytes.drain(..whole);
    text
}

// === other processes, ports, waiting ===

/// Sends a signal, by its name without `SIG`. A process that is gone is no error.
pub(crate) fn signal(name: &str, process: u32) {
    let _ = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).stderr(Stdio::null()).status();
}

/// The running children of a process, without those that have ended and were not waited for yet.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let running = running_children(parent);
    running.into_iter().map(|(child, _)| child).collect()
}

/// The running children of a process that were started from `program`.
pub(crate) fn children_of_program(parent: u32, program: &str) -> Vec<u32> {
    let running = running_children(parent);
    running.into_iter().filter(|(_, name)| name == program).map(|(child, _)| child).collect()
}

fn running_children(parent: u32) -> Vec<(u32, String)> {
    let listing = Command::new("ps").args(["-A", "-o", "pid=,ppid=,stat=,comm="]).output();
    let listing = String::from_utf8_lossy(&listing.expect("`ps` lists processes").stdout).into_owned();
    let children = listing.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let child = columns.next()?.parse().ok()?;
        let is_of_parent = columns.next()?.parse() == Ok(parent);
        let is_running = !columns.next()?.starts_with('Z');
        (is_of_parent && is_running).then_some((child, columns.collect::<Vec<_>>().join(" ")))
    });
    children.collect()
}

/// A port nobody listens on, for programs that cannot be told to take any; each is given once. It is none of those that
/// the system gives by itself, to a server on port 0 or to a connection, nor of those that the local AWS gives to agents:
/// whoever came first would be taken for the program.
pub(crate) fn free_port() -> u16 {
    const NOBODYS: Range<u32> = 10_000..20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Processes that run these tests at the same time begin far from each other.
    let begin = std::process::id().wrapping_mul(7_919);
    let mut ports = std::iter::repeat_with(|| begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)))
        .map(|number| NOBODYS.start + number % (NOBODYS.end - NOBODYS.start))
        .map(|port| u16::try_from(port).expect("ports have 16 bits"))
        .take(1_000);
    let port = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    port.expect("one of a thousand ports is free")
}

/// Looks again and again until there is something to be seen, or until the time is up.
#[expect(clippy::disallowed_methods, reason = "the pause between two looks, not a wait for luck")]
pub(crate) fn poll<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

// === tests ===

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_dropped_process_is_gone_even_if_it_will_not_listen() {
    let stubborn = Process::start("stubborn", shell("trap '' TERM; echo ready; while :; do read line; done"));
    stubborn.wait_for("ready", Duration::from_secs(5));
    let id = stubborn.id();
    assert!(children(std::process::id()).contains(&id), "the child is there while it is held");

    drop(stubborn);

    assert!(!children(std::process::id()).contains(&id), "the child is gone once it is dropped");
}

#[test]
fn a_process_asked_to_end_can_say_goodbye() {
    let polite = Process::start(
        "polite",
        shell("trap 'echo goodbye; exit 3' TERM; echo ready; while :; do read line || :; done"),
    );
    polite.wait_for("ready", Duration::from_secs(5));

    signal("TERM", polite.id());
    let (status, stdout, _) = polite.wait(Duration::from_secs(5));

    assert_eq!((status.code(), stdout.as_str()), (Some(3), "ready\ngoodbye\n"));
}

#[test]
#[should_panic(expected = "waited up to 5s until it says `never`, which it did not do before it ended")]
fn waiting_for_the_word_of_a_process_that_ended_does_not_last() {
    Process::start("short", shell("echo hello")).wait_for("never", Duration::from_secs(5));
}

#[test]
fn a_character_broken_in_two_by_the_pipe_is_whole() {
    let mut bytes = "é".as_bytes()[..1].to_vec();
    assert_eq!(whole_characters(&mut bytes), "");
    bytes.push("é".as_bytes()[1]);
    assert_eq!(whole_characters(&mut bytes), "é");
}
