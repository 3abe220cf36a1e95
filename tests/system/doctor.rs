//! `vitracka doctor` before a deployment: what it finds in an account, which ministack plays, and in a folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::foreign::ministack;
use crate::local_aws::{START, vitracka};
use crate::process::{Process, free_port};

/// A configuration of one agent, as the toolkit takes it.
const CONFIGURATION: &str = "\
default_agent: test_agent
agents:
  test_agent:
    deployment_type: direct_code_deploy
    runtime_type: PYTHON_3_13
    platform: linux/arm64
    source_path: target/package/test_agent/code
    entrypoint: target/package/test_agent/code/main.py
    aws:
      region: eu-west-1
    memory:
      mode: STM_ONLY
      event_expiry_days: 30
";

/// What it says in `folder`, and whether all is well.
fn doctor(folder: &Path, environment: &[(&str, &str)]) -> (bool, String) {
    let mut command: Command = vitracka();
    command.arg("doctor").current_dir(folder).env("AWS_EC2_METADATA_DISABLED", "true");
    // Nobody's own profile.
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command.envs(environment.iter().copied());
    let (status, said, errors) = Process::start("vitracka doctor", command).wait(START);
    assert_eq!(errors, "");
    let folder = folder.canonicalize().expect("the folder is there");
    (status.success(), said.replace(&folder.display().to_string(), "<folder>"))
}

fn folder_with(configuration: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(".bedrock_agentcore.yaml"), configuration).expect("a file");
    folder
}

#[test]
fn an_account_that_answers_passes_and_one_that_refuses_is_told_with_the_remedy() {
    let port = free_port();
    let mut cloud = Process::start("ministack", ministack(port));
    cloud.wait_for_port(port, START);
    let endpoint = format!("http://127.0.0.1:{port}");
    let account = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIALOCALTESTS000000"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ];
    let folder = folder_with(CONFIGURATION);

    let (_, well) = doctor(folder.path(), &account);
    let lost = [&account[..], &[("BEDROCK_AGENTCORE_MEMORY_ID", "no_such_memory-0123456789")]].concat();
    let (passed, badly) = doctor(folder.path(), &lost);

    let of_the_account = |said: &str| said.lines().take(4).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(of_the_account(&well), @"
    pass  credentials                 arn:aws:iam::000000000000:root
    pass  region                      eu-west-1
    pass  model                       eu.anthropic.claude-3-5-sonnet-20240620-v1:0 answers
    skip  memory                      BEDROCK_AGENTCORE_MEMORY_ID is not set; the deployment makes a memory and sets it for the agent
    ");
    assert!(!passed);
    insta::assert_snapshot!(badly.lines().nth(3).expect("a line on memory"), @"FAIL  memory                      session memory refuses: ResourceNotFoundException: Memory 'no_such_memory-0123456789' not found; check BEDROCK_AGENTCORE_MEMORY_ID or SESSION_MEMORY, and the role's rights");
}

#[test]
fn without_credentials_the_rest_is_not_asked() {
    let (passed, said) = doctor(folder_with(CONFIGURATION).path(), &[]);
    assert!(!passed);
    insta::assert_snapshot!(said, @"
    FAIL  credentials                 there are none in the environment, in a profile or on this machine; run `aws sso login` or `aws configure`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID
    pass  region                      eu-west-1
    skip  model                       not asked without credentials
    skip  memory                      not asked without credentials
    pass  .bedrock_agentcore.yaml     test_agent
    FAIL  package of test_agent       ./target/package/test_agent/code is not there; run `vitracka package test_agent`
    ");
}

#[test]
fn what_the_toolkit_would_take_without_a_word_is_told() {
    let wrong = [
        ("platform: linux/arm64", "platform: linux/amd64"),
        ("    platform: linux/arm64\n", ""),
        ("default_agent: test_agent", "default_agent: testagent"),
        ("region: eu-west-1", "region: us-east-1"),
        ("runtime_type: PYTHON_3_13", "runtime_type: RUST_1_95"),
        ("mode: STM_ONLY", "mode: NO_MEMORY"),
        ("event_expiry_days: 30", "event_expiry_days: 7"),
        ("  test_agent:", "  test-agent:"),
        ("source_path: target/package/test_agent/code", "source_path: ."),
        ("agents:", "agents: ["),
    ];
    let told = wrong.map(|(right, wrong)| {
        let folder = folder_with(&CONFIGURATION.replace(right, wrong));
        let (passed, said) = doctor(folder.path(), &[]);
        assert!(!passed);
        let of_the_folder = said.lines().skip(4).filter(|line| line.starts_with("FAIL"));
        let of_the_folder: Vec<&str> = of_the_folder.filter(|line| !line.contains("vitracka package")).collect();
        of_the_folder.join("\n")
    });
    insta::assert_snapshot!(told.join("\n"), @"
    FAIL  .bedrock_agentcore.yaml     test_agent: platform must be linux/arm64; the toolkit would take linux/amd64
    FAIL  .bedrock_agentcore.yaml     test_agent: platform must be linux/arm64; the toolkit would take linux/amd64
    FAIL  .bedrock_agentcore.yaml     default_agent is testagent, which is not one of its agents
    FAIL  .bedrock_agentcore.yaml     test_agent: aws.region is us-east-1, outside the EU; DATA_RESIDENCY=any allows it on purpose
    FAIL  .bedrock_agentcore.yaml     test_agent: runtime_type must be one of PYTHON_3_10, PYTHON_3_11, PYTHON_3_12, PYTHON_3_13
    FAIL  .bedrock_agentcore.yaml     test_agent: memory.mode must be STM_ONLY, or the agent forgets with each session's process
    FAIL  .bedrock_agentcore.yaml     test_agent: memory.event_expiry_days is 7; what is promised to users is 30
    FAIL  .bedrock_agentcore.yaml     default_agent is test_agent, which is not one of its agents; test-agent: `test-agent` cannot name an agent: a name begins with a letter and has at most 48 letters, digits and underscores
    FAIL  package of test_agent       source_path is <folder>, all of which would be uploaded
    FAIL  .bedrock_agentcore.yaml     is not what AWS's toolkit reads: error: line 2 column 9: expected mapping start
    ");
}

#[test]
fn a_package_of_another_machine_is_told() {
    let folder = folder_with(CONFIGURATION);
    let code = folder.path().join("target/package/test_agent/code");
    fs::create_dir_all(&code).expect("a folder");
    fs::write(code.join("main.py"), "").expect("a launcher");
    fs::copy(env!("CARGO_BIN_EXE_vitracka"), code.join("test_agent")).expect("a program");
    let (passed, said) = doctor(folder.path(), &[]);
    assert!(!passed);
    let line = said.lines().last().expect("a line on the package");
    assert!(line.starts_with("FAIL  package of test_agent") && line.contains("vitracka package test_agent"), "{line}");
}

#[test]
fn settings_that_no_agent_starts_with_are_told_first() {
    let (passed, said) = doctor(folder_with(CONFIGURATION).path(), &[("AWS_REGION", "us-east-1")]);
    assert!(!passed);
    insta::assert_snapshot!(said.lines().next().expect("a line"), @"FAIL  settings                    AWS_REGION=us-east-1 is not an EU region (those are eu-central-1, eu-north-1, eu-south-1, eu-south-2, eu-west-1, eu-west-3, eusc-de-east-1). Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
}
