//! An arm64 machine, as far as programs can tell.
//!
//! On another machine qemu runs them, and the kernel is told to start it for them: in a namespace of the
//! test's own (Linux 6.7), so that nothing changes for the machine's other programs. In it `exec` of an arm64
//! program just works, which is what the launcher and the image rely on.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::{has, lacking};
use crate::local_aws::unconfigured;

const QEMU: &str = "qemu-aarch64-static";

/// By which the kernel knows an arm64 program (mask and magic of its first bytes), and that the emulator is
/// opened now (F) and handed the program open (O): both then work in another root.
const REGISTRATION: &str = concat!(
    r":arm64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
);

const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// A command on an arm64 machine.
pub(super) fn arm64(program: impl AsRef<OsStr>) -> Option<Command> {
    if cfg!(target_arch = "aarch64") {
        return Some(unconfigured(program));
    }
    let mut test = namespace("true");
    match test.output() {
        _ if !has(QEMU) => lacking("arm64 programs are run by qemu-aarch64-static; install qemu-user-static"),
        Ok(output) if output.status.success() => Some(namespace(program)),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            lacking(&format!("the kernel gives no namespace with a binfmt_misc of its own: {said}"))
        }
        Err(error) => lacking(&format!("arm64 programs are started by `unshare` of util-linux: {error}")),
    }
}

/// The program `path` of the root file system `root`, which sees nothing else but what every container is given:
/// `/dev`, where a static binary finds its random numbers, and `/proc`.
pub(super) fn arm64_in(root: &Path, path: &str) -> Option<Command> {
    for folder in ["dev", "proc"] {
        std::fs::create_dir(root.join(folder)).expect("its own root");
    }
    let mut command = arm64("sh")?;
    let script = r#"mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && exec chroot "$0" "$1""#;
    command.args(["-c", script]).arg(root).arg(path);
    Some(command)
}

fn namespace(program: impl AsRef<OsStr>) -> Command {
    let script = format!(
        "mount -t binfmt_misc none {BINFMT} && printf %s '{REGISTRATION}:'\"$(command -v {QEMU})\"':OF' > {BINFMT}/register && exec \"$@\""
    );
    let mut command = unconfigured("unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    command.args(["sh", "-c", &script, "sh"]).arg(program);
    command
}
