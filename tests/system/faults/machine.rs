//! A virtual machine with an agent in it, that can be frozen and revived, as AgentCore does with the machines of its
//! runtimes: qemu without hardware's help, a kernel of Debian's, and nothing else but the agent.
//!
//! The kernel has no driver for a generation id: nobody tells it that it is revived, and its random numbers repeat. That is
//! the hardest case there is.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Answer;
use crate::local_aws::vitracka;
use crate::process::{Process, free_port, poll};

/// How the machine sees this one. The address is one of those from which AWS's SDKs take credentials without TLS.
pub(super) const HOST: &str = "169.254.170.2";

/// How long a machine may take to start, emulated and on processors that are busy.
const START: Duration = Duration::from_mins(4);

/// How long anything else may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// In the order in which they need each other.
const MODULES: [&str; 8] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
];

/// The first program of the machine. It starts the agent, and then does what is said on the serial line.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /modules/*.ko; do insmod $module; done
ip link set lo up
ip link set eth0 up
ip addr add 169.254.170.15/24 dev eth0
. /environment
/bin/vitracka agent test_agent &
while read line; do eval \"$line\"; done
";

/// What machines are made of.
pub(super) struct Parts {
    kernel: PathBuf,
    modules: PathBuf,
    folder: tempfile::TempDir,
}

/// A machine that runs.
pub(super) struct Machine {
    process: Process,
    control: BufReader<UnixStream>,
    port: u16,
}

// === impl Parts ===

impl Parts {
    /// Looks for what `.ci/install-faults` installs; none where it is not there, which is said.
    pub(super) fn found() -> Option<Self> {
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/ci/kernel");
        let only = |folder: PathBuf, beginning: &str| {
            let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
            entries
                .into_iter()
                .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning)))
        };
        let kernel = only(unpacked.join("boot"), "vmlinuz");
        let modules = only(unpacked.join("lib/modules"), "");
        let has = |program: &str| Command::new(program).arg("--help").output().is_ok();
        let (Some(kernel), Some(modules), true) = (kernel, modules, has("qemu-system-x86_64") && has("busybox")) else {
            assert!(std::env::var("FAULTS").as_deref() != Ok("required"), ".ci/install-faults has not been run");
            eprintln!("LEFT OUT: a machine that is revived, because .ci/install-faults has not been run");
            return None;
        };
        Some(Self { kernel, modules: modules.join("kernel"), folder: tempfile::tempdir().expect("a folder") })
    }

    /// Makes the machine's files: the agent with what it is linked to, and the environment it has.
    pub(super) fn with_agent(self, environment: &[(&str, &str)]) -> Self {
        let mut files = Archive::default();
        for folder in ["bin", "dev", "etc", "lib64", "lib", "lib/x86_64-linux-gnu", "modules", "proc", "sys"] {
            files.add(folder, 0o040_755, &[]);
        }
        let agent = self.folder.path().join("vitracka");
        let stripped = Command::new("strip").arg("-o").arg(&agent).arg(vitracka().get_program()).status();
        assert!(stripped.expect("strip is there").success());
        let busybox = Command::new("sh").args(["-c", "command -v busybox"]).output().expect("a shell").stdout;
        let busybox = String::from_utf8(busybox).expect("a path").trim().to_owned();
        files.add("init", 0o100_755, INIT.as_bytes());
        files.add_file("bin/busybox", Path::new(&busybox));
        files.add_file("bin/vitracka", &agent);
        for library in libraries(&agent) {
            files.add_file(&library[1..], Path::new(&library));
        }
        for (place, module) in MODULES.iter().enumerate() {
            let name = module.rsplit('/').next().expect("a name");
            files.add_file(&format!("modules/{place}-{name}.ko"), &self.modules.join(format!("{module}.ko")));
        }
        files.add_file("etc/certificates.pem", Path::new("/etc/ssl/certs/ca-certificates.crt"));
        // The local AWS answers to no other name.
        files.add("etc/hosts", 0o100_644, format!("{HOST} localhost\n").as_bytes());
        files.add("etc/nsswitch.conf", 0o100_644, b"hosts: files\n");
        let lines: Vec<String> = environment.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        files.add("environment", 0o100_644, lines.concat().as_bytes());
        files.write(&self.files());
        self
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("files.cpio")
    }

    fn snapshot(&self) -> PathBuf {
        self.folder.path().join("snapshot")
    }

    /// Starts a machine and waits for its first healthy ping.
    pub(super) fn start(&self) -> Machine {
        let machine = self.machine(&[]);
        machine.wait_for_ping(START);
        machine
    }

    /// A machine as it was when it was frozen, to the last bit of its memory, and a clock that is right again.
    pub(super) fn revive(&self, clock: u64) -> Machine {
        let mut machine = self.machine(&["-incoming", &format!("exec:cat '{}'", self.snapshot().display())]);
        let is_here = || (machine.control("query-status", &json!({}))["status"] == "paused").then_some(());
        poll(PATIENCE, is_here).expect("the snapshot is read");
        machine.control("cont", &json!({}));
        machine.process.tell(&format!("date -s @{clock}"));
        machine.process.wait_for("UTC", PATIENCE);
        machine
    }

    fn machine(&self, more: &[&str]) -> Machine {
        let (port, control) = (free_port(), self.folder.path().join("control"));
        let _ = fs::remove_file(&control);
        let network = format!("user,id=net,net=169.254.170.0/24,host={HOST},hostfwd=tcp:127.0.0.1:{port}-:8080");
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-accel", "tcg", "-cpu", "max", "-m", "448", "-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-append", "console=ttyS0 quiet panic=-1", "-serial", "stdio"])
            .args(["-netdev", &network, "-device", "virtio-net-pci,netdev=net,romfile="])
            .args(["-qmp", &format!("unix:{},server,nowait", control.display())])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(self.files())
            .args(more);
        let process = Process::start("machine", command);
        let connected = poll(PATIENCE, || UnixStream::connect(&control).ok()).expect("qemu listens");
        connected.set_read_timeout(Some(PATIENCE)).expect("a socket has a time-out");
        let mut machine = Machine { process, control: BufReader::new(connected), port };
        machine.next_message();
        machine.control("qmp_capabilities", &json!({}));
        machine
    }
}

