//! `deploy/*.yaml` as CloudFormation will take them.

use std::fmt::Write as _;

use agentcore_runtime::core::model::residency::{DEFAULT_MODEL_ID, DEFAULT_REGION, EU_REGIONS};
use agentcore_runtime::core::settings::{MemorySettings, Settings};
use serde_json::{Value, json};

use super::{Account, run, run_for_json, templates};
use crate::foreign::{linter, linters_script, repository};

/// Where AgentCore has both runtimes and memories, within the EU.
const REGIONS: [&str; 4] = ["eu-west-1", "eu-central-1", "eu-west-3", "eu-north-1"];

/// What the templates say, by their names.
fn read() -> Value {
    let mut command = linters_script("templates.py");
    command.args(templates());
    run_for_json("the reader of templates", command)
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("a text")).collect()
}

/// Every statement of every policy, with the template it is in.
fn statements(read: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let templates = read.as_object().expect("an object").iter();
    templates.flat_map(|(name, about)| {
        about["policies"].as_array().expect("a list").iter().map(move |policy| (name.as_str(), policy))
    })
}

fn name_of(template: &str, statement: &Value) -> String {
    let part = |member: &str| statement[member].as_str().expect("a text").to_owned();
    [template.to_owned(), part("resource"), part("sid")].join(" ").trim_end().to_owned()
}

#[test]
fn cfn_lint_has_nothing_to_say_in_any_region() {
    let (of_billing, of_agents): (Vec<_>, Vec<_>) =
        templates().into_iter().partition(|template| template.ends_with("billing.yaml"));
    assert_eq!(of_billing.len(), 1);
    for (regions, templates) in [(&REGIONS[..], of_agents), (&["us-east-1"], of_billing)] {
        let mut command = linter("cfn-lint");
        command.arg("--regions").args(regions).arg("--").args(templates);
        assert_eq!(run("cfn-lint", command), "");
    }
}

#[test]
fn everything_that_can_have_tags_has_all_five() {
    for (template, about) in read().as_object().expect("an object") {
        assert_eq!(about["untagged"], json!([]), "{template}");
    }
}

#[test]
fn no_account_number_is_written_down() {
    let root = repository();
    let more = [".bedrock_agentcore.yaml", ".github/workflows/deploy.yml", "deploy/ship", "deploy/README.md"];
    for file in templates().into_iter().chain(more.map(|file| root.join(file))) {
        let text = std::fs::read_to_string(&file).expect("it is there");
        let digits = |word: &&str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit());
        let found = text.split(|c: char| !c.is_ascii_alphanumeric()).find(digits);
        assert_eq!(found, None, "{}", file.display());
    }
}

#[test]
fn who_may_do_what() {
    let read = read();
    let mut listed = String::new();
    for (template, statement) in statements(&read) {
        let effect = statement["effect"].as_str().expect("a text");
        writeln!(listed, "{}: {effect} {}", name_of(template, statement), statement["who"].as_str().expect("a text"))
            .expect("a String takes everything");
        for (sign, member) in [("   ", "actions"), ("on ", "on"), ("if ", "when")] {
            for text in texts(&statement[member]) {
                writeln!(listed, "    {sign}{text}").expect("a String takes everything");
            }
        }
    }
    let listed = listed.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(listed);
}

#[test]
fn what_is_allowed_everywhere_cannot_be_narrower() {
    let read = read();
    let wide = statements(&read).filter(|(_, statement)| {
        let everything = texts(&statement["on"]).contains(&"*");
        let any_action = texts(&statement["actions"]).iter().any(|action| action.contains('*'));
        statement["effect"] == "Allow" && (everything || any_action)
    });
    let wide = wide.map(|(template, statement)| {
        format!("{}: {}", name_of(template, statement), texts(&statement["actions"]).join(" "))
    });
    // Of these AWS says that they have no resource to name. Anything new needs as good a reason.
    insta::assert_snapshot!(wide.collect::<Vec<_>>().join("\n"), @"
    lambda.yaml ExecutionRole Trace: xray:PutTelemetryRecords xray:PutTraceSegments
    runtime.yaml ExecutionRole Trace: xray:PutTelemetryRecords xray:PutTraceSegments
    runtime.yaml ExecutionRole Measure: cloudwatch:PutMetricData
    runtime.yaml ExecutionRole LogInToEcr: ecr:GetAuthorizationToken
    ");
}

#[test]
fn conversations_stay_where_the_agents_themselves_keep_them() {
    assert!(REGIONS.iter().all(|region| EU_REGIONS.contains(region)));
    let read = read();
    for template in ["runtime.yaml", "lambda.yaml", "artifacts.yaml", "observability.yaml"] {
        assert_eq!(texts(&read[template]["regions"]), REGIONS, "{template}");
    }
    let mut asked = 0;
    for (template, statement) in statements(&read) {
        for resource in texts(&statement["on"]).into_iter().filter(|on| on.contains("::foundation-model/")) {
            let region = resource.split(':').nth(5).expect("an ARN has a region");
            assert!(EU_REGIONS.contains(&region), "{template}: {resource}");
            asked += 1;
        }
    }
    assert!(asked > 0, "the models are somewhere");
}

#[test]
fn an_agent_starts_in_the_environment_it_is_given() {
    let read = read();
    for template in ["runtime.yaml", "lambda.yaml"] {
        let about = &read[template];
        assert_eq!(about["defaults"]["ModelId"], DEFAULT_MODEL_ID);
        let second_opinions = about["defaults"]["SecondOpinions"].as_str().expect("a text");
        let given = about["environments"].as_array().expect("a list");
        assert!(given.len() >= 4, "{template}: {given:?}");

        let settings = Settings::read(|variable| {
            let entry = given.iter().find(|entry| entry[1] == variable)?;
            let value = match entry[2].as_str().expect("a text") {
                "${AWS::Region}" => DEFAULT_REGION,
                "${ModelId}" => DEFAULT_MODEL_ID,
                "${SecondOpinions}" => second_opinions,
                "(${Memory.MemoryId} or ${ExistingMemoryId})" => "coach_companion_mem-0123456789",
                plain => plain,
            };
            Some(value.to_owned())
        });

        let settings = settings.unwrap_or_else(|error| panic!("{template}: {error}"));
        let memory = MemorySettings::AgentCore { memory_id: "coach_companion_mem-0123456789".to_owned() };
        assert_eq!(settings.memory, memory, "{template}");
        assert!(settings.model.second_opinions, "{template}: a coach that is deployed has its second reader");
    }
}

#[test]
fn the_artifact_bucket_is_closed_encrypted_and_speaks_tls() {
    let mut account = Account::open();
    let template = repository().join("deploy/artifacts.yaml");
    let made = account.operator.order(json!({
        "do": "stack", "name": "vitracka-staging-artifacts", "template": template,
        "parameters": { "Environment": "staging", "Containers": "yes" },
    }));

    let bucket = account.operator.order(json!({ "do": "bucket", "name": made["Bucket"] }));

    assert_eq!(made["Bucket"], "vitracka-artifacts-staging-000000000000-eu-west-1");
    assert_eq!((&bucket["encryption"], &bucket["versioning"]), (&json!("AES256"), &json!("Enabled")));
    let closed = bucket["closed"].as_array().expect("a list");
    assert!(closed.len() == 4 && closed.iter().all(|switch| switch[1] == true), "{closed:?}");
    assert_eq!(bucket["denied"], json!(["Deny", "s3:*", { "Bool": { "aws:SecureTransport": "false" } }]));
}
