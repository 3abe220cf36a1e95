//! What AWS charges, as `GetCostAndUsage` of Cost Explorer answers it.

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;

use super::CostError;
use super::answers::Service;

/// The only money that is added up here.
const CURRENCY: &str = "USD";

/// All charges of an answer.
#[derive(Debug, Default)]
pub(super) struct Billed {
    pub(super) charges: Vec<Charge>,
    /// The day after the last one that was asked for.
    until: Option<Date>,
}

/// What a service cost on a day.
#[derive(Debug, PartialEq)]
pub(super) struct Charge {
    pub(super) day: Date,
    pub(super) service: String,
    /// The tag of what cost it; none where it has none.
    pub(super) tag: Option<String>,
    pub(super) usd: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    results_by_time: Vec<OfDay>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfDay {
    time_period: Period,
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Period {
    start: Date,
    end: Date,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    /// The service, then `Application$` and the tag's value, which is empty where there is none.
    keys: Vec<String>,
    metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    unblended_cost: Money,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Money {
    amount: String,
    unit: String,
}

// === impl Billed ===

impl Billed {
    /// Reads all pages of an answer.
    pub(super) fn read(pages: &[Value]) -> Result<Self, CostError> {
        let mut billed = Self::default();
        for page in pages {
            let answer = Answer::deserialize(page).map_err(|error| unreadable(error.to_string()))?;
            for OfDay { time_period: Period { start, end }, groups } in answer.results_by_time {
                billed.until = billed.until.max(Some(end));
                for group in groups {
                    billed.charges.push(Charge::read(start, group)?);
                }
            }
        }
        Ok(billed)
    }

    /// The day after the last one that was asked for.
    pub(super) fn until(&self) -> Result<Date, CostError> {
        self.until.ok_or_else(|| unreadable("it has no day".to_owned()))
    }
}

// === impl Charge ===

impl Charge {
    fn read(day: Date, Group { keys, metrics }: Group) -> Result<Self, CostError> {
        let Money { amount, unit } = metrics.unblended_cost;
        if unit != CURRENCY {
            return Err(unreadable(format!("it is in {unit}, not in {CURRENCY}")));
        }
        let usd = amount.parse().map_err(|_| unreadable(format!("`{amount}` is no amount")))?;
        let [service, tag] = <[String; 2]>::try_from(keys)
            .map_err(|keys| unreadable(format!("{keys:?} is not a service and a tag; group by both")))?;
        let tag = tag.split_once('$').map(|(_, value)| value).filter(|value| !value.is_empty()).map(str::to_owned);
        Ok(Self { day, service, tag, usd })
    }
}

fn unreadable(reason: String) -> CostError {
    CostError::Unreadable { service: Service::CostExplorer, reason }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::json;

    use super::*;

    fn page(keys: &[&str], amount: &str, unit: &str) -> Value {
        json!({ "ResultsByTime": [{
            "TimePeriod": { "Start": "2026-11-24", "End": "2026-11-25" }, "Total": {}, "Estimated": true,
            "Groups": [{ "Keys": keys, "Metrics": { "UnblendedCost": { "Amount": amount, "Unit": unit } } }],
        }] })
    }

    #[test]
    fn a_charge_has_a_service_and_perhaps_a_tag() {
        let pages = [
            page(&["Amazon Bedrock", "Application$"], "2.5", "USD"),
            page(&["AmazonCloudWatch", "Application$coach_companion"], "0.0000012345", "USD"),
        ];
        let billed = Billed::read(&pages).expect("an answer");
        let tags: Vec<_> = billed.charges.iter().map(|charge| charge.tag.as_deref()).collect();
        assert_eq!(tags, [None, Some("coach_companion")]);
        assert_eq!(billed.until().expect("a day"), date(2026, 11, 25));
    }

    #[test]
    fn what_is_not_understood_is_not_added_up() {
        let told = [
            page(&["Amazon Bedrock", "Application$"], "2.5", "CNY"),
            page(&["Amazon Bedrock", "Application$"], "much", "USD"),
            page(&["Amazon Bedrock"], "2.5", "USD"),
            json!({ "Results": [] }),
        ]
        .map(|page| Billed::read(&[page]).expect_err("no answer").to_string());
        insta::assert_snapshot!(told.join("\n"), @r#"
        an answer of Cost Explorer is not as its documentation has it: it is in CNY, not in USD
        an answer of Cost Explorer is not as its documentation has it: `much` is no amount
        an answer of Cost Explorer is not as its documentation has it: ["Amazon Bedrock"] is not a service and a tag; group by both
        an answer of Cost Explorer is not as its documentation has it: missing field `ResultsByTime`
        "#);
        assert!(Billed::read(&[json!({ "ResultsByTime": [] })]).expect("an answer").until().is_err());
    }
}
