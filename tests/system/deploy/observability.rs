//! `deploy/observability.yaml` and `deploy/billing.yaml`: what they make, and whether it finds in real lines of a log
//! what it should.
//!
//! An alarm on a metric that nobody counts stays silent for ever, and a query of a member that was renamed shows an empty
//! widget: nothing fails, and nobody sees it. Here they fail.

mod filter_pattern;
mod insights;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use agentcore_runtime::core::signal::{dimension, measure, measure_named, namespace};
use serde_json::{Map, Value, json};

use self::filter_pattern::FilterPattern;
use self::insights::{Query, Row};
use self::session::Day;
use super::{Account, run_for_json};
use crate::foreign::{linters_script, moto_script, repository, tests};

const AGENT: &str = "coach_companion";
const RUNTIME: &str = "coach_companion-0ZUOP04U5z";

/// Members that every line may have, which are no metrics and tell none apart.
const MEMBERS: [&str; 7] = ["message", "level", "errorMessage", "location", "sessionId", "requestId", "rule"];

/// One day's lines, for all tests: agents take a while to start and end.
static DAY: LazyLock<Day> = LazyLock::new(Day::live);

/// A metric that is looked at: namespace, name, and the names of its dimensions.
type Shown = (String, String, Vec<String>);

/// A metric that is counted: namespace, name, and dimensions with their values.
type Counted = (String, String, Vec<(String, String)>);

/// A template with its parameters' values in their places.
struct Made {
    resources: Map<String, Value>,
    template: Value,
}

// === impl Made ===

impl Made {
    fn of(template: &str, region: &str, parameters: &Value) -> Self {
        let mut command = linters_script("resolved.py");
        command.arg(repository().join("deploy").join(template)).arg(region).arg(parameters.to_string());
        let mut read = run_for_json("the reader of templates", command);
        let Value::Object(resources) = read["resources"].take() else { panic!("an object") };
        Self { resources, template: read["template"].take() }
    }

    fn observability() -> Self {
        Self::of("observability.yaml", "eu-west-1", &json!({ "RuntimeId": RUNTIME }))
    }

    /// The properties of all resources of a kind, by their names.
    fn all(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let of_kind = self.resources.iter().filter(move |(_, resource)| resource["Type"] == kind);
        of_kind.map(|(name, resource)| (name.as_str(), &resource["Properties"]))
    }

    fn alarms(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.all("AWS::CloudWatch::Alarm")
    }

    fn filters(&self) -> impl Iterator<Item = (&str, FilterPattern)> {
        self.all("AWS::Logs::MetricFilter").map(|(_, filter)| {
            let pattern = text(&filter["FilterPattern"]).parse().unwrap_or_else(|why| panic!("{why}"));
            (text(&filter["FilterName"]), pattern)
        })
    }

    fn widgets(&self) -> Vec<Value> {
        let (_, dashboard) = self.all("AWS::CloudWatch::Dashboard").next().expect("there is one");
        let body: Value = serde_json::from_str(text(&dashboard["DashboardBody"])).expect("JSON");
        body["widgets"].as_array().expect("a list").clone()
    }

    /// The dashboard's queries, by the titles of their widgets.
    fn queries(&self) -> Vec<(String, Query)> {
        let widgets = self.widgets().into_iter().filter(|widget| widget["type"] == "log");
        let queries = widgets.map(|widget| {
            let query = text(&widget["properties"]["query"]).parse().unwrap_or_else(|why| panic!("{why}"));
            (text(&widget["properties"]["title"]).to_owned(), query)
        });
        queries.collect()
    }

    /// The rows of the query of that title.
    fn ask(&self, title: &str, lines: &[Value]) -> Vec<Row> {
        let queries = self.queries();
        let (_, query) = queries.iter().find(|(name, _)| name == title).unwrap_or_else(|| panic!("no `{title}`"));
        query.run(lines)
    }

