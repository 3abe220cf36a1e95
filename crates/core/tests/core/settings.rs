use agentcore_core::settings::{GuardrailStreamMode, MemorySettings, Settings, SettingsError};

fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::read(|name| {
        let set = variables.iter().find(|(variable, _)| *variable == name);
        set.map(|(_, value)| (*value).to_owned())
    })
}

fn refusal(variables: &[(&str, &str)]) -> String {
    read(variables).expect_err("refused").to_string()
}

#[test]
fn given_an_empty_environment_then_claude_is_asked_in_ireland_through_its_eu_profile() {
    let settings = read(&[]).expect("the defaults are good");
    assert_eq!(settings.model.model_id.as_str(), "eu.anthropic.claude-3-5-sonnet-20240620-v1:0");
    assert_eq!(settings.model.region.as_str(), "eu-west-1");
    assert_eq!(settings.memory, MemorySettings::Process);
}

#[test]
fn data_does_not_leave_the_eu_by_mistake() {
    insta::assert_snapshot!(refusal(&[("MODEL_ID", "us.anthropic.claude-3-5-sonnet-20240620-v1:0")]), @"MODEL_ID=us.anthropic.claude-3-5-sonnet-20240620-v1:0 is not an EU inference profile (their ids begin with `eu.`). Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
    insta::assert_snapshot!(refusal(&[("MODEL_ID", "anthropic.claude-3-haiku-20240307-v1:0")]), @"MODEL_ID=anthropic.claude-3-haiku-20240307-v1:0 is not an EU inference profile (their ids begin with `eu.`). Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
    insta::assert_snapshot!(refusal(&[("AWS_REGION", "us-east-1")]), @"AWS_REGION=us-east-1 is not an EU region (those are eu-central-1, eu-north-1, eu-south-1, eu-south-2, eu-west-1, eu-west-3, eusc-de-east-1). Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
    insta::assert_snapshot!(refusal(&[("AWS_REGION", "eu-west-2")]), @"AWS_REGION=eu-west-2 is in the United Kingdom, not in the EU. Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
    insta::assert_snapshot!(refusal(&[("AWS_REGION", "eu-central-2")]), @"AWS_REGION=eu-central-2 is in Switzerland, not in the EU. Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
    let arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-3-5-sonnet-20240620-v1:0";
    assert!(refusal(&[("MODEL_ID", arn)]).contains("DATA_RESIDENCY=any"));
}

#[test]
fn data_may_leave_the_eu_on_purpose() {
    let on_purpose = ("DATA_RESIDENCY", "any");
    let settings = read(&[on_purpose, ("MODEL_ID", "us.amazon.nova-lite-v1:0"), ("AWS_REGION", "us-east-1")]);
    assert_eq!(settings.expect("allowed").model.region.as_str(), "us-east-1");
}

#[test]
fn an_eu_profile_may_be_given_by_its_arn() {
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-3-5-sonnet-20240620-v1:0";
    assert_eq!(read(&[("MODEL_ID", arn)]).expect("allowed").model.model_id.as_str(), arn);
}

#[test]
fn the_id_that_old_notes_show_is_answered_with_the_right_one() {
    insta::assert_snapshot!(refusal(&[("MODEL_ID", "eu.anthropic.claude-3.5-sonnet-20240620-v1:0")]), @"MODEL_ID=eu.anthropic.claude-3.5-sonnet-20240620-v1:0 does not exist: Bedrock writes the version with dashes. Use MODEL_ID=eu.anthropic.claude-3-5-sonnet-20240620-v1:0");
}

#[test]
fn a_value_that_cannot_be_is_named_with_its_variable_and_what_may_be() {
    insta::assert_snapshot!(refusal(&[("DATA_RESIDENCY", "mars")]), @"DATA_RESIDENCY=mars must be `eu` or `any`");
    insta::assert_snapshot!(refusal(&[("MODEL_ID", "claude please")]), @"MODEL_ID=claude please is not a model id; eu.anthropic.claude-3-5-sonnet-20240620-v1:0 is one");
    insta::assert_snapshot!(refusal(&[("MAX_TOKENS", "0")]), @"MAX_TOKENS=0 must be a whole number of tokens, at least 1");
    insta::assert_snapshot!(refusal(&[("SECOND_OPINIONS", "yes")]), @"SECOND_OPINIONS=yes must be `on` or `off`");
    insta::assert_snapshot!(refusal(&[("TEMPERATURE", "1.5")]), @"TEMPERATURE=1.5 must be a number from 0 to 1");
    insta::assert_snapshot!(refusal(&[("HISTORY_TOKENS", "all")]), @"HISTORY_TOKENS=all must be a number of tokens from 0 to 200000");
    insta::assert_snapshot!(refusal(&[("MODEL_TOKEN_GAP_TIMEOUT_SECONDS", "-1")]), @"MODEL_TOKEN_GAP_TIMEOUT_SECONDS=-1 must be a number of seconds above 0, at most 3600");
    insta::assert_snapshot!(refusal(&[("SESSION_MEMORY", "redis")]), @"SESSION_MEMORY=redis must be `file:PATH` or `process`");
    insta::assert_snapshot!(
        refusal(&[("SESSION_MEMORY", "file:/data/sessions"), ("BEDROCK_AGENTCORE_MEMORY_ID", "coach-0123456789")]),
        @"SESSION_MEMORY=file:/data/sessions and BEDROCK_AGENTCORE_MEMORY_ID=coach-0123456789 are both set; unset the one that should not keep the sessions"
    );
}

#[test]
fn memory_is_chosen_by_what_is_set() {
    let memory = |variables: &[_]| read(variables).expect("good settings").memory;
    assert_eq!(
        memory(&[("BEDROCK_AGENTCORE_MEMORY_ID", "coach-0123456789")]),
        MemorySettings::AgentCore { memory_id: "coach-0123456789".into() }
    );
    assert_eq!(memory(&[("SESSION_MEMORY", "file:/data/sessions")]), MemorySettings::File("/data/sessions".into()));
    assert_eq!(memory(&[("SESSION_MEMORY", "process")]), MemorySettings::Process);
    assert_eq!(memory(&[("BEDROCK_AGENTCORE_MEMORY_ID", "")]), MemorySettings::Process);
}

#[test]
fn models_that_stand_in_are_a_list_each_with_its_region_where_that_is_another() {
    let list = "eu.anthropic.claude-3-7-sonnet-20250219-v1:0, eu.anthropic.claude-3-haiku-20240307-v1:0@eu-central-1,";
    let small = "eu.anthropic.claude-3-haiku-20240307-v1:0";
    let settings = read(&[("MODEL_FALLBACKS", list), ("MODEL_ID_SMALL", small)]).expect("good settings").model;
    let names: Vec<String> =
        settings.fallbacks.iter().chain(&settings.small).map(|place| place.name_beside(&settings.region)).collect();
    assert_eq!(
        names,
        [
            "eu.anthropic.claude-3-7-sonnet-20250219-v1:0",
            "eu.anthropic.claude-3-haiku-20240307-v1:0@eu-central-1",
            "eu.anthropic.claude-3-haiku-20240307-v1:0",
        ]
    );
}

#[test]
fn data_does_not_leave_the_eu_when_a_model_is_stood_in_for() {
    insta::assert_snapshot!(refusal(&[("MODEL_FALLBACKS", "eu.anthropic.claude-sonnet-4-6, us.anthropic.claude-sonnet-4-6")]), @"MODEL_FALLBACKS=us.anthropic.claude-sonnet-4-6 is not an EU inference profile (their ids begin with `eu.`). Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
    insta::assert_snapshot!(refusal(&[("MODEL_FALLBACKS", "eu.anthropic.claude-sonnet-4-6@us-east-1")]), @"MODEL_FALLBACKS=us-east-1 is not an EU region (those are eu-central-1, eu-north-1, eu-south-1, eu-south-2, eu-west-1, eu-west-3, eusc-de-east-1). Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
    insta::assert_snapshot!(refusal(&[("MODEL_ID_SMALL", "global.anthropic.claude-haiku-4-5-20251001-v1:0")]), @"MODEL_ID_SMALL=global.anthropic.claude-haiku-4-5-20251001-v1:0 is not an EU inference profile (their ids begin with `eu.`). Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
    insta::assert_snapshot!(refusal(&[("MODEL_ID_SMALL", "eu.anthropic.claude-3.5-haiku-20241022-v1:0")]), @"MODEL_ID_SMALL=eu.anthropic.claude-3.5-haiku-20241022-v1:0 does not exist: Bedrock writes the version with dashes. Use MODEL_ID_SMALL=eu.anthropic.claude-3-5-haiku-20241022-v1:0");
}

#[test]
fn how_often_and_how_long_is_tried_again_can_be_said() {
    let retry = |variables: &[_]| read(variables).expect("good settings").model.retry;
    assert_eq!(retry(&[]).attempts().get(), 4);
    assert_eq!(retry(&[]).within().as_secs(), 20);
    assert_eq!(retry(&[("MODEL_ATTEMPTS", "1"), ("MODEL_RETRY_SECONDS", "0")]).attempts().get(), 1);
    insta::assert_snapshot!(refusal(&[("MODEL_ATTEMPTS", "0")]), @"MODEL_ATTEMPTS=0 must be a number of attempts from 1 to 10");
    insta::assert_snapshot!(refusal(&[("MODEL_RETRY_SECONDS", "an hour")]), @"MODEL_RETRY_SECONDS=an hour must be a number of seconds from 0 to 600");
}

#[test]
fn a_guardrail_has_an_id_and_a_version_and_looks_before_words_leave_unless_told_otherwise() {
    let (id, version) = (("GUARDRAIL_ID", "abcdefghijkl"), ("GUARDRAIL_VERSION", "3"));
    let guardrail = |variables: &[_]| read(variables).expect("good settings").model.guardrail;
    assert_eq!(guardrail(&[]), None);
    assert_eq!(guardrail(&[id, version]).expect("a guardrail").stream_mode, GuardrailStreamMode::Sync);
    let told = [id, ("GUARDRAIL_VERSION", "DRAFT"), ("GUARDRAIL_STREAM_MODE", "async")];
    assert_eq!(guardrail(&told).expect("a guardrail").stream_mode, GuardrailStreamMode::Async);
    insta::assert_snapshot!(refusal(&[id]), @"GUARDRAIL_ID is set without GUARDRAIL_VERSION; set both, or neither for no guardrail");
    insta::assert_snapshot!(refusal(&[("GUARDRAIL_STREAM_MODE", "async")]), @"GUARDRAIL_STREAM_MODE is set without GUARDRAIL_ID; set both, or neither for no guardrail");
    insta::assert_snapshot!(refusal(&[id, ("GUARDRAIL_VERSION", "latest")]), @"GUARDRAIL_VERSION=latest must be a version's number, or DRAFT");
    insta::assert_snapshot!(refusal(&[id, version, ("GUARDRAIL_STREAM_MODE", "later")]), @"GUARDRAIL_STREAM_MODE=later must be `sync` or `async`");
}
