//! How much protein and water: the ranges of `data/ranges.toml`, with their sources.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::payload::Sex;
use crate::units::Mass;

static RANGES: LazyLock<Ranges> = LazyLock::new(|| {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/ranges.json"))).expect("the tests read it")
});

#[derive(Deserialize)]
struct Ranges {
    /// For everybody, and while losing weight.
    protein: [Protein; 2],
    water: [Water; 2],
}

#[derive(Deserialize)]
struct Protein {
    about: String,
    grams_per_kilogram: [f64; 2],
    source: String,
}

#[derive(Deserialize)]
struct Water {
    about: String,
    sex: Sex,
    litres_a_day: f64,
    source: String,
}

/// The protein of a day for a weight, to the gram.
pub fn protein(weight: Mass, losing_weight: bool) -> Value {
    let Protein { about, grams_per_kilogram, source } = &RANGES.protein[usize::from(losing_weight)];
    let [from, to] = grams_per_kilogram.map(|grams| (grams * weight.kilograms()).round());
    json!({
        "grams_a_day_from": from,
        "grams_a_day_to": to,
        "for": about,
        "source": source,
        "say": "With kidney disease, or where a clinician has set another amount, theirs counts.",
    })
}

/// The water of a day; both amounts where the sex is not known.
pub fn hydration(sex: Option<Sex>) -> Value {
    let fits = |water: &&Water| sex.is_none_or(|sex| water.sex == sex);
    let told: Vec<Value> = RANGES
        .water
        .iter()
        .filter(fits)
        .map(|Water { about, litres_a_day, source, .. }| {
            json!({ "litres_a_day": litres_a_day, "for": about, "source": source })
        })
        .collect();
    json!({
        "water": told,
        "say": "About a fifth of it comes with food. More in heat and with exercise; with heart or kidney disease a \
                clinician's amount counts.",
    })
}
