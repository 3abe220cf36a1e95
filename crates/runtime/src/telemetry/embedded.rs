//! Metrics in lines of the log, where CloudWatch finds them.
//!
//! A line that has one of [`MEASURES`] among its members gets a member `_aws`, by the [embedded metric
//! format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
//! So what an alarm counts and what an operator reads are the same lines.

use agentcore_core::signal::{MEASURES, Measure, Unit};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// What CloudWatch finds in a line, under `_aws`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Embedded<'a> {
    timestamp: i64,
    cloud_watch_metrics: Vec<Directive<'a>>,
}

/// Metrics that are told apart alike.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    #[serde(serialize_with = "in_all_and_by_each")]
    dimensions: Vec<&'static str>,
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

/// What makes a line with those members a metric in the agent's namespace; none where it is not one.
pub(super) fn metrics<'a>(namespace: &'a str, line: &Map<String, Value>, now: Timestamp) -> Option<Embedded<'a>> {
    let mut directives: Vec<Directive<'a>> = Vec::new();
    for measure in MEASURES.iter().filter(|measure| line.get(measure.name).is_some_and(Value::is_number)) {
        let dimensions = told_apart(measure, line);
        let metric = Metric { name: measure.name, unit: unit(measure.unit) };
        match directives.iter_mut().find(|directive| directive.dimensions == dimensions) {
            Some(directive) => directive.metrics.push(metric),
            None => directives.push(Directive { namespace, dimensions, metrics: vec![metric] }),
        }
    }
    (!directives.is_empty()).then(|| Embedded { timestamp: now.as_millisecond(), cloud_watch_metrics: directives })
}

/// Sets of dimensions: the empty one, and one of each.
fn in_all_and_by_each<S: Serializer>(dimensions: &Vec<&'static str>, serializer: S) -> Result<S::Ok, S::Error> {
    let each = dimensions.iter().map(std::slice::from_ref);
    serializer.collect_seq(std::iter::once::<&[&str]>(&[]).chain(each))
}

/// The metric's dimensions that the line has. CloudWatch takes no empty value.
fn told_apart(measure: &Measure, line: &Map<String, Value>) -> Vec<&'static str> {
    let told = |name: &str| line.get(name).and_then(Value::as_str).is_some_and(|value| !value.is_empty());
    measure.dimensions.iter().copied().filter(|name| told(name)).collect()
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "Count",
        Unit::Milliseconds => "Milliseconds",
        // CloudWatch has no unit of money.
        Unit::Usd => "None",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(line: Value) -> Option<Value> {
        let Value::Object(line) = line else { panic!("an object") };
        let now = Timestamp::from_millisecond(1_795_406_111_000).expect("a moment");
        metrics("AgentCore/coach", &line, now).map(|told| serde_json::to_value(told).expect("it is JSON"))
    }

    #[test]
    fn a_line_without_a_measure_is_no_metric() {
        assert_eq!(of(json!({ "message": "agent listening", "turns": 3 })), None);
        assert_eq!(of(json!({ "InvocationCount": "1" })), None, "a text is no number");
    }

    #[test]
    fn metrics_that_are_told_apart_alike_are_one_directive() {
        let line = json!({ "InvocationCount": 1, "CostUsd": 0.5, "ErrorCount": 1, "errorType": "ModelError" });
        insta::assert_snapshot!(of(line).expect("a metric"), @r#"{"Timestamp":1795406111000,"CloudWatchMetrics":[{"Namespace":"AgentCore/coach","Dimensions":[[]],"Metrics":[{"Name":"InvocationCount","Unit":"Count"},{"Name":"CostUsd","Unit":"None"}]},{"Namespace":"AgentCore/coach","Dimensions":[[],["errorType"]],"Metrics":[{"Name":"ErrorCount","Unit":"Count"}]}]}"#);
    }

    #[test]
    fn what_is_not_known_tells_nothing_apart() {
        let line = json!({ "Retries": 1, "model": "" });
        let metrics = of(line).expect("a metric");
        assert_eq!(metrics["CloudWatchMetrics"][0]["Dimensions"], json!([[]]));
    }
}
