//! What the coach calculates: against worked examples, and against properties that must hold for any log.

use std::sync::Arc;

use agentcore_runtime::core::model::{Model, ModelAnswer, ModelError, ModelEvents, ModelRequest};
use agentcore_runtime::prelude::ToolCall;
use coach_companion::payload::{Sex, UserContext, WeightUnit};
use coach_companion::tools::goal::{Expected, expected};
use coach_companion::tools::trend::trend;
use coach_companion::tools::{Coached, all, intake};
use coach_companion::units::{Length, Mass};
use futures::future::BoxFuture;
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde_json::{Value, json};

const FIRST: Date = date(2026, 3, 2);

fn kg(kilograms: f64) -> Mass {
    Mass::from_kilograms(kilograms).expect("a mass")
}

/// One weighing a day.
fn daily(weights: &[f64]) -> Vec<(Date, Mass)> {
    (0_i32..).zip(weights).map(|(day, weight)| (FIRST + day.days(), kg(*weight))).collect()
}

fn coached(context: &Value) -> Coached {
    let context: UserContext = serde_json::from_value(context.clone()).expect("a context");
    Coached::of(&context, date(2026, 3, 29))
}

/// The tools ask no model.
struct NoModel;

impl Model for NoModel {
    fn converse<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        unreachable!("no tool asks")
    }

    fn converse_stream<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        unreachable!("no tool asks")
    }
}

/// What a tool answers.
fn ask(context: &Value, name: &str, arguments: &Value) -> Result<Value, String> {
    let tools = all(coached(context));
    let tool = tools.iter().find(|tool| tool.spec().name == name).expect("the tool is there");
    let call = ToolCall::alone(arguments.clone(), Arc::new(NoModel));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let output = runtime.block_on(tool.call(call)).map_err(|failure| failure.to_string())?;
    match output.content.into_iter().next() {
        Some(agentcore_runtime::core::message::ToolResultContent::Json(told)) => Ok(told),
        other => panic!("not JSON: {other:?}"),
    }
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-6
}

// === trend ===

/// By hand: 80, then 80 + 0.1 × (79 − 80) = 79.9, then 79.9 + 0.1 × (81 − 79.9) = 80.01.
#[test]
fn the_smoothed_weight_moves_by_a_tenth_a_day() {
    let told = trend(&daily(&[80.0, 79.0, 81.0])).expect("a trend");
    assert!(near(told.smoothed.kilograms(), 80.01), "{told:?}");
    assert!(near(told.rolling.kilograms(), 80.0), "{told:?}");
    assert_eq!(told.rate, None, "three days say nothing of a rate");
}

/// By hand: a gap of two days moves it by 1 − 0.9² = 0.19 of the distance.
#[test]
fn a_gap_lets_it_move_further() {
    let log = [(FIRST, kg(80.0)), (FIRST + 2.days(), kg(79.0))];
    assert!(near(trend(&log).expect("a trend").smoothed.kilograms(), 79.81));
}

#[test]
fn several_weighings_of_a_day_are_one_and_a_slip_of_the_finger_is_none() {
    let mut log = daily(&[80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0]);
    log.push((FIRST, kg(82.0)));
    log.push((FIRST, kg(79.0)));
    log.push((FIRST + 8.days(), kg(180.0)));
    let told = trend(&log).expect("a trend");
    assert!(near(told.smoothed.kilograms(), 80.0), "{told:?}");
    assert_eq!(told.newest, FIRST + 7.days());
}

/// Points on a line have an interval of no width.
#[test]
fn a_straight_line_is_told_exactly() {
    let weights: Vec<f64> = (0..28).map(|day| 90.0 - 0.1 * f64::from(day)).collect();
    let rate = trend(&daily(&weights)).expect("a trend").rate.expect("a rate");
    assert!(near(rate.kilograms_a_week, -0.7) && near(rate.lowest, -0.7) && near(rate.highest, -0.7), "{rate:?}");
}

