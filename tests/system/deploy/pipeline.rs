//! `.github/workflows` and `deploy/ship`, with an AWS command that plays an account in which versions can be
//! made not to answer.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use super::{RUN, run};
use crate::door::{Door, Reply};
use crate::foreign::{executable, linter, repository};
use crate::local_aws::vitracka;
use crate::process::Process;

const RUNTIME: &str = "arn:aws:bedrock-agentcore:eu-central-1:000000000000:runtime/coach_companion-0ZUOP04U5z";
const GROUP_ARN: &str =
    "arn:aws:logs:eu-central-1:000000000000:log-group:/aws/bedrock-agentcore/runtimes/coach_companion-0ZUOP04U5z-live";
const ANSWER: &str = r#"{"response":{"role":"assistant","content":[{"text":"Here."}]}}"#;

fn workflows() -> [std::path::PathBuf; 2] {
    ["deploy.yml", "test.yml"].map(|name| repository().join(".github/workflows").join(name))
}

#[test]
fn zizmor_finds_nothing_unsafe_in_the_workflows() {
    let mut command = linter("zizmor");
    command.args(["--offline", "--no-progress", "--color", "never"]).args(workflows());
    assert!(run("zizmor", command).contains("No findings to report"));
}

#[test]
fn the_workflows_are_of_githubs_schema() {
    let mut command = linter("check-jsonschema");
    command.args(["--builtin-schema", "vendor.github-workflows"]).args(workflows());
    run("check-jsonschema", command);
}

#[test]
fn every_action_is_pinned_to_a_commit_with_its_version_beside_it() {
    for workflow in workflows() {
        let text = fs::read_to_string(&workflow).expect("it is there");
        for line in text.lines().filter(|line| line.contains("uses: ") && !line.contains("uses: ./")) {
            let (_, pin) = line.split_once('@').unwrap_or_else(|| panic!("not pinned: {line}"));
            let (commit, version) = pin.split_once(" # v").unwrap_or_else(|| panic!("no version: {line}"));
            assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        }
    }
}

/// An account with one runtime of two versions, of which `live` is the first.
struct Shipping {
    folder: TempDir,
}

impl Shipping {
    /// `answers` is a shell condition over `$live` and `$qualifier`.
    fn with(answers: &str, mmdsv2: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("live"), "1").expect("writable");
        let here = folder.path().display();
        let aws = format!(
            r#"#!/usr/bin/env bash
echo "aws $*" >> '{here}/said'
case "$*" in
    *LiveVersion=*) sed 's/.*LiveVersion=\([0-9]*\).*/\1/' <<< "$*" > '{here}/live' ;;
    *RuntimeArn*) echo {RUNTIME} ;;
    *RuntimeId*) echo coach_companion-0ZUOP04U5z ;;
    *RuntimeVersion*) echo 2 ;;
    *LiveVersion*) cat '{here}/live' ;;
    *requireMMDSV2*) echo {mmdsv2} ;;
    *get-caller-identity*) echo 000000000000 ;;
    *describe-log-groups*) if [[ -e '{here}/group' ]]; then echo {GROUP_ARN}; fi ;;
    *create-log-group*) touch '{here}/group' ;;
    *LogDays*--output*) echo 7 ;;
esac
"#
        );
        let vitracka = format!(
            r#"#!/usr/bin/env bash
echo "vitracka $*" >> '{here}/said'
qualifier="${{@: -1}}" live=$(cat '{here}/live')
if {answers}; then echo '{ANSWER}'; else echo 'vitracka: it is silent' >&2; exit 1; fi
"#
        );
        executable(&folder.path().join("aws"), &aws);
        executable(&folder.path().join("vitracka"), &vitracka);
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ship(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let mut command = Command::new(repository().join("deploy/ship"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([self.path().to_owned()].into_iter().chain(std::env::split_paths(&path)));
        command
            .env("PATH", path.expect("folders without a colon"))
            .env("VITRACKA", self.path().join("vitracka"))
            .env("AWS_REGION", "eu-central-1")
            .env_remove("AWS_STACK_ROLE")
            .args(arguments);
        let (status, stdout, stderr) = Process::start("deploy/ship", command).wait(RUN);
        (status, stdout + &stderr)
    }

    fn live(&self) -> String {
        fs::read_to_string(self.path().join("live")).expect("it is there").trim().to_owned()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path().join("said")).unwrap_or_default()
    }
}

#[test]
fn a_version_that_answers_becomes_live() {
    let shipping = Shipping::with("true", "True");

    let (status, said) = shipping.ship(&["promote", "production", "coach_companion"]);

    assert!(status.success(), "{said}");
    assert_eq!(shipping.live(), "2");
    assert!(said.contains("live is version 2, before it was 1"), "{said}");
    assert!(
        shipping.said().contains(&format!("vitracka invoke {RUNTIME}")) && shipping.said().contains("--qualifier live")
    );
}

