//! Python's side: boto3 as published, and ministack, a cloud of somebody else's.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Tool, prepared, read, repository, run, secluded, tests};

const PYTHON: Tool = Tool { program: "python3", name: "Python", least: (3, 10), what_for: "boto3, AWS's own client" };

/// A command that runs a script of `tests/foreign` with the clients of `tests/requirements.txt`.
pub(crate) fn python_script(name: &str) -> Command {
    let mut command = secluded(interpreter("boto3", &tests("requirements.txt")));
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

/// A command that runs the Python example with nothing but what its own list installs.
pub(crate) fn example_client() -> Command {
    let example = repository().join("examples/clients/python");
    let mut command = secluded(interpreter("python-example", &example.join("requirements.txt")));
    command.arg("-B").arg(example.join("invoke.py"));
    command
}

/// A command that starts ministack on a port of the loopback.
pub(crate) fn ministack(port: u16) -> Command {
    let interpreter = interpreter("ministack", &tests("requirements-ministack.txt"));
    let mut command = secluded(interpreter.with_file_name("ministack"));
    command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
    command
}

/// A command that starts cargo-lambda's emulator of Lambda on a port of the loopback.
pub(crate) fn lambda_emulator(port: u16) -> Command {
    let interpreter = interpreter("cargo-lambda", &tests("requirements-lambda.txt"));
    let mut command = secluded(interpreter.with_file_name("cargo-lambda"));
    command.current_dir(repository()).args(["lambda", "watch", "--only-lambda-apis"]);
    command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
    command
}

/// The interpreter of a virtual environment that holds exactly a list.
fn interpreter(name: &str, list: &Path) -> PathBuf {
    let version = PYTHON.version();
    let environment = prepared(name, &[version.as_bytes(), &read(list)], |folder| {
        run(Command::new(PYTHON.program).args(["-m", "venv"]).arg(folder));
        let pip = folder.join("bin/python");
        // Every package is on the list; one that is not shall be missing, and not of some version.
        run(Command::new(pip).args(["-m", "pip", "install", "--quiet", "--no-deps", "-r"]).arg(list));
    });
    environment.join("bin/python")
}