/// By hand for x = 0, 3, 6, 9 and y = 80.0, 79.8, 79.9, 79.5: mean 4.5 and 79.8, Sxx = 45, Sxy = −2.1, so the slope is
/// −0.0466667 a day; the rest's squares sum to 0.042, the error is √(0.042 ÷ 2 ÷ 45) = 0.0216025, t for 2 is 4.303.
#[test]
fn the_interval_is_students() {
    let points = [(0, 80.0), (3, 79.8), (6, 79.9), (9, 79.5)];
    let log: Vec<(Date, Mass)> = points.map(|(day, weight)| (FIRST + day.days(), kg(weight))).to_vec();
    let rate = trend(&log).expect("a trend").rate.expect("a rate");
    assert!((rate.kilograms_a_week + 0.326_667).abs() < 1e-5, "{rate:?}");
    assert!((rate.lowest + 0.326_667 + 7.0 * 4.303 * 0.021_602_5).abs() < 1e-4, "{rate:?}");
    assert!((rate.highest + 0.326_667 - 7.0 * 4.303 * 0.021_602_5).abs() < 1e-4, "{rate:?}");
}

#[test]
fn no_log_is_told_as_such() {
    let error = ask(&json!({}), "weight_trend", &json!({})).expect_err("nothing to tell");
    insta::assert_snapshot!(error, @"The app has sent no weighings. Ask the user to log a few first.");
}

