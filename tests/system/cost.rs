//! `vitracka cost`: from recorded answers, and from an account that moto plays.

use std::fs;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::foreign::{Script, moto_server, python_script, tests};
use crate::local_aws::{START, vitracka};
use crate::process::{Process, free_port};

const DAY: u64 = 86_400;

/// What it says to these words, in an environment with these variables, and whether it could.
fn cost(words: &[&str], environment: &[(&str, &str)]) -> (bool, String, String) {
    let mut command = vitracka();
    command.arg("cost").args(words).env("AWS_EC2_METADATA_DISABLED", "true");
    // Nobody's own profile.
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command.envs(environment.iter().copied());
    let (status, said, errors) = Process::start("vitracka cost", command).wait(START);
    (status.success(), said, errors)
}

fn recorded() -> String {
    tests("costs").display().to_string()
}

fn answer(name: &str) -> Value {
    let text = fs::read_to_string(tests("costs").join(name)).expect("a recorded answer");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_report_says_what_was_billed_and_what_is_estimated() {
    let (could, report, errors) = cost(&["--recorded", &recorded()], &[]);
    assert!(could, "{errors}");
    insta::assert_snapshot!(report, @"
    What 7 whole days before 2026-11-09 cost, in US dollars.
      billed     what AWS charges, by Cost Explorer: the whole account, all services, up to a day late
      estimated  what models cost, by the agents: their tokens times the table of prices, at once, and nothing else

    day                 billed   estimated   invocations   tokens in   tokens out
    2026-11-02          2.6875      0.6273           410       86100        24600
    2026-11-03          2.9500      0.6426           420       88200        25200
    2026-11-04          3.1875      0.6579           430       90300        25800
    2026-11-05          2.4500      0.6732           440       92400        26400
    2026-11-06          2.6875      0.6273           410       86100        24600
    2026-11-07          2.9500      0.6579           430       90300        25800
    2026-11-08          3.1875      0.6885           450       94500        27000
    2026-11-09 so far        -      0.7191           470       98700        28200

    agent             invocations   tokens in   tokens out   estimated   per 1000   billed by tag   per 1000
    coach_companion          2930      615300       175800      4.4829     1.5300          4.3750     1.4932
    test_agent                 60       12600         3600      0.0918     1.5300          0.0375     0.6250
    all                      2990      627900       179400      4.5747     1.5300           20.10     6.7224
    Calls of models have no tag, unless an application inference profile gives them one; they are billed under all.

    service                         billed
    Amazon Bedrock                   15.25
    Amazon Bedrock AgentCore        3.5375
    AmazonCloudWatch                1.3125
    Amazon Simple Storage Service   0.0000

    November 2026   so far   projected
      billed         22.55       85.72
      estimated     5.1867       19.56
      projected: what 7 days cost on average, for each day that is left.
    ");
}

#[test]
fn a_program_gets_the_same_as_json() {
    let (could, report, errors) = cost(&["--recorded", &recorded(), "--days", "2", "--json"], &[]);
    assert!(could, "{errors}");
    insta::assert_snapshot!(report, @r#"
    {
      "first_day": "2026-11-07",
      "today": "2026-11-09",
      "days": [
        {
          "day": "2026-11-07",
          "billed_usd": 2.950001,
          "estimated_usd": 0.6579,
          "invocations": 430,
          "input_tokens": 90300,
          "output_tokens": 25800
        },
        {
          "day": "2026-11-08",
          "billed_usd": 3.1875,
          "estimated_usd": 0.6885,
          "invocations": 450,
          "input_tokens": 94500,
          "output_tokens": 27000
        },
        {
          "day": "2026-11-09",
          "billed_usd": null,
          "estimated_usd": 0.7191,
          "invocations": 470,
          "input_tokens": 98700,
          "output_tokens": 28200
        }
      ],
      "agents": [
        {
          "agent": "coach_companion",
          "billed_by_tag_usd": 1.25,
          "estimated_usd": 1.2699,
          "invocations": 830,
          "input_tokens": 174300,
          "output_tokens": 49800,
          "estimated_usd_per_1000": 1.53,
          "billed_by_tag_usd_per_1000": 1.506024
        },
        {
          "agent": "test_agent",
          "billed_by_tag_usd": 0.0125,
          "estimated_usd": 0.0765,
          "invocations": 50,
          "input_tokens": 10500,
          "output_tokens": 3000,
          "estimated_usd_per_1000": 1.53,
          "billed_by_tag_usd_per_1000": 0.25
        }
      ],
      "all": {
        "billed_usd": 6.137501,
        "estimated_usd": 1.3464,
        "invocations": 880,
        "input_tokens": 184800,
        "output_tokens": 52800,
        "estimated_usd_per_1000": 1.53,
        "billed_usd_per_1000": 6.974433
      },
      "services": [
        {
          "service": "Amazon Bedrock",
          "billed_usd": 4.75
        },
        {
          "service": "Amazon Bedrock AgentCore",
          "billed_usd": 1.0125
        },
        {
          "service": "AmazonCloudWatch",
          "billed_usd": 0.375
        },
        {
          "service": "Amazon Simple Storage Service",
          "billed_usd": 1e-6
        }
      ],
      "month": {
        "first_day": "2026-11-01",
        "billed": {
          "so_far_usd": 22.550001,
          "projected_usd": 90.062515
        },
        "estimated": {
          "so_far_usd": 5.1867,
          "projected_usd": 19.9971
        }
      }
    }
    "#);
}

#[test]
fn the_recorded_answers_are_as_botocore_knows_them() {
    let mut script = Script::start("boto3", python_script("costs.py"), "http://127.0.0.1:9");
    let checked = script.order(json!({
        "do": "shapes", "costs": answer("get-cost-and-usage.json"), "metrics": answer("get-metric-data.json"),
    }));
    assert_eq!(checked, json!({ "wrong": [] }));
}

#[test]
fn an_account_is_asked_for_what_agents_counted_and_what_was_billed() {
    let port = free_port();
    let mut cloud = Process::start("moto", moto_server(port));
    cloud.wait_for_port(port, START);
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut account = Script::start("boto3", python_script("costs.py"), &endpoint);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let (yesterday, before) = (now - DAY, now - 2 * DAY);
    let metrics = json!({
        "InvocationCount": [[before, 1], [before, 2], [yesterday, 5]], "InputTokens": [[yesterday, 1000]],
        "OutputTokens": [[yesterday, 200]], "CostUsd": [[before, 0.5], [yesterday, 0.25], [yesterday, 0.25]],
    });
    account.order(json!({ "do": "count", "agent": "coach_companion", "metrics": metrics }));
    // On pages, as the service answers.
    let day = |ago: u64| {
        jiff::Timestamp::from_second(i64::try_from(now - ago * DAY).expect("seconds")).expect("a moment").to_string()
            [..10]
            .to_owned()
    };
    let page = |ago: u64, amount: &str, next: Option<&str>| {
        let group = json!({ "Keys": ["Amazon Bedrock", "Application$"], "Metrics": { "UnblendedCost": { "Amount": amount, "Unit": "USD" } } });
        let period = json!({ "Start": day(ago), "End": day(ago - 1) });
        let mut page =
            json!({ "ResultsByTime": [{ "TimePeriod": period, "Total": {}, "Groups": [group], "Estimated": true }] });
        if let Some(next) = next {
            page["NextPageToken"] = next.into();
        }
        page
    };
    account.order(json!({ "do": "bill", "answers": [page(2, "2.5", Some("more")), page(1, "1.5", None)] }));

    let keys = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIALOCALTESTS000000"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ];
    let (could, report, errors) = cost(&["--days", "3", "--json"], &keys);

    assert!(could, "{errors}");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let all = &report["all"];
    assert_eq!(
        (&all["billed_usd"], &all["estimated_usd"], &all["invocations"], &all["input_tokens"], &all["output_tokens"]),
        (&json!(4.0), &json!(1.0), &json!(8), &json!(1000), &json!(200)),
        "{report}"
    );
    assert_eq!(all["billed_usd_per_1000"], 500.0);
    let days: Vec<_> = report["days"].as_array().expect("days").iter().map(|day| day["invocations"].as_u64()).collect();
    assert_eq!(days, [Some(0), Some(3), Some(5), Some(0)], "{report}");
}

#[test]
fn what_cannot_be_told_is_said_in_a_sentence() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let half = tempfile::tempdir().expect("a temporary folder");
    fs::copy(tests("costs").join("get-cost-and-usage.json"), half.path().join("get-cost-and-usage-1.json"))
        .expect("a copy");
    fs::write(half.path().join("get-metric-data.json"), "{").expect("a file");
    let folder = |folder: &tempfile::TempDir| folder.path().display().to_string();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let keys = [
        ("AWS_ENDPOINT_URL", nobody.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIALOCALTESTS000000"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ];
    let told = [
        cost(&[], &[]),
        cost(&[], &keys),
        cost(&["--region", "Ireland"], &keys),
        cost(&["--recorded", &folder(&empty)], &[]),
        cost(&["--recorded", &folder(&half)], &[]),
        cost(&["--recorded", "/no/such/folder"], &[]),
    ];
    let told = told.map(|(could, said, errors)| {
        assert!(!could && said.is_empty(), "{said}");
        errors.replace(&folder(&empty), "<empty>").replace(&folder(&half), "<half>")
    });
    insta::assert_snapshot!(told.concat(), @"
    vitracka: there are no AWS credentials in the environment, in a profile or on this machine; run `aws sso login` or `aws configure`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID
    vitracka: Cost Explorer cannot be asked: Connection refused (os error 111)
    vitracka: Ireland is no region's name; write it like eu-west-1
    vitracka: <empty> has no get-cost-and-usage*.json; record it there with `aws ce get-cost-and-usage`
    vitracka: <half>/get-metric-data.json: cannot be read: EOF while parsing an object at line 1 column 1
    vitracka: /no/such/folder: cannot be read: No such file or directory (os error 2)
    ");
}
