//! Node's side: AWS's JavaScript clients as published, its AgentCore CLI, and the TypeScript example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python::newer_node;
use super::{Tool, prepared, prepared_in, read, repository, run, secluded, tests};

const NODE: Tool = Tool { program: "node", name: "Node", least: (20, 0), what_for: "AWS's own JavaScript clients" };

/// A command that runs a script of `tests/foreign` with the clients of `tests/package.json`.
pub(crate) fn node_script(name: &str) -> Command {
    let installed = installed("javascript", &tests(""));
    let mut command = secluded(NODE.program);
    command.env("NODE_PATH", installed.join("node_modules")).arg(tests("foreign").join(name));
    command
}

/// A command that runs a script of `tests/foreign` with MCP's official TypeScript SDK.
pub(crate) fn mcp_node_script(name: &str) -> Command {
    let mut command = secluded(NODE.program);
    command.env("NODE_PATH", mcp_clients().join("node_modules")).arg(tests("foreign").join(name));
    command
}

/// A command that runs MCP's Inspector as a command.
pub(crate) fn mcp_inspector() -> Command {
    let mut command = secluded(newer_node());
    command.arg(mcp_clients().join("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"));
    command.arg("--cli");
    command
}

/// A command that runs the server's half of MCP's conformance suite, in a folder of its own.
pub(crate) fn mcp_conformance(folder: &Path) -> Command {
    let mut command = secluded(newer_node());
    command.current_dir(folder);
    command.arg(mcp_clients().join("node_modules/@modelcontextprotocol/conformance/dist/index.js")).arg("server");
    command.arg("--expected-failures").arg(tests("mcp-clients/expected-failures.yml"));
    command
}

fn mcp_clients() -> PathBuf {
    installed("mcp-clients", &tests("mcp-clients"))
}

/// A command that runs a script of `tests/foreign` with AG-UI's own client.
pub(crate) fn ag_ui_script(name: &str) -> Command {
    let installed = installed("ag-ui-client", &tests("ag-ui-client"));
    let mut command = secluded(NODE.program);
    command.env("NODE_PATH", installed.join("node_modules")).arg(tests("foreign").join(name));
    command
}

/// A command that runs a script of `tests/foreign` with the browsers' WebSocket.
pub(crate) fn browser_script(name: &str) -> Command {
    let installed = installed("undici", &tests("undici"));
    let mut command = secluded(NODE.program);
    command.env("NODE_PATH", installed.join("node_modules")).arg(tests("foreign").join(name));
    command
}

/// A command that runs the TypeScript example's server, compiled with all checks on.
pub(crate) fn typescript_example() -> Command {
    let example = repository().join("examples/clients/typescript");
    let installed = installed("typescript", &example);
    let mut sources = fs::read_dir(example.join("src"))
        .expect("the example has sources")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect::<Vec<_>>();
    sources.sort();
    let contents = sources.iter().chain([&example.join("tsconfig.json")]).map(|path| read(path)).collect::<Vec<_>>();
    let contents = contents.iter().map(Vec::as_slice).collect::<Vec<_>>();
    // Inside the folder with the packages, where node and tsc look for them.
    let built = prepared_in(&installed, "build", &contents, |folder| {
        fs::create_dir(folder.join("src")).expect("target/ can be written to");
        for source in &sources {
            copy(source, &folder.join("src"));
        }
        copy(&example.join("tsconfig.json"), folder);
        copy(&example.join("package.json"), folder);
        run(Command::new(NODE.program).arg(installed.join("node_modules/typescript/bin/tsc")).current_dir(folder));
    });
    let mut command = secluded(NODE.program);
    command.arg(built.join("build/server.js"));
    command
}

/// A command that runs AWS's AgentCore CLI, which follows the starter toolkit and can read its projects.
///
/// Only the CLI's own package is installed: it has everything bundled but the CDK, for which something
/// stands in, and not all that it lists is in every registry.
pub(crate) fn agentcore_cli(home: &Path) -> Command {
    let installed = installed("agentcore-cli", &tests("agentcore-cli"));
    let stand_in = tests("agentcore-cli/toolkit-lib");
    let (manifest, module) = (stand_in.join("package.json"), stand_in.join("index.js"));
    let modules = installed.join("node_modules/@aws-cdk");
    prepared_in(&modules, "toolkit-lib", &[&read(&manifest), &read(&module)], |folder| {
        copy(&manifest, folder);
        copy(&module, folder);
        // The name it is imported by has no hash.
        let name = modules.join("toolkit-lib");
        if name.symlink_metadata().is_ok() {
            fs::remove_file(&name).expect("target/ can be written to");
        }
        std::os::unix::fs::symlink(folder, name).expect("target/ can be written to");
    });
    let settings = prepared("agentcore-cli-settings", &[b"1"], |folder| {
        fs::write(folder.join("config.json"), r#"{"telemetry":{"enabled":false}}"#).expect("target/ can be written to");
    });
    let mut command = secluded(NODE.program);
    command
        .arg(installed.join("node_modules/@aws/agentcore/dist/cli/index.mjs"))
        .env("AGENTCORE_CONFIG_DIR", settings)
        .env("HOME", home)
        // Should there be a uv, it is not to fetch a Python of its own for code that is none.
        .env("UV_PYTHON_DOWNLOADS", "never")
        .env("NO_COLOR", "1");
    command
}

/// A folder with the packages that a `package-lock.json` names.
pub(crate) fn installed(name: &str, package: &Path) -> PathBuf {
    let version = NODE.version();
    let (manifest, lock) = (package.join("package.json"), package.join("package-lock.json"));
    prepared(name, &[version.as_bytes(), &read(&manifest), &read(&lock)], |folder| {
        copy(&manifest, folder);
        copy(&lock, folder);
        let mut npm = Command::new("npm");
        run(npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder));
    })
}

fn copy(file: &Path, folder: &Path) {
    let name = file.file_name().expect("a file has a name");
    fs::copy(file, folder.join(name)).unwrap_or_else(|error| panic!("{} cannot be copied: {error}", file.display()));
}