    /// The metrics that the dashboard shows.
    fn shown(&self) -> BTreeSet<Shown> {
        let mut shown = BTreeSet::new();
        for widget in self.widgets().iter().filter(|widget| widget["type"] == "metric") {
            for metric in list(&widget["properties"]["metrics"]) {
                let search = list(metric).next().and_then(|first| first.get("expression"));
                shown.insert(search.map_or_else(|| plain(metric), |search| searched(text(search))));
            }
        }
        shown
    }
}

/// A metric as a widget lists it: `[namespace, name, dimension, value, …, {how it is drawn}]`.
fn plain(metric: &Value) -> Shown {
    let parts: Vec<&str> = list(metric).filter_map(Value::as_str).collect();
    let dimensions = parts[2..].iter().step_by(2).map(|name| (*name).to_owned());
    (parts[0].to_owned(), parts[1].to_owned(), dimensions.collect())
}

/// What `SEARCH('{namespace,dimension} MetricName="name"', 'Sum', 300)` looks for.
fn searched(expression: &str) -> Shown {
    let read = || {
        let (schema, rest) = expression.strip_prefix("SEARCH('{")?.split_once("} MetricName=\"")?;
        let (name, _) = rest.split_once("\"', 'Sum', 300)")?;
        let mut schema = schema.split(',').map(str::to_owned);
        Some((schema.next()?, name.to_owned(), schema.collect()))
    };
    read().unwrap_or_else(|| panic!("`{expression}` is not understood here"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap_or_else(|| panic!("a list: {value}")).iter()
}

/// What CloudWatch counts of the lines by themselves: how often, and how much.
fn counted(lines: &[Value]) -> BTreeMap<Counted, (u32, f64)> {
    let mut counted = BTreeMap::new();
    for line in lines {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            for metric in list(&directive["Metrics"]) {
                for dimensions in list(&directive["Dimensions"]) {
                    let named =
                        list(dimensions).map(|name| (text(name).to_owned(), text(&line[text(name)]).to_owned()));
                    let name = text(&metric["Name"]).to_owned();
                    let value = line[&name].as_f64().expect("a number");
                    let key = (text(&directive["Namespace"]).to_owned(), name, named.collect());
                    let (count, sum) = counted.entry(key).or_insert((0, 0.0));
                    *count += 1;
                    *sum += value;
                }
            }
        }
    }
    counted
}

fn number(row: &Row, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("a number as {name}: {row:?}"))
}

// === what is named ===

#[test]
fn every_metric_of_an_alarm_or_a_widget_is_one_that_lines_are_or_filters_count() {
    let made = Made::observability();
    let filtered: BTreeSet<&str> = made.filters().map(|(name, _)| name).collect();
    let of_alarms = made.alarms().map(|(_, alarm)| {
        let dimensions = alarm.get("Dimensions").into_iter().flat_map(list).map(|one| text(&one["Name"]).to_owned());
        (text(&alarm["Namespace"]).to_owned(), text(&alarm["MetricName"]).to_owned(), dimensions.collect())
    });
    let mut of_ours = 0;
    for (space, name, dimensions) in of_alarms.chain(made.shown()) {
        if space == "AWS/Bedrock-AgentCore" {
            assert_eq!(dimensions, ["Operation", "Name", "Resource"], "{name}: with others there is never any data");
            continue;
        }
        assert_eq!(space, namespace(AGENT), "{name}");
        if filtered.contains(name.as_str()) {
            assert!(dimensions.is_empty(), "{name}");
        } else {
            let known = measure_named(&name).unwrap_or_else(|| panic!("{name} is no metric of the agents'"));
            assert!(dimensions.len() <= 1, "{name} is told apart by each dimension by itself: {dimensions:?}");
            assert!(dimensions.iter().all(|one| known.dimensions.contains(&one.as_str())), "{name}: {dimensions:?}");
        }
        of_ours += 1;
    }
    assert!(of_ours > 20, "they are found: {of_ours}");
}