#[test]
fn a_trend_is_told_in_the_users_unit() {
    let log: Vec<Value> = (0..28)
        .map(|day| json!({ "date": (FIRST + i64::from(day).days()).to_string(), "kg": 90.0 - 0.1 * f64::from(day) }))
        .collect();
    let told = ask(&json!({ "units": "st", "weight_log": log }), "weight_trend", &json!({})).expect("a trend");
    insta::assert_snapshot!(serde_json::to_string_pretty(&told).expect("JSON"), @r#"
    {
      "newest_weighing": "2026-03-29",
      "mean_of_7_days": "13 st 11.1 lb",
      "smoothed": "13 st 12.3 lb",
      "change_a_week": {
        "unit": "lb",
        "likeliest": -1.54,
        "from": -1.54,
        "to": -1.54,
        "days_with_a_weighing": 28
      },
      "say": "Tell the change with its range, never the single number alone."
    }
    "#);
}

// === goals ===

/// 18.5 × 1.70² = 53.465; WHO's tables give 53.5 kg as the lowest healthy weight at 170 cm.
#[test]
fn the_lowest_healthy_weight_is_the_tables() {
    let context = json!({ "height_cm": 170 });
    let asked = |kilograms: f64| json!({ "target": { "value": kilograms, "unit": "kg" }, "weight": { "value": 80, "unit": "kg" }, "weeks": 40 });
    let told = ask(&context, "check_goal", &asked(53.0)).expect("a check");
    assert_eq!((&told["is_healthy"], &told["lowest_healthy_weight"]), (&json!(false), &json!("53.5 kg")));
    assert_eq!(ask(&context, "check_goal", &asked(60.0)).expect("a check")["is_healthy"], true);
}

#[test]
fn a_pace_is_healthy_up_to_a_hundredth_of_the_body_a_week() {
    let check = |weeks: u32| {
        let asked =
            json!({ "target": { "value": 72, "unit": "kg" }, "weight": { "value": 80, "unit": "kg" }, "weeks": weeks });
        ask(&json!({ "height_cm": 175 }), "check_goal", &asked).expect("a check")
    };
    assert_eq!((&check(10)["is_healthy"], &check(9)["is_healthy"]), (&json!(true), &json!(false)));
    assert_eq!(check(9)["fewest_weeks"], 10.0);
}

#[test]
fn impossible_arguments_are_told_to_the_model() {
    let weight = json!({ "target": { "value": 700, "unit": "kg" } });
    let weeks = json!({ "target": { "value": 70, "unit": "kg" }, "weeks": 0 });
    let height = json!({ "target": { "value": 70, "unit": "kg" }, "height_cm": 17 });
    let told: Vec<String> = [weight, weeks, height]
        .iter()
        .map(|asked| ask(&json!({}), "check_goal", asked).expect_err("it is impossible"))
        .collect();
    insta::assert_debug_snapshot!(told, @r#"
    [
        "A person's weight is from 20 to 400 kg (44 to 882 lb, 3 to 63 st).",
        "`weeks` must be more than 0.",
        "`height_cm` must be from 90 to 250, or `height_feet` and `height_inches` as much.",
    ]
    "#);
}

#[test]
fn a_date_is_a_range_and_never_for_an_unhealthy_weight() {
    let weights: Vec<f64> =
        (0..28).map(|day| 90.0 - 0.1 * f64::from(day) + if day % 2 == 0 { 0.3 } else { -0.3 }).collect();
    let told = trend(&daily(&weights)).expect("a trend");
    let Expected::Between { earliest, latest: Some(latest) } = expected(&told, kg(80.0), FIRST + 27.days()) else {
        panic!("the weight moves towards it");
    };
    assert!(earliest > FIRST + 27.days() && earliest < latest);
    assert_eq!(expected(&told, kg(95.0), FIRST), Expected::NotAtThisRate);
    assert_eq!(expected(&told, told.level, FIRST), Expected::Reached);

    let context = json!({ "height_cm": 180, "weight_log": [{ "date": "2026-03-28", "kg": 70 }] });
    let refused =
        ask(&context, "expected_date", &json!({ "target": { "value": 8, "unit": "st" } })).expect("an answer");
    assert!(refused["say"].as_str().is_some_and(|say| say.contains("below the healthy range")), "{refused}");
}

/// By hand: from 90.0 kg on 2 March a tenth of a kilogram goes every day, so it is 87.3 kg on the 29th; the 2.3 kg to 85
/// take 23 days more, which is 21 April. The smoothed weight lags nine days behind and must not say otherwise.
#[test]
fn a_date_is_where_the_line_meets_the_weight() {
    let weights: Vec<f64> = (0..28).map(|day| 90.0 - 0.1 * f64::from(day)).collect();
    let told = trend(&daily(&weights)).expect("a trend");
    assert!(near(told.level.kilograms(), 87.3) && told.smoothed > told.level, "{told:?}");
    let day = date(2026, 4, 21);
    let newest = FIRST + 27.days();
    assert_eq!(expected(&told, kg(85.0), newest), Expected::Between { earliest: day, latest: Some(day) });
    // Some days without a weighing move no date that lies ahead.
    assert_eq!(expected(&told, kg(85.0), newest + 10.days()), Expected::Between { earliest: day, latest: Some(day) });
}

#[test]
fn an_old_log_gives_no_date_and_says_why() {
    let log: Vec<Value> = (0..28)
        .map(|day| json!({ "date": (date(2025, 2, 1) + i64::from(day).days()).to_string(), "kg": 90.0 - 0.1 * f64::from(day) }))
        .collect();
    let context = json!({ "height_cm": 175, "weight_log": log });
    let told = ask(&context, "expected_date", &json!({ "target": { "value": 80, "unit": "kg" } })).expect("an answer");
    assert_eq!(told["expected"], Value::Null);
    insta::assert_snapshot!(told["say"].as_str().expect("words"), @"The newest weighing is 394 days old: too old to tell. Say so, name no date, and ask for a new one.");
    let trend = ask(&context, "weight_trend", &json!({})).expect("an answer");
    assert!(trend["say"].as_str().is_some_and(|say| say.contains("too long ago")), "{trend}");
}

#[test]
fn without_a_height_no_weight_is_called_healthy() {
    let asked = |value: f64| json!({ "target": { "value": value, "unit": "kg" } });
    let small = ask(&json!({}), "check_goal", &asked(35.0)).expect("a check");
    assert_eq!(small["is_healthy"], false);
    assert!(small["say"].as_str().is_some_and(|say| say.contains("below the healthy range")), "{small}");
    let unknown = ask(&json!({}), "check_goal", &asked(60.0)).expect("a check");
    assert_eq!(unknown["is_healthy"], Value::Null);
    assert!(unknown["say"].as_str().is_some_and(|say| say.contains("ask for the height")), "{unknown}");

    let weights: Vec<Value> = (0..28)
        .map(|day| json!({ "date": (FIRST + i64::from(day).days()).to_string(), "kg": 50.0 - 0.1 * f64::from(day) }))
        .collect();
    let date = ask(&json!({ "weight_log": weights }), "expected_date", &asked(35.0)).expect("an answer");
    assert!(
        date["earliest"].is_null() && date["say"].as_str().is_some_and(|say| say.contains("Do not plan")),
        "{date}"
    );
}

#[test]
fn the_lowest_healthy_weight_that_is_told_is_healthy() {
    for (height, unit) in [(168.0, "kg"), (168.0, "st"), (161.3, "lb"), (170.0, "kg")] {
        let context = json!({ "height_cm": height, "units": unit });
        let check = |value: &Value| ask(&context, "check_goal", &json!({ "target": value })).expect("a check");
        let lowest =
            check(&json!({ "value": 80, "unit": "kg" }))["lowest_healthy_weight"].as_str().expect("one").to_owned();
        let said: Vec<f64> = lowest.split(' ').filter_map(|word| word.parse().ok()).collect();
        let target = json!({ "value": said[0], "unit": unit, "pounds": said.get(1) });
        assert_eq!(check(&target)["is_healthy"], true, "{lowest} at {height} cm");
        let below = json!({ "value": said[0] - 0.1, "unit": unit, "pounds": said.get(1) });
        let below = check(&below);
        assert!(below["is_healthy"] == false && below["body_mass_index_at_target"] != "18.5", "{below}");
    }
}

#[test]
fn a_hundredth_of_a_light_body_is_too_fast_too() {
    let falling = |from: f64| {
        let log: Vec<Value> = (0..28)
            .map(|day| json!({ "date": (FIRST + i64::from(day).days()).to_string(), "kg": from - 0.13 * f64::from(day) }))
            .collect();
        ask(&json!({ "weight_log": log }), "weight_trend", &json!({})).expect("a trend")["say"].to_string()
    };
    assert!(falling(55.5).contains("faster than is healthy"));
    assert!(falling(110.0).contains("with its range"));
}

#[test]
fn weighings_that_contradict_each_other_are_told_as_that() {
    let log = json!([{ "date": "2026-03-27", "kg": 80 }, { "date": "2026-03-28", "kg": 180 }]);
    let error = ask(&json!({ "weight_log": log }), "weight_trend", &json!({})).expect_err("which is right?");
    insta::assert_snapshot!(error, @"The weighings contradict each other: they go from 80 kg to 180 kg within weeks. Ask the user which of them is right.");
}

#[test]
fn a_unit_asked_for_in_words_reaches_the_tools_and_the_apps_counts_first() {
    let told = |context: &Value| {
        let coached = coached(context);
        coached.asked_for.set(Some(WeightUnit::St));
        let tools = all(coached);
        let tool = tools.iter().find(|tool| tool.spec().name == "weight_trend").expect("the tool is there");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let call = ToolCall::alone(json!({}), Arc::new(NoModel));
        let output = runtime.block_on(tool.call(call)).expect("a trend");
        format!("{output:?}")
    };
    let log = json!([{ "date": "2026-03-28", "kg": 80 }]);
    assert!(told(&json!({ "weight_log": log })).contains("12 st 8.4 lb"));
    assert!(told(&json!({ "weight_log": log, "units": "kg" })).contains("80 kg"));
}

// === intake, conversion, review ===

/// EFSA 2012: 0.83 g/kg, 58 g for 70 kg. Leidy 2015: 1.2 to 1.6 g/kg, 84 to 112 g for 70 kg.
#[test]
fn protein_is_what_the_sources_say() {
    let at_rest = intake::protein(kg(70.0), false);
    assert_eq!((&at_rest["grams_a_day_from"], &at_rest["grams_a_day_to"]), (&json!(58.0), &json!(58.0)));
    let losing = intake::protein(kg(70.0), true);
    assert_eq!((&losing["grams_a_day_from"], &losing["grams_a_day_to"]), (&json!(84.0), &json!(112.0)));
    assert!(losing["source"].as_str().is_some_and(|source| source.contains("Leidy")));
}

/// EFSA 2010: 2.0 l for women, 2.5 l for men.
#[test]
fn water_is_what_the_source_says() {
    assert_eq!(intake::hydration(Some(Sex::Female))["water"][0]["litres_a_day"], 2.0);
    assert_eq!(intake::hydration(Some(Sex::Male))["water"][0]["litres_a_day"], 2.5);
    assert_eq!(intake::hydration(None)["water"].as_array().map(Vec::len), Some(2));
}

/// NIST: 180 lb = 81.6466 kg = 12 st 12 lb; 5 ft 7 in = 170.18 cm.
#[test]
fn units_are_converted_as_nist_defines_them() {
    let told =
        ask(&json!({}), "convert_units", &json!({ "weight": { "value": 180, "unit": "lb" }, "centimetres": 170.18 }));
    assert_eq!(
        told.expect("a conversion"),
        json!({ "kg": "81.6 kg", "lb": "180 lb", "st": "12 st 12 lb", "cm": "170.2 cm", "ft": "5 ft 7 in" })
    );
}

#[test]
fn feet_and_inches_need_no_sum_of_the_models() {
    let told = ask(&json!({}), "convert_units", &json!({ "feet": 5, "inches": 7 })).expect("a conversion");
    assert_eq!(told, json!({ "cm": "170.2 cm", "ft": "5 ft 7 in" }));
    let told =
        ask(&json!({}), "convert_units", &json!({ "weight": { "value": 2, "unit": "lb" } })).expect("a conversion");
    assert_eq!(told["kg"], "0.9 kg", "a loss is a weight as well");
    let asked = json!({ "target": { "value": 8, "unit": "st" }, "height_feet": 5, "height_inches": 7 });
    assert_eq!(ask(&json!({}), "check_goal", &asked).expect("a check")["body_mass_index_at_target"], "17.5");
}

#[test]
fn a_week_is_summed_up() {
    let context = json!({
        "weight_log": [{ "date": "2026-03-28", "kg": 80 }, { "date": "2026-03-20", "kg": 81 }],
        "logs": [
            { "date": "2026-03-28", "kind": "steps", "amount": 8000 },
            { "date": "2026-03-27", "kind": "steps", "amount": 4000 },
            { "date": "2026-03-27", "kind": "lapse", "note": "crisps" },
            { "date": "2026-03-10", "kind": "steps", "amount": 99_999 },
        ],
    });
    let told = ask(&context, "week_review", &json!({})).expect("a review");
    insta::assert_snapshot!(serde_json::to_string_pretty(&told).expect("JSON"), @r#"
    {
      "days_with_an_entry": 2,
      "weighings": 1,
      "diary": {
        "steps": {
          "entries": 2,
          "sum": 12000.0
        },
        "lapse": {
          "entries": 1,
          "sum": 0.0
        }
      },
      "say": "Begin with what was kept up. A lapse that was logged is honest work: praise the logging."
    }
    "#);
}

#[test]
fn what_the_model_is_told_of_the_tools() {
    let specs: Vec<String> = all(coached(&json!({})))
        .iter()
        .map(|tool| tool.spec())
        .map(|spec| format!("{}: {}", spec.name, spec.description))
        .collect();
    insta::assert_snapshot!(specs.join("\n"), @"
    weight_trend: Says where the user's weight is going: the mean of seven days, the smoothed weight, the change a week with its
    uncertainty. Takes the log that the app has sent.
    expected_date: Says when the user may reach a weight at the present rate, as a range of dates.
    check_goal: Checks whether a weight to reach, and the time for it, are within what is healthy: body mass index and rate.
    protein_range: Says how much protein a day fits the user's weight.
    hydration_range: Says how much water a day fits the user.
    convert_units: Converts a weight or a length from one unit to others.
    week_review: Sums up the user's last seven days: weighings, meals, steps, exercise, water, protein, moods and honest lapses.
    ");
}

proptest! {
    #[test]
    fn units_lead_back_to_where_they_came_from(kilograms in 0.0_f64..500.0, centimetres in 0.0_f64..300.0) {
        let mass = kg(kilograms);
        prop_assert!(near(Mass::from_pounds(mass.pounds()).expect("a mass").kilograms(), kilograms));
        let stones = (mass.pounds() / 14.0).floor();
        let same = Mass::from_stones(stones, mass.pounds() - stones * 14.0).expect("a mass");
        prop_assert!(near(same.kilograms(), kilograms));
        let length = Length::from_centimetres(centimetres).expect("a length");
        prop_assert!(near(Length::from_feet(0.0, length.inches()).expect("a length").centimetres(), centimetres));
    }

    #[test]
    fn no_unit_holds_what_is_no_number(number in prop::num::f64::ANY) {
        let held = Mass::from_kilograms(number).map(Mass::kilograms);
        prop_assert!(held.is_none_or(|kilograms| kilograms.is_finite() && kilograms >= 0.0));
        for unit in [WeightUnit::Kg, WeightUnit::Lb, WeightUnit::St] {
            if let Some(mass) = Mass::from_kilograms(number) {
                let told = mass.in_words(unit);
                prop_assert!(!told.contains("NaN") && !told.contains("14 lb") || unit != WeightUnit::St, "{}", told);
            }
        }
    }

    /// A heavier person with the same changes has the same rate.
    #[test]
    fn a_rate_does_not_depend_on_the_weight(changes in prop::collection::vec(-0.5_f64..0.5, 10..40), shift in 1.0_f64..60.0) {
        let log = |from: f64| -> Vec<f64> { changes.iter().map(|change| from + change).collect() };
        let rate = |from: f64| trend(&daily(&log(from))).and_then(|trend| trend.rate).expect("a rate");
        let (one, other) = (rate(80.0), rate(80.0 + shift));
        prop_assert!((one.kilograms_a_week - other.kilograms_a_week).abs() < 1e-6);
        prop_assert!(one.lowest <= one.kilograms_a_week && one.kilograms_a_week <= one.highest);
    }

    /// The order in which weighings are sent does not matter.
    #[test]
    fn a_log_may_come_in_any_order(weights in prop::collection::vec(60.0_f64..66.0, 1..30)) {
        let log = daily(&weights);
        let mut turned = log.clone();
        turned.reverse();
        prop_assert_eq!(trend(&log), trend(&turned));
    }

    /// A target further away is never expected sooner.
    #[test]
    fn further_takes_longer(loss in 0.05_f64..0.15, nearer in 1.0_f64..5.0, further in 5.5_f64..9.0) {
        let weights: Vec<f64> = (0..28).map(|day| 90.0 - loss * f64::from(day)).collect();
        let told = trend(&daily(&weights)).expect("a trend");
        let date = |left: f64| match expected(&told, kg(told.level.kilograms() - left), FIRST) {
            Expected::Between { earliest, .. } => earliest,
            other => panic!("{other:?}"),
        };
        prop_assert!(date(nearer) < date(further));
    }
}
