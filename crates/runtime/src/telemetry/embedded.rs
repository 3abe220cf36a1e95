//! Metrics in lines of the log, where CloudWatch finds them.
//!
//! A line that has one of [`MEASURES`] among its members gets a member `_aws`, by the [embedded metric
//! format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
//! So what an alarm counts and what an operator reads are the same lines.

use agentcore_core::signal::{MEASURES, Measure, Unit, namespace};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The member that CloudWatch looks for.
pub(super) const MEMBER: &str = "_aws";

/// What makes a line with those members a metric of the agent's; none where it is not one.
pub(super) fn metrics(agent: &str, line: &Map<String, Value>, now: Timestamp) -> Option<Value> {
    let counted = MEASURES.iter().filter(|measure| line.get(measure.name).is_some_and(Value::is_number));
    let mut groups: Vec<(Vec<&str>, Vec<Value>)> = Vec::new();
    for measure in counted {
        let told = told_apart(measure, line);
        let metric = json!({ "Name": measure.name, "Unit": unit(measure.unit) });
        match groups.iter_mut().find(|(dimensions, _)| *dimensions == told) {
            Some((_, metrics)) => metrics.push(metric),
            None => groups.push((told, vec![metric])),
        }
    }
    if groups.is_empty() {
        return None;
    }
    let namespace = namespace(agent);
    let directives = groups.into_iter().map(|(dimensions, metrics)| {
        // In all, and by each member that tells them apart.
        let sets: Vec<Vec<&str>> =
            std::iter::once(Vec::new()).chain(dimensions.into_iter().map(|name| vec![name])).collect();
        json!({ "Namespace": namespace, "Dimensions": sets, "Metrics": metrics })
    });
    Some(json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": directives.collect::<Vec<_>>() }))
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
    use super::*;

    fn of(line: Value) -> Option<Value> {
        let Value::Object(line) = line else { panic!("an object") };
        metrics("coach", &line, Timestamp::from_millisecond(1_795_406_111_000).expect("a moment"))
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