#[test]
fn no_filter_counts_what_lines_are_already() {
    let made = Made::observability();
    for (_, filter) in made.all("AWS::Logs::MetricFilter") {
        let [transformation] = &list(&filter["MetricTransformations"]).collect::<Vec<_>>()[..] else { panic!("one") };
        let name = text(&transformation["MetricName"]);
        assert_eq!(measure_named(name), None, "{name} would be counted twice");
        assert_eq!(filter["FilterName"], transformation["MetricName"]);
        assert_eq!(text(&transformation["MetricNamespace"]), namespace(AGENT));
    }
}

#[test]
fn every_member_that_is_queried_or_filtered_by_has_a_name_the_agents_log_with() {
    let made = Made::observability();
    let dimensions = [dimension::ERROR, dimension::MODEL, dimension::OPERATION, dimension::KIND, dimension::SEVERITY];
    let is_known = |name: &str| measure_named(name).is_some() || dimensions.contains(&name) || MEMBERS.contains(&name);
    for (title, query) in made.queries() {
        let unknown: Vec<&str> = query.members().into_iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{title}: {unknown:?}");
        assert_eq!(query.source, format!("/aws/bedrock-agentcore/runtimes/{RUNTIME}-DEFAULT"));
    }
    for (name, pattern) in made.filters() {
        assert!(pattern.members().all(is_known), "{name}: {pattern:?}");
    }
    // And a line has it: a name that is known and not used would be an empty column.
    for (title, query) in made.queries() {
        for member in query.members() {
            assert!(DAY.lines.iter().any(|line| line.get(member).is_some()), "{title}: no line has {member}");
        }
    }
}

// === what is found in real lines ===

#[test]
fn every_metric_that_is_watched_is_counted_on_a_day_on_which_everything_happens() {
    let made = Made::observability();
    let counted = counted(&DAY.lines);
    let filters: BTreeMap<&str, FilterPattern> = made.filters().collect();
    for (id, alarm) in made.alarms().filter(|(_, alarm)| alarm["Namespace"] == namespace(AGENT)) {
        let name = text(&alarm["MetricName"]);
        if let Some(pattern) = filters.get(name) {
            assert!(DAY.lines.iter().any(|line| pattern.matches(line)), "{id}: no line matches {pattern:?}");
            continue;
        }
        let dimensions = alarm.get("Dimensions").into_iter().flat_map(list);
        let dimensions =
            dimensions.map(|one| (text(&one["Name"]).to_owned(), text(&one["Value"]).to_owned())).collect();
        let key = (namespace(AGENT), name.to_owned(), dimensions);
        assert!(counted.contains_key(&key), "{id}: nothing is counted as {key:?}");
    }
}