/// What a program is linked to.
fn libraries(program: &Path) -> Vec<String> {
    let listed = Command::new("ldd").arg(program).output().expect("ldd is there").stdout;
    let listed = String::from_utf8(listed).expect("text");
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

// === impl Machine ===

impl Machine {
    /// Freezes the machine, keeps what it was, and ends it.
    pub(super) fn freeze(mut self, parts: &Parts) {
        self.control("stop", &json!({}));
        self.control("migrate", &json!({ "uri": format!("exec:cat > '{}'", parts.snapshot().display()) }));
        let is_kept = || (self.control("query-migrate", &json!({}))["status"] == "completed").then_some(());
        poll(PATIENCE, is_kept).expect("the snapshot is written");
        self.end();
    }

    pub(super) fn end(mut self) {
        self.control("quit", &json!({}));
        let (status, ..) = self.process.wait(PATIENCE);
        assert!(status.success(), "{status}");
    }

    /// Sends a request to the agent, and gives as much of an answer as comes.
    pub(super) fn exchange(&self, head: &str, body: &str) -> Option<(Answer, Value)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a time-out");
        let length = body.len();
        write!(stream, "{head}\r\nhost: machine\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
            .ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (_, body) = text.split_once("\r\n\r\n")?;
        Some((Answer::of(&bytes), serde_json::from_str(body).ok()?))
    }

    pub(super) fn wait_for_ping(&self, within: Duration) -> Value {
        let ping =
            || self.exchange("GET /ping HTTP/1.1", "").map(|(_, body)| body).filter(|body| body["status"] == "Healthy");
        poll(within, ping).expect("the agent is healthy")
    }

    /// Has qemu do something: what it returns.
    fn control(&mut self, command: &str, arguments: &Value) -> Value {
        let order = json!({ "execute": command, "arguments": arguments });
        writeln!(self.control.get_mut(), "{order}").expect("qemu reads");
        loop {
            let message = self.next_message();
            assert!(message["error"].is_null(), "{command}: {message}");
            if let Some(returned) = message.get("return") {
                return returned.clone();
            }
        }
    }

    fn next_message(&mut self) -> Value {
        let mut line = String::new();
        self.control.read_line(&mut line).expect("qemu answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

/// Files as the kernel takes its first ones: cpio's newc form, as its `initramfs` documentation has it.
#[derive(Default)]
struct Archive(Vec<u8>);

// === impl Archive ===

impl Archive {
    fn add_file(&mut self, name: &str, from: &Path) {
        let mut content = Vec::new();
        let file = File::open(from).and_then(|mut file| file.read_to_end(&mut content));
        file.unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self.add(name, 0o100_755, &content);
    }

    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        let (number, length) = (self.0.len(), content.len());
        let members = [number, mode as usize, 0, 0, 1, 0, length, 0, 0, 0, 0, name.len() + 1, 0];
        self.0.extend_from_slice(b"070701");
        for member in members {
            self.0.extend_from_slice(format!("{member:08X}").as_bytes());
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self.align();
        self.0.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn write(mut self, path: &Path) {
        self.add("TRAILER!!!", 0, &[]);
        fs::write(path, self.0).expect("written");
    }
}
