//! What tokens cost, from the table in `data/prices.json`, which says when it was checked and where.
//!
//! Prices change, and the bill is AWS's: what is made of them is an account for the operator, not an
//! invoice. A model that is not in the table has no price, and a sum with it in it has none either.

use std::sync::LazyLock;

use serde::Deserialize;

use super::capabilities::{foundation_model, is_geographic};
use crate::message::{Cost, Usage};

/// Parsed when the first answer is counted. That it can be is tested.
static TABLE: LazyLock<Option<Table>> = LazyLock::new(|| Table::parse(include_str!("../../data/prices.json")).ok());

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "checked")]
    _checked: String,
    #[serde(rename = "currency")]
    _currency: String,
    #[serde(rename = "sources")]
    _sources: Vec<String>,
    #[serde(rename = "doubts")]
    _doubts: Vec<String>,
    models: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// How the ids of the foundation models begin.
    model: String,
    /// US dollars per million tokens, like the other three.
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    /// What is paid through a profile that stays within a geography.
    #[serde(default = "whole")]
    geographic_percent: u32,
}

/// What `usage` of that model costs by the table; `model_id` may be a profile's id, or an ARN.
pub fn cost(model_id: &str, usage: &Usage) -> Cost {
    let model = foundation_model(model_id);
    let entry = TABLE.as_ref().and_then(|table| table.models.iter().find(|entry| model.starts_with(&entry.model)));
    entry.map_or(Cost::UNKNOWN, |entry| entry.of(usage, is_geographic(model_id)))
}

fn whole() -> u32 {
    100
}

// === impl Table ===

impl Table {
    fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

// === impl Entry ===

impl Entry {
    fn of(&self, usage: &Usage, geographic: bool) -> Cost {
        let parts = [
            (usage.input_tokens, Some(self.input)),
            (usage.output_tokens, Some(self.output)),
            (usage.cache_read_input_tokens, self.cache_read),
            (usage.cache_write_input_tokens, self.cache_write),
        ];
        let mut picodollars: u128 = 0;
        for (tokens, price) in parts.into_iter().filter(|(tokens, _)| *tokens > 0) {
            let Some(price) = price else {
                return Cost::UNKNOWN;
            };
            picodollars += u128::from(tokens) * u128::from(picodollars_a_token(price));
        }
        let percent = if geographic { self.geographic_percent } else { 100 };
        let nanodollars = (picodollars * u128::from(percent) / 100).div_ceil(1000);
        u64::try_from(nanodollars).map_or(Cost::UNKNOWN, Cost::from_nano_usd)
    }
}

/// Whole picodollars: the cheapest price in the table has three digits of them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "prices are small and not below zero")]
fn picodollars_a_token(dollars_a_million: f64) -> u64 {
    (dollars_a_million * 1e6).round() as u64
}

#[cfg(test)]
mod tests {
    use super::{Table, cost, picodollars_a_token};
    use crate::message::Usage;

    fn table() -> Table {
        Table::parse(include_str!("../../data/prices.json")).expect("the table")
    }

    fn usd(model_id: &str, input_tokens: u64, output_tokens: u64) -> Option<f64> {
        cost(model_id, &Usage { input_tokens, output_tokens, ..Usage::default() }).usd()
    }

    #[test]
    fn the_table_is_whole_and_no_model_is_in_it_twice() {
        let table = table();
        for entry in &table.models {
            let price = entry;
            assert!(price.input > 0.0 && price.output > price.input, "{}", entry.model);
            assert!(price.cache_read.is_none_or(|read| read < price.input), "{}", entry.model);
            assert!(price.cache_write.is_none_or(|write| write >= price.input), "{}", entry.model);
            assert_eq!(price.cache_read.is_some(), price.cache_write.is_some(), "{}", entry.model);
            for digits in [Some(price.input), Some(price.output), price.cache_read, price.cache_write].iter().flatten()
            {
                let exact = picodollars_a_token(*digits);
                #[expect(clippy::cast_precision_loss, reason = "prices are small")]
                let back = exact as f64 / 1e6;
                assert!((back - digits).abs() < 1e-9, "{}: {digits}", entry.model);
            }
            let same = table.models.iter().filter(|other| other.model.starts_with(&entry.model)).count();
            assert_eq!(same, 1, "{} also names another", entry.model);
        }
    }

    #[test]
    fn a_number_where_none_belongs_is_not_passed_over() {
        let table = r#"{"checked": "", "currency": "", "sources": [], "doubts": [], "models": [], "vat": 1}"#;
        assert!(Table::parse(table).is_err());
    }

    #[test]
    fn a_thousand_tokens_cost_what_the_table_says() {
        assert_eq!(usd("eu.anthropic.claude-3-5-sonnet-20240620-v1:0", 1000, 1000), Some(0.018));
        assert_eq!(usd("eu.anthropic.claude-3-haiku-20240307-v1:0", 1000, 1000), Some(0.0015));
        assert_eq!(usd("amazon.nova-micro-v1:0", 1_000_000, 0), Some(0.035));
    }

    #[test]
    fn a_profile_within_a_geography_costs_more_where_that_is_known() {
        assert_eq!(usd("global.anthropic.claude-sonnet-4-5-20250929-v1:0", 1_000_000, 1_000_000), Some(18.0));
        assert_eq!(usd("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 1_000_000, 1_000_000), Some(19.8));
    }

    #[test]
    fn the_cache_has_prices_of_its_own_and_without_one_the_cost_is_not_known() {
        let usage = Usage {
            input_tokens: 100,
            cache_read_input_tokens: 10_000,
            cache_write_input_tokens: 1000,
            ..Usage::default()
        };
        let of = |model_id| cost(model_id, &usage).usd();
        assert_eq!(of("eu.anthropic.claude-3-7-sonnet-20250219-v1:0"), Some(0.0003 + 0.003 + 0.00375));
        assert_eq!(of("eu.anthropic.claude-3-haiku-20240307-v1:0"), None);
    }

    #[test]
    fn a_model_that_is_not_in_the_table_has_no_price() {
        assert_eq!(usd("eu.anthropic.claude-sonnet-9-v1:0", 10, 10), None);
        assert_eq!(usd("mistral.mistral-large-2402-v1:0", 10, 10), None);
    }
}