#[test]
fn every_filter_counts_what_happened() {
    let found = |name: &str| {
        let made = Made::observability();
        let (_, pattern) = made.filters().find(|(filter, _)| *filter == name).unwrap_or_else(|| panic!("no {name}"));
        DAY.lines.iter().filter(|line| pattern.matches(line)).count()
    };
    let names: BTreeSet<String> = Made::observability().filters().map(|(name, _)| name.to_owned()).collect();
    let counts: BTreeMap<&str, usize> = names.iter().map(|name| (name.as_str(), found(name))).collect();
    // An agent tells once of a model that can't be used, whatever number of turns fail for it; each turn that fails
    // is an error beside its cause.
    insta::assert_debug_snapshot!(counts, @r#"
    {
        "ErrorLines": 7,
        "ModelsUnusable": 1,
        "Panics": 1,
        "SessionsUnread": 2,
        "TurnsLost": 1,
    }
    "#);
}

#[test]
fn every_query_gives_the_right_number() {
    let (made, day) = (Made::observability(), &*DAY);
    let done = &day.done;
    let sum = |rows: Vec<Row>, name: &str| rows.iter().map(|row| number(row, name)).sum::<f64>();
    let is = |found: f64, wanted: u32, of: &str| assert!((found - f64::from(wanted)).abs() < 1e-9, "{of}: {found}");

    is(sum(made.ask("Invocations, every 5 minutes", &day.lines), "invocations"), done.invocations, "in 5 minutes");
    is(sum(made.ask("Answered turns, every 5 minutes", &day.lines), "answered"), done.answered, "answered");
    is(sum(made.ask("Every hour", &day.lines), "invocations"), done.invocations, "every hour");
    is(sum(made.ask("Every hour", &day.lines), "errors"), done.failed, "errors every hour");
    is(sum(made.ask("Errors by kind", &day.lines), "errors"), done.failed, "errors by kind");

    let [total] = &made.ask("Total of the time shown", &day.lines)[..] else { panic!("one row") };
    is(number(total, "invocations"), done.invocations, "total");
    is(number(total, "errors"), done.failed, "total of errors");
    let usd: f64 = day.lines.iter().filter_map(|line| line[measure::USD].as_f64()).sum();
    assert!(usd > 0.0 && (number(total, "usd") - usd).abs() < 1e-9, "{total:?}");

    let of_a_moment = |line: &Value| {
        let mut line = line.clone();
        line["timestamp"] = json!("2026-11-25T10:00:00.000Z");
        line
    };
    let at_once: Vec<Value> = day.lines.iter().map(of_a_moment).collect();
    let [rate] = &made.ask("Error rate, percent", &at_once)[..] else { panic!("one row") };
    let wanted = 100.0 * f64::from(done.failed) / f64::from(done.invocations);
    assert!((number(rate, "percent") - wanted).abs() < 1e-9, "{rate:?}");

    let errors = made.ask("Recent errors", &day.lines);
    let all = day.lines.iter().filter(|line| line["level"] == "ERROR").count();
    assert_eq!(errors.len(), all.min(20));
    let activity = made.ask("Recent activity", &day.lines);
    assert_eq!(activity.len(), done.invocations as usize);
    for rows in [errors, activity] {
        let times: Vec<&str> = rows.iter().map(|row| text(&row["@timestamp"])).collect();
        assert!(times.is_sorted_by(|one, other| one >= other), "the newest first: {times:?}");
    }

    let flags = made.ask("Safety flags by kind and severity", &day.lines);
    let crises = flags.iter().filter(|row| row["severity"] == "crisis").cloned().collect();
    is(sum(crises, "flags"), done.crises, "crises");

    let told = ["Errors by kind", "Safety flags by kind and severity"].map(|title| {
        let rows = made.ask(title, &day.lines).into_iter().map(|row| Value::Object(row).to_string());
        format!("{title}\n  {}", rows.collect::<Vec<_>>().join("\n  "))
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    Errors by kind
      {"errorType":"AccessDenied","errors":2.0}
      {"errorType":"internal_error","errors":1.0}
      {"errorType":"memory_unavailable","errors":1.0}
    Safety flags by kind and severity
      {"kind":"self_harm","severity":"crisis","flags":3.0}
      {"kind":"medication","severity":"info","flags":1.0}
    "#);
}

#[test]
fn what_cloudwatch_counts_by_itself_is_what_happened() {
    let counted = counted(&DAY.lines);
    let whole = |name: &str| counted[&(namespace(AGENT), name.to_owned(), Vec::new())];
    let done = &DAY.done;
    assert_eq!(whole(measure::INVOCATIONS), (done.invocations, f64::from(done.invocations)));
    assert_eq!(whole(measure::ERRORS), (done.invocations, f64::from(done.failed)));
    assert_eq!(whole(measure::LATENCY).0, done.invocations);
    assert_eq!(whole(measure::FIRST_TOKEN).0, 1, "one answer was streamed");
    let (asked_again, _) = whole(measure::RETRIES);
    assert!(asked_again > 0, "a model was busy");
    let severe = (dimension::SEVERITY.to_owned(), "crisis".to_owned());
    let (crises, _) = counted[&(namespace(AGENT), measure::SAFETY_FLAGS.to_owned(), vec![severe])];
    assert_eq!(crises, done.crises);
}

#[test]
fn lines_that_are_metrics_are_of_awss_schema() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lines = folder.path().join("lines");
    let text: Vec<String> = DAY.lines.iter().map(Value::to_string).collect();
    std::fs::write(&lines, text.join("\n")).expect("writable");
    let mut command = linters_script("emf.py");
    command.arg(tests("contract/embedded-metric-format.json")).arg(lines);

    let checked = run_for_json("jsonschema", command);

    assert_eq!(checked["problems"], json!([]));
    let metrics = DAY.lines.iter().filter(|line| line.get("_aws").is_some()).count();
    assert!(checked["metrics"] == metrics && metrics > DAY.done.invocations as usize, "{checked}");
}

// === what others make of the templates ===

/// An account with the stack in it, the log group as the service would have made it, and somebody who is woken.
struct Observed {
    account: Account,
    made: Made,
    queue: Value,
}

impl Observed {
    fn create() -> Self {
        let mut account = Account::open();
        let topic = account.operator.order(json!({ "do": "topic", "name": "operators" }));
        let parameters = json!({ "RuntimeId": RUNTIME, "TopicArn": topic["arn"] });
        let made = Made::of("observability.yaml", "eu-west-1", &parameters);
        let group = format!("/aws/bedrock-agentcore/runtimes/{RUNTIME}-DEFAULT");
        account.operator.order(json!({ "do": "group", "name": group }));
        // ministack's CloudFormation knows no composite alarms; its CloudWatch does.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut template = made.template.clone();
        let resources = template["Resources"].as_object_mut().expect("an object");
        resources.retain(|_, resource| resource["Type"] != "AWS::CloudWatch::CompositeAlarm");
        let resources: BTreeSet<String> = resources.keys().cloned().collect();
        let body = text(&template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"][0]);
        let body = body.replace(
            "${Unwell.Arn}",
            "arn:aws:cloudwatch:eu-west-1:000000000000:alarm:AgentCore-coach_companion-Unwell",
        );
        template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"][0] = body.into();
        assert_eq!(resources.len() + 1, made.resources.len(), "and nothing else is left out");
        let path = folder.path().join("observability.json");
        std::fs::write(&path, template.to_string()).expect("writable");
        account.operator.order(json!({
            "do": "stack", "name": "vitracka-production-coach-companion-observability",
            "template": path, "parameters": parameters,
        }));
        for (_, properties) in made.all("AWS::CloudWatch::CompositeAlarm") {
            account.operator.order(json!({ "do": "composite", "properties": properties }));
        }
        Self { account, made, queue: topic["queue"].clone() }
    }

    fn order(&mut self, order: Value) -> Value {
        self.account.operator.order(order)
    }

    /// Puts values of the metric that an alarm watches, and gives what the alarm then says.
    fn state_after(&mut self, alarm: &str, values: &[f64]) -> String {
        let properties = self.made.resources[alarm]["Properties"].clone();
        let dimensions = properties.get("Dimensions").cloned().unwrap_or_else(|| json!([]));
        self.order(json!({
            "do": "measure", "namespace": properties["Namespace"], "name": properties["MetricName"],
            "dimensions": dimensions, "values": values,
        }));
        let states = self.order(json!({ "do": "states" }));
        text(&states[text(&properties["AlarmName"])]).to_owned()
    }

    fn heard(&mut self) -> Value {
        let queue = self.queue.clone();
        self.order(json!({ "do": "heard", "queue": queue }))
    }
}

#[test]
fn ministack_makes_every_alarm_filter_and_dashboard() {
    let mut observed = Observed::create();
    let there = observed.order(json!({ "do": "watched" }));

    let made = &observed.made;
    assert_eq!(there["alarms"].as_object().map(Map::len), Some(made.alarms().count()));
    for (id, alarm) in made.alarms() {
        let found = &there["alarms"][text(&alarm["AlarmName"])];
        for (member, value) in found.as_object().unwrap_or_else(|| panic!("{id} is not there")) {
            let wanted = &alarm[member];
            assert!(filter_pattern::is_same(value, wanted), "{id}: {member} is {value}, and should be {wanted}");
        }
    }
    let [(_, composite)] = &made.all("AWS::CloudWatch::CompositeAlarm").collect::<Vec<_>>()[..] else { panic!("one") };
    assert_eq!(there["composites"], json!({ text(&composite["AlarmName"]): composite["AlarmRule"] }));
    for (_, filter) in made.all("AWS::Logs::MetricFilter") {
        let [group, pattern, _] = &list(&there["filters"][text(&filter["FilterName"])]).collect::<Vec<_>>()[..] else {
            panic!("three");
        };
        assert_eq!((*group, *pattern), (&filter["LogGroupName"], &filter["FilterPattern"]));
    }
    assert_eq!(there["filters"].as_object().map(Map::len), Some(made.filters().count()));
    assert_eq!(there["dashboards"]["AgentCore-coach_companion"]["widgets"], Value::Array(made.widgets()));
}

#[test]
fn an_alarm_goes_off_above_its_threshold_and_not_at_it() {
    let mut observed = Observed::create();
    // What is counted up to the threshold, and what takes it beyond.
    let cases: [(&str, &[f64], &[f64]); 6] = [
        ("Errors", &[1.0, 1.0, 1.0, 1.0, 1.0], &[1.0]),
        ("SlowAnswers", &[4_000.0, 6_000.0], &[5_003.0]),
        ("DailyInvocations", &[1_000.0], &[1.0]),
        ("DailyModelCost", &[9.99], &[0.02]),
        ("PlatformErrors", &[5.0], &[1.0]),
        ("PlatformThrottles", &[5.0], &[1.0]),
    ];
    for (alarm, up_to, beyond) in cases {
        assert_eq!(observed.state_after(alarm, up_to), "OK", "{alarm}");
        assert_eq!(observed.state_after(alarm, beyond), "ALARM", "{alarm}");
    }
    for alarm in ["TurnsLost", "SessionsUnread", "Panics", "ModelsUnusable", "CrisisFlags"] {
        assert_eq!(observed.state_after(alarm, &[0.0]), "OK", "{alarm}");
        assert_eq!(observed.state_after(alarm, &[1.0]), "ALARM", "{alarm}: one is enough");
    }
}

#[test]
fn a_bad_night_is_one_message_and_money_is_another() {
    let mut observed = Observed::create();
    // An alarm that has just been made says first that all is well.
    assert_eq!(observed.state_after("Errors", &[0.0]), "OK");
    observed.heard();
    for alarm in ["Errors", "SlowAnswers", "Panics", "PlatformErrors"] {
        assert_eq!(observed.state_after(alarm, &[9_000.0]), "ALARM", "{alarm}");
    }
    assert_eq!(observed.heard(), json!([["AgentCore-coach_companion-Unwell", "ALARM"]]));

    assert_eq!(observed.state_after("CrisisFlags", &[1.0]), "ALARM");
    assert_eq!(observed.state_after("DailyModelCost", &[11.0]), "ALARM");
    assert_eq!(observed.heard(), json!([["AgentCore-coach_companion-DailyModelCost", "ALARM"]]));
}

#[test]
fn every_alarm_is_one_of_unwells_or_wakes_somebody_itself() {
    let topic = "arn:aws:sns:eu-west-1:000000000000:operators";
    let crises = "arn:aws:sns:eu-west-1:000000000000:care";
    let parameters = json!({ "RuntimeId": RUNTIME, "TopicArn": topic, "CrisisTopicArn": crises });
    let made = Made::of("observability.yaml", "eu-west-1", &parameters);
    let rule = text(&made.resources["Unwell"]["Properties"]["AlarmRule"]);
    for (id, alarm) in made.alarms() {
        let is_part = rule.contains(&format!("ALARM(\"{}\")", text(&alarm["AlarmName"])));
        let tells = alarm.get("AlarmActions");
        assert_eq!(is_part, tells.is_none(), "{id}");
        if let Some(tells) = tells {
            assert_eq!(*tells, json!([if id == "CrisisFlags" { crises } else { topic }]), "{id}");
        }
    }
    let silence = &made.resources["Silence"]["Properties"]["TreatMissingData"];
    assert_eq!(silence, "breaching", "no line is no data");
    let staging = json!({ "RuntimeId": RUNTIME, "Environment": "staging", "ExpectsTraffic": "no" });
    let staging = Made::of("observability.yaml", "eu-west-1", &staging);
    assert_eq!(staging.resources["Silence"]["Properties"]["TreatMissingData"], "notBreaching");
    assert_eq!(staging.resources["Dashboard"]["Properties"]["DashboardName"], "AgentCore-coach_companion_staging");
}

#[test]
fn platform_alarms_have_exactly_the_dimensions_of_the_endpoint_that_is_called() {
    let live =
        json!({ "RuntimeId": "coach_companion_staging-0ZUOP04U5z", "Endpoint": "live", "Environment": "staging" });
    let made = Made::of("observability.yaml", "eu-central-1", &live);
    for alarm in ["PlatformErrors", "PlatformThrottles"] {
        let properties = &made.resources[alarm]["Properties"];
        assert_eq!(properties["Namespace"], "AWS/Bedrock-AgentCore");
        assert_eq!(
            properties["Dimensions"],
            json!([
                { "Name": "Operation", "Value": "InvokeAgentRuntime" },
                { "Name": "Name", "Value": "coach_companion_staging::live" },
                { "Name": "Resource", "Value": "arn:aws:bedrock-agentcore:eu-central-1:000000000000:runtime/coach_companion_staging-0ZUOP04U5z" },
            ])
        );
    }
}

/// Gives to moto what a template makes.
fn moto(made: &Made, region: &str) -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let resources = folder.path().join("resources.json");
    std::fs::write(&resources, Value::Object(made.resources.clone()).to_string()).expect("writable");
    let mut command = moto_script("moto_accepts.py");
    command.env("AWS_DEFAULT_REGION", region).env("AWS_REGION", region).arg(resources);
    run_for_json("moto", command)
}

#[test]
fn moto_accepts_the_dashboard_the_alarms_and_the_filters() {
    let made = Made::observability();
    let accepted = moto(&made, "eu-west-1");
    assert_eq!(accepted["messages"], json!([]));
    assert_eq!(accepted["dashboards"]["AgentCore-coach_companion"]["widgets"], Value::Array(made.widgets()));
    let names: BTreeSet<&str> = made.alarms().map(|(_, alarm)| text(&alarm["AlarmName"])).collect();
    assert_eq!(accepted["alarms"], json!(names));
    let names: BTreeSet<&str> = made.filters().map(|(name, _)| name).collect();
    assert_eq!(accepted["filters"], json!(names));
}

#[test]
fn the_dashboard_has_the_seven_widgets_of_old_and_what_they_lacked_and_nothing_covers_anything() {
    let made = Made::observability();
    let titles: Vec<String> =
        made.widgets().iter().filter_map(|one| Some(one["properties"]["title"].as_str()?.to_owned())).collect();
    insta::assert_snapshot!(titles.join("\n"), @"
    Alarms
    Invocations, every 5 minutes
    Answered turns, every 5 minutes
    Error rate, percent
    Every hour
    Total of the time shown
    Recent errors
    Recent activity
    Latency of answers, ms
    Time to the first token, ms
    Memory, ms (p95)
    Tokens
    What models cost, USD
    Throttles, retries, failovers
    Safety flags by kind
    Safety flags by kind and severity
    Errors by kind
    AgentCore: calls and errors
    AgentCore: latency, ms
    What needs a hand
    ");
    let mut covered = BTreeSet::new();
    for widget in made.widgets() {
        let of = |member: &str| widget[member].as_u64().unwrap_or_else(|| panic!("no {member}: {widget}"));
        assert!(of("x") + of("width") <= 24, "{widget}");
        for x in of("x")..of("x") + of("width") {
            for y in of("y")..of("y") + of("height") {
                assert!(covered.insert((x, y)), "two widgets at {x}, {y}: {widget}");
            }
        }
    }
    let alarms = made.widgets().into_iter().find(|one| one["type"] == "alarm").expect("there is one");
    assert_eq!(list(&alarms["properties"]["alarms"]).count(), made.alarms().count() + 1, "every alarm is in it");
}

// === money ===

#[test]
fn budgets_measure_a_day_and_a_month_of_what_the_agents_use() {
    let made = Made::of("billing.yaml", "us-east-1", &json!({ "Email": "operator@example.org" }));
    let accepted = moto(&made, "us-east-1");
    insta::assert_snapshot!(accepted["budgets"], @r#"[["vitracka-production-daily","DAILY",10.0,"USD"],["vitracka-production-monthly","MONTHLY",100.0,"USD"]]"#);
    for (id, properties) in made.all("AWS::Budgets::Budget") {
        let services = &properties["Budget"]["CostFilters"]["Service"];
        assert!(list(services).any(|service| service == "Amazon Bedrock"), "{id}: {services}");
        // The model that the agents ask unless told otherwise is billed under a name of its own.
        assert!(list(services).any(|service| service == "Claude 3.5 Sonnet (Amazon Bedrock Edition)"), "{id}");
        let notifications: Vec<&Value> = list(&properties["NotificationsWithSubscribers"]).collect();
        assert!(notifications.iter().any(|one| one["Notification"]["NotificationType"] == "ACTUAL"), "{id}");
        for one in notifications {
            // Of a day there is no forecast.
            let forecast = one["Notification"]["NotificationType"] == "FORECASTED";
            assert!(!forecast || properties["Budget"]["TimeUnit"] == "MONTHLY", "{id}");
            assert_eq!(one["Subscribers"][0]["Address"], "arn:aws:sns:us-east-1:000000000000:vitracka-cost-production");
        }
    }
    let rule = text(&made.resources["Anomaly"]["Properties"]["ThresholdExpression"]);
    let rule: Value = serde_json::from_str(rule).expect("JSON");
    assert_eq!(rule["Dimensions"]["Values"], json!(["5"]));
}

#[test]
fn a_topic_and_a_monitor_that_are_there_are_used() {
    let topic = "arn:aws:sns:us-east-1:000000000000:operators";
    let monitor = "arn:aws:ce::000000000000:anomalymonitor/0123";
    let made = Made::of("billing.yaml", "us-east-1", &json!({ "TopicArn": topic, "AnomalyMonitorArn": monitor }));
    let names: Vec<&str> = made.resources.keys().map(String::as_str).collect();
    assert_eq!(names, ["DailyBudget", "MonthlyBudget", "Anomaly"]);
    assert_eq!(made.resources["Anomaly"]["Properties"]["MonitorArnList"], json!([monitor]));
    assert_eq!(made.resources["Anomaly"]["Properties"]["Subscribers"][0]["Address"], topic);
}

// === what an operator reads ===

#[test]
fn every_alarm_has_its_page() {
    let readme = std::fs::read_to_string(repository().join("deploy/README.md")).expect("it is there");
    let made = Made::observability();
    let of_money = Made::of("billing.yaml", "us-east-1", &json!({ "Email": "operator@example.org" }));
    let of_money = of_money.all("AWS::Budgets::Budget").map(|(id, _)| id.to_owned()).collect::<Vec<_>>();
    let composite = made.all("AWS::CloudWatch::CompositeAlarm");
    for (id, alarm) in made.alarms().chain(composite) {
        assert!(readme.contains(&format!("\n| {id} | ")), "deploy/README.md has no page for {id}");
        assert!(
            text(&alarm["AlarmDescription"]).ends_with(&format!("deploy/README.md, {id}.")),
            "{id} does not lead to it"
        );
    }
    for id in of_money.iter().map(String::as_str).chain(["Anomaly"]) {
        assert!(readme.contains(&format!("\n| {id} | ")), "deploy/README.md has no page for {id}");
    }
}
