//! What the agents count of themselves, as `GetMetricData` of CloudWatch answers it.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use agentcore_runtime::core::signal::{measure, namespace};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Deserialize;
use serde_json::Value;

use super::CostError;
use super::answers::Service;

/// The metrics that are asked for.
pub(super) const COUNTED: [&str; 4] =
    [measure::INVOCATIONS, measure::INPUT_TOKENS, measure::OUTPUT_TOKENS, measure::USD];

/// What agents counted, by agent and day.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<(String, Date), Counts>);

/// What was counted, in whatever time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) invocations: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    /// From tokens and a table of prices.
    pub(super) usd: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    metric_data_results: Vec<Series>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Series {
    label: String,
    timestamps: Vec<Moment>,
    values: Vec<f64>,
}

/// Seconds since 1970 on the wire, a text as the AWS CLI prints it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Seconds(f64),
    Text(String),
}

/// By which a series is known in an answer. CloudWatch gives it the same one by itself where series differ in both.
pub(super) fn label(agent: &str, measure: &str) -> String {
    format!("{} {measure}", namespace(agent))
}

// === impl Counted ===

impl Counted {
    /// Reads all pages of an answer.
    pub(super) fn read(pages: &[Value]) -> Result<Self, CostError> {
        let mut counted = Self::default();
        for page in pages {
            let answer = Answer::deserialize(page).map_err(|error| unreadable(error.to_string()))?;
            for series in answer.metric_data_results {
                counted.add(&series)?;
            }
        }
        Ok(counted)
    }

    fn add(&mut self, Series { label, timestamps, values }: &Series) -> Result<(), CostError> {
        let named =
            label.rsplit_once(' ').and_then(|(space, measure)| Some((space.strip_prefix(&namespace(""))?, measure)));
        let (agent, measure) = named.ok_or_else(|| {
            unreadable(format!(
                "a series is called `{label}`, not like `{}`",
                self::label("coach_companion", measure::USD)
            ))
        })?;
        for (moment, value) in timestamps.iter().zip(values) {
            let counts = self.0.entry((agent.to_owned(), moment.day()?)).or_default();
            *counts += Counts::of(measure, *value);
        }
        Ok(())
    }

    /// What was counted, by whom and when.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Date, Counts)> {
        self.0.iter().map(|((agent, day), counts)| (agent.as_str(), *day, *counts))
    }
}

// === impl Counts ===

impl Counts {
    /// One metric, and nothing of the others; one that was not asked for is nothing.
    fn of(measure: &str, value: f64) -> Self {
        let none = Self::default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "CloudWatch counts in fractions too"
        )]
        let things = value.round() as u64;
        match measure {
            measure::INVOCATIONS => Self { invocations: things, ..none },
            measure::INPUT_TOKENS => Self { input_tokens: things, ..none },
            measure::OUTPUT_TOKENS => Self { output_tokens: things, ..none },
            measure::USD => Self { usd: value, ..none },
            _ => none,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.invocations += other.invocations;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.usd += other.usd;
    }
}

// === impl Moment ===

impl Moment {
    fn day(&self) -> Result<Date, CostError> {
        let moment = match self {
            #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second changes no day")]
            Self::Seconds(seconds) => Timestamp::from_second(*seconds as i64),
            // With the offset of wherever it was recorded.
            Self::Text(text) => text.parse(),
        };
        let moment = moment.map_err(|error| unreadable(format!("a moment is none: {error}")))?;
        Ok(Zoned::new(moment, TimeZone::UTC).date())
    }
}

fn unreadable(reason: String) -> CostError {
    CostError::Unreadable { service: Service::CloudWatch, reason }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::json;

    use super::*;

    fn page(label: &str, timestamps: &Value, values: &[f64]) -> Value {
        json!({ "MetricDataResults": [{ "Id": "m0", "Label": label, "Timestamps": timestamps, "Values": values, "StatusCode": "Complete" }] })
    }

    #[test]
    fn moments_are_read_as_the_wire_and_as_the_command_line_has_them() {
        let pages = [
            page("AgentCore/coach_companion InvocationCount", &json!([1_795_478_400, 1_795_478_400.0]), &[3.0, 1.0]),
            page("AgentCore/coach_companion CostUsd", &json!(["2026-11-24T00:00:00+00:00"]), &[0.25]),
            page("AgentCore/coach_companion CostUsd", &json!(["2026-11-24T01:00:00+01:00"]), &[0.5]),
        ];
        let counted = Counted::read(&pages).expect("an answer");
        let counts = Counts { invocations: 4, usd: 0.75, ..Counts::default() };
        assert_eq!(counted.all().collect::<Vec<_>>(), [("coach_companion", date(2026, 11, 24), counts)]);
    }

    #[test]
    fn what_is_not_understood_is_not_added_up() {
        let told = [
            page("InvocationCount", &json!([1]), &[1.0]),
            page("AgentCore/coach_companion InvocationCount", &json!(["yesterday"]), &[1.0]),
            json!({ "MetricData": [] }),
        ]
        .map(|page| Counted::read(&[page]).expect_err("no answer").to_string());
        insta::assert_snapshot!(told.join("\n"), @"
        an answer of CloudWatch is not as its documentation has it: a series is called `InvocationCount`, not like `AgentCore/coach_companion CostUsd`
        an answer of CloudWatch is not as its documentation has it: a moment is none: failed to parse four digit integer as year: invalid digit, expected 0-9 but got y
        an answer of CloudWatch is not as its documentation has it: missing field `MetricDataResults`
        ");
    }
}