#[test]
fn a_version_that_does_not_answer_is_taken_back() {
    let shipping = Shipping::with("[[ $live == 1 ]]", "True");

    let (status, said) = shipping.ship(&["promote", "production", "coach_companion"]);

    assert!(!status.success(), "a deployment that was taken back is no success: {said}");
    assert_eq!(shipping.live(), "1");
    assert!(said.contains("back to version 1") && said.contains("coach_companion answers at live"), "{said}");
}

#[test]
fn a_new_version_is_tried_without_anybody_meeting_it() {
    let shipping = Shipping::with("[[ $qualifier == live ]]", "True");

    let update = ["update", "production", "coach_companion", "0123abc", "LogLevel=debug", "MemoryDays=90"];
    assert!(shipping.ship(&update).0.success());
    assert!(!shipping.ship(&["try", "production", "coach_companion", "DEFAULT"]).0.success());

    assert_eq!(shipping.live(), "1");
    let said = shipping.said();
    assert!(said.contains("CodeKey=0123abc/coach_companion/code.zip") && !said.contains("LiveVersion="), "{said}");
    assert!(said.contains(" LogLevel=debug MemoryDays=90\n"), "{said}");
    assert!(said.contains("--stack-name vitracka-production-coach-companion "), "stack names have no underscores");
}

#[test]
fn a_runtime_that_could_not_be_invoked_is_refused() {
    let shipping = Shipping::with("true", "None");
    let (status, said) = shipping.ship(&["update", "staging", "test_agent", "0123abc"]);
    assert!(!status.success() && said.contains("does not require MMDSv2"), "{said}");
}

#[test]
fn an_agent_is_observed_and_its_log_kept_a_week_whether_or_not_it_has_been_called_before() {
    let shipping = Shipping::with("true", "True");

    let observe = ["observe", "production", "coach_companion", "TopicArn=arn:aws:sns:eu-central-1:000000000000:wake"];
    let (status, said) = shipping.ship(&observe);
    assert!(status.success(), "{said}");

    let said = shipping.said();
    let told: Vec<&str> = said.lines().filter(|line| !line.contains(" describe-")).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    aws logs create-log-group --log-group-name /aws/bedrock-agentcore/runtimes/coach_companion-0ZUOP04U5z-live
    aws cloudformation deploy --stack-name vitracka-production-coach-companion-observability --template-file deploy/observability.yaml --no-fail-on-empty-changeset --parameter-overrides AgentName=coach_companion Environment=production RuntimeId=coach_companion-0ZUOP04U5z Endpoint=live TopicArn=arn:aws:sns:eu-central-1:000000000000:wake
    aws logs put-retention-policy --log-group-name /aws/bedrock-agentcore/runtimes/coach_companion-0ZUOP04U5z-live --retention-in-days 7
    aws logs tag-resource --resource-arn arn:aws:logs:eu-central-1:000000000000:log-group:/aws/bedrock-agentcore/runtimes/coach_companion-0ZUOP04U5z-live --tags Project=vitracka,Environment=production,ManagedBy=ship,CostCenter=vitracka-agents,Application=coach_companion
    ");

    assert!(shipping.ship(&observe).0.success());
    assert_eq!(shipping.said().matches("create-log-group").count(), 1, "one that is there is not made again");
    assert!(shipping.ship(&["observe", "production", "coach_companion", "Endpoint=DEFAULT"]).0.success());
    assert!(shipping.said().contains(
        "put-retention-policy --log-group-name /aws/bedrock-agentcore/runtimes/coach_companion-0ZUOP04U5z-DEFAULT"
    ));
}

#[test]
fn words_that_mean_nothing_are_explained() {
    for arguments in [&["promote"][..], &["promote", "prod", "test_agent"], &["update", "staging", "test_agent"]] {
        let (status, said) = Shipping::with("true", "True").ship(arguments);
        assert!(status.code() == Some(2) && said.contains("deploy/ship promote  ENVIRONMENT AGENT"), "{said}");
    }
}

#[test]
fn an_arn_is_called_where_it_is_signed_and_at_the_endpoint_that_was_named() {
    let door = Door::open(vec![Reply::json(ANSWER)]);
    let mut command = vitracka();
    command
        // The one way to lead the SDK away from AWS that vitracka itself does not read.
        .env("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", door.endpoint())
        .env("AWS_ACCESS_KEY_ID", "AKIALOCALTESTS000000")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        .env("AWS_SESSION_TOKEN", "of-a-role")
        .args(["invoke", RUNTIME, r#"{"prompt":"Hello"}"#, "--qualifier", "live"]);

    let printed = run("vitracka invoke", command);

    assert_eq!(printed.trim(), ANSWER);
    let [caller] = &door.callers()[..] else { panic!("one call") };
    assert!(caller.path.ends_with("/invocations?qualifier=live"), "{}", caller.path);
    let signature = caller.header("authorization").expect("it is signed");
    assert!(signature.contains("/eu-central-1/bedrock-agentcore/aws4_request"), "{signature}");
    assert_eq!(caller.header("x-amz-security-token"), Some("of-a-role"));
}
