//! What is measured, a chapter each.

pub(crate) mod growth;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod pace;
pub(crate) mod size;
pub(crate) mod start;

use std::time::Duration;

/// A session's id of the least length that the service takes.
fn session(number: usize) -> String {
    format!("chapter-{number:0>40}")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The middle one, 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
