//! `.bedrock_agentcore.yaml` in the hands of AWS's two tools: the starter toolkit, which deploys by it, and the
//! AgentCore CLI, which imports it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{AGENTS, Account, run, run_for_json};
use crate::foreign::{agentcore_cli, executable, repository, starter_toolkit, toolkit_script};
use crate::package;

const CONFIGURATION: &str = ".bedrock_agentcore.yaml";

/// The repository as the toolkit sees it after `vitracka package`, in a folder that may be spoilt: it writes
/// into the configuration and deletes it in the end.
struct Project(TempDir);

impl Project {
    fn packaged() -> Self {
        // The package's own tests make it anew, which must not be while it is copied.
        let _made = package::made::coach();
        let project = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::copy(repository().join(CONFIGURATION), project.path().join(CONFIGURATION)).expect("there is one");
        for agent in AGENTS {
            let code = project.code(agent);
            fs::create_dir_all(&code).expect("writable");
            let packaged = repository().join("target/package").join(agent).join("code");
            if packaged.is_dir() {
                for file in fs::read_dir(packaged).expect("it can be read") {
                    let file = file.expect("it can be read").path();
                    fs::copy(&file, code.join(file.file_name().expect("a file has a name"))).expect("writable");
                }
            } else {
                eprintln!("{agent} is not packaged: a stand-in of two small files is deployed in its place");
                executable(&code.join(agent), "not an arm64 binary\n");
                executable(&code.join("main.py"), "import os\nos.execv('./agent', ['./agent'])\n");
            }
        }
        // What lies around in a developer's copy, and must stay there.
        fs::write(project.path().join(".env"), "MODEL_API_KEY=not-to-be-shipped\n").expect("writable");
        fs::create_dir(project.path().join("target/debug")).expect("writable");
        fs::write(project.path().join("target/debug/vitracka"), "large").expect("writable");
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn code(&self, agent: &str) -> PathBuf {
        self.path().join("target/package").join(agent).join("code")
    }

    /// The files to be shipped, and their modes.
    fn packaged_files(&self, agent: &str) -> Value {
        let files = fs::read_dir(self.code(agent)).expect("it can be read").map(|file| {
            let file = file.expect("it can be read");
            let mode = file.metadata().expect("it is there").permissions().mode() & 0o7777;
            (file.file_name().into_string().expect("a plain name"), Value::from(format!("0o{mode:o}")))
        });
        Value::Object(files.collect())
    }

    fn configuration(&self) -> PathBuf {
        self.path().join(CONFIGURATION)
    }

    fn agentcore(&self, account: &Account, arguments: &[&str]) -> String {
        let mut command = starter_toolkit(self.path());
        command
            .env("AWS_ENDPOINT_URL", &account.endpoint)
            .env("BEDROCK_AGENTCORE_CP_ENDPOINT", &account.endpoint)
            .env("BEDROCK_AGENTCORE_DP_ENDPOINT", &account.endpoint)
            .args(arguments);
        run("agentcore", command)
    }
}

#[test]
fn the_toolkit_understands_every_word_of_the_configuration() {
    let mut command = toolkit_script("toolkit_reads.py");
    command.arg(repository().join(CONFIGURATION));
    let read = run_for_json("the toolkit's reader", command);

    assert_eq!(read["ignored"], json!([]), "a word the toolkit does not know is passed over without another");
    for agent in AGENTS {
        let about = &read["agents"][agent];
        assert_eq!(about["deployment_type"], "direct_code_deploy");
        assert_eq!((&about["platform"], &about["runtime_type"]), (&json!("linux/arm64"), &json!("PYTHON_3_13")));
        assert_eq!(about["entrypoint"], format!("target/package/{agent}/code/main.py"));
        assert_eq!((&about["aws"]["region"], &about["aws"]["account"]), (&json!("eu-west-1"), &Value::Null));
        assert_eq!((&about["memory"]["mode"], &about["memory"]["event_expiry_days"]), (&json!("STM_ONLY"), &json!(30)));
    }
}

#[test]
fn both_agents_are_deployed_shown_and_destroyed() {
    let mut account = Account::open();
    let project = Project::packaged();

    for agent in AGENTS {
        let environment = ["AWS_REGION=eu-west-1", "DATA_RESIDENCY=eu", "SECOND_OPINIONS=on"];
        let environment = environment.map(|variable| ["--env", variable]).concat();
        project.agentcore(&account, &[&["deploy", "--agent", agent], &environment[..]].concat());
    }

    let there = account.look();
    for (agent, position) in AGENTS.into_iter().zip(0..) {
        let (runtime, memory) = (&there["runtimes"][position], &there["memories"][position]);
        assert_eq!(
            [&runtime["name"], &runtime["runtime"], &runtime["protocol"], &runtime["network"]],
            [agent, "PYTHON_3_13", "HTTP", "PUBLIC"]
        );
        assert_eq!(runtime["entry_point"], json!(["main.py"]), "and no wrapper that a binary has no use for");
        assert_eq!((&memory["name"], &memory["days"]), (&json!(format!("{agent}_mem")), &json!(30)));
        assert_eq!(runtime["environment"]["BEDROCK_AGENTCORE_MEMORY_ID"], memory["id"]);
        assert_eq!(runtime["environment"]["DATA_RESIDENCY"], "eu");
        assert_eq!(runtime["environment"]["SECOND_OPINIONS"], "on");

        let code = &runtime["code"];
        let zip = account.operator.order(json!({ "do": "zip", "bucket": code["bucket"], "key": code["prefix"] }));
        assert_eq!(zip, project.packaged_files(agent), "these, as they are, and nothing else");
        assert_eq!(zip[agent], "0o755");

        let status = project.agentcore(&account, &["status", "--agent", agent]);
        assert!(status.contains(memory["id"].as_str().expect("an id")), "{status}");
    }

    for agent in AGENTS {
        project.agentcore(&account, &["destroy", "--agent", agent, "--force"]);
    }

    // What deploy/README.md warns of: conversations and the configuration go with the agent.
    let left = json!({ "runtimes": [], "memories": [], "roles": [], "objects": [] });
    assert_eq!(account.look(), left);
    assert!(!project.configuration().exists(), "git has it");
}

#[test]
fn what_the_readme_warns_of_is_true() {
    let mut account = Account::open();
    let project = Project::packaged();
    let role = account.operator.order(json!({ "do": "role", "name": "made-by-hand" }));
    let role = role["arn"].as_str().expect("an ARN");
    let configuration = fs::read_to_string(project.configuration()).expect("it is there").replace(
        "execution_role: null\n      execution_role_auto_create: true",
        &format!("execution_role: {role}\n      execution_role_auto_create: false"),
    );
    // One of the two keeps the role from being in use by both, which would save it.
    let (_, only) = configuration.split_once("  test_agent:\n").expect("both agents are in it");
    fs::write(project.configuration(), format!("default_agent: test_agent\nagents:\n  test_agent:\n{only}"))
        .expect("writable");

    project.agentcore(&account, &["deploy", "--env", "DATA_RESIDENCY=eu"]);
    let written = fs::read_to_string(project.configuration()).expect("it is there");
    assert!(written.contains("account: '000000000000'"), "a deploy writes the account into the file");
    assert!(!written.contains('#'), "and drops the comments");

    project.agentcore(&account, &["deploy"]);
    assert_eq!(account.look()["runtimes"][0]["environment"]["DATA_RESIDENCY"], Value::Null, "--env is forgotten");

    project.agentcore(&account, &["destroy", "--force"]);
    assert_eq!(account.look()["roles"], json!([]), "destroy takes the role that was made by hand");
}

#[test]
fn the_readmes_way_to_keep_role_and_memory_keeps_them() {
    let mut account = Account::open();
    let project = Project::packaged();
    project.agentcore(&account, &["deploy", "--agent", "test_agent"]);
    let before = account.look();
    let written = fs::read_to_string(project.configuration()).expect("it is there");
    let kept = written.lines().map(|line| match line.trim_start().split_once(": ") {
        Some(("was_created_by_toolkit", _)) => line.replace("true", "false"),
        Some(("execution_role", role)) => line.replace(role, "null"),
        _ => line.to_owned(),
    });
    fs::write(project.configuration(), kept.collect::<Vec<_>>().join("\n")).expect("writable");

    project.agentcore(&account, &["destroy", "--agent", "test_agent", "--force"]);

    let after = account.look();
    assert_eq!(after["runtimes"], json!([]));
    assert_eq!((&after["memories"], &after["roles"]), (&before["memories"], &before["roles"]));
    assert_eq!(
        (after["memories"].as_array().map(Vec::len), after["roles"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
}

#[test]
fn the_agentcore_cli_imports_both_agents() {
    let project = Project::packaged();
    let cli = |folder: &Path, arguments: &[&str]| {
        let mut command: Command = agentcore_cli(project.path());
        command.current_dir(folder).args(arguments);
        run("the AgentCore CLI", command)
    };
    cli(project.path(), &["create", "--name", "vitracka", "--no-agent", "--skip-git", "--skip-install"]);
    let imported = project.path().join("vitracka");

    let said = cli(&imported, &["import", "--source", "../.bedrock_agentcore.yaml", "--yes"]);

    assert!(cli(&imported, &["validate"]).contains("Valid"));
    let read = fs::read_to_string(imported.join("agentcore/agentcore.json")).expect("the import writes it");
    let read: Value = serde_json::from_str(&read).expect("JSON");
    insta::assert_snapshot!(format!("{}\n{}\n{}", read["runtimes"][0], read["runtimes"][1], read["memories"]), @r#"
    {"name":"coach_companion","build":"CodeZip","entrypoint":"main.py","codeLocation":"app/coach_companion","runtimeVersion":"PYTHON_3_13","networkMode":"PUBLIC","instrumentation":{"enableOtel":true},"protocol":"HTTP"}
    {"name":"test_agent","build":"CodeZip","entrypoint":"main.py","codeLocation":"app/test_agent","runtimeVersion":"PYTHON_3_13","networkMode":"PUBLIC","instrumentation":{"enableOtel":true},"protocol":"HTTP"}
    [{"name":"coach_companion_mem","eventExpiryDuration":30,"strategies":[]},{"name":"test_agent_mem","eventExpiryDuration":30,"strategies":[]}]
    "#);
    for agent in AGENTS {
        for file in [agent, "main.py"] {
            assert!(imported.join("app").join(agent).join(file).is_file(), "{agent}/{file} is copied");
        }
        // What deploy/README.md warns of: its stacks name the memory in a variable of their own.
        assert!(said.contains(&format!("MEMORY_{}_MEM_ID", agent.to_uppercase())), "{said}");
    }
}
