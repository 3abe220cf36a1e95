//! Tool calls that a prompt orders exactly, so that a test chooses what the model does.
//!
//! A prompt may hold any number of orders; each is one round of the turn, in the order they are written,
//! and the words around them are the prompt as if they were not there:
//!
//! ```text
//! [[tool weigh {"kilograms": "much"}]]        one call, with these arguments whatever the schema says
//! [[tool weigh]]                              the same with arguments that fit the schema
//! [[tool weigh {} *300]]                      three hundred rounds of it
//! [[tool weigh {"kilograms": 81}; tool log]]  two calls in one round
//! ```
//!
//! A name that no tool has is called all the same. After the last round the model answers with what it
//! found. A request without tools makes no calls; one that forces a tool gets the orders first and calls
//! that tool after them.

use serde_json::Value;

const BEGIN: &str = "[[tool ";
const END: &str = "]]";

/// The most rounds that one order is good for.
const MOST_ROUNDS: usize = 100_000;

/// One call, its arguments still to be found when none are given.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) name: String,
    pub(super) input: Option<Value>,
}

/// The calls of one round, and how often it comes.
#[derive(Debug, PartialEq)]
struct Round {
    orders: Vec<Order>,
    times: usize,
}

/// What `prompt` orders after `done` rounds.
pub(super) fn round(prompt: &str, done: usize) -> Option<Vec<Order>> {
    let mut left = done;
    for (_, round) in Rounds(prompt) {
        if left < round.times {
            return Some(round.orders);
        }
        left -= round.times;
    }
    None
}

/// The words of `prompt` that are no order.
pub(super) fn without_orders(prompt: &str) -> String {
    let mut rounds = Rounds(prompt);
    let mut words = String::new();
    for (before, _) in rounds.by_ref() {
        words.push_str(before);
    }
    words.push_str(rounds.0);
    words.trim().to_owned()
}

/// The orders of a text, each with the text before it; what is left of the text stays.
struct Rounds<'a>(&'a str);

impl<'a> Iterator for Rounds<'a> {
    type Item = (&'a str, Round);

    fn next(&mut self) -> Option<Self::Item> {
        let mut from = 0;
        loop {
            let begin = from + self.0.get(from..)?.find(BEGIN)?;
            if let Some((round, rest)) = read(&self.0[begin + "[[".len()..]) {
                let before = &self.0[..begin];
                self.0 = rest;
                return Some((before, round));
            }
            // Not an order after all: words that look like the beginning of one.
            from = begin + BEGIN.len();
        }
    }
}

/// Reads `tool NAME {JSON}; tool NAME *N]]` and what follows it.
fn read(text: &str) -> Option<(Round, &str)> {
    let (first, mut rest) = order(text)?;
    let mut orders = vec![first];
    while let Some(more) = rest.strip_prefix(';') {
        let (next, after) = order(more.trim_start())?;
        orders.push(next);
        rest = after;
    }
    let (times, rest) = match rest.strip_prefix('*') {
        Some(digits) => {
            let end = digits.find(END)?;
            (digits[..end].trim().parse().ok().filter(|times| *times <= MOST_ROUNDS)?, &digits[end..])
        }
        None => (1, rest),
    };
    Some((Round { orders, times }, rest.strip_prefix(END)?))
}

/// Reads `tool NAME {JSON}` and what follows it, white space skipped.
fn order(text: &str) -> Option<(Order, &str)> {
    let text = text.strip_prefix("tool ")?.trim_start();
    let end = text.find(|character: char| !(character.is_ascii_alphanumeric() || "_-".contains(character)))?;
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    if name.is_empty() {
        return None;
    }
    let name = name.to_owned();
    if rest.starts_with([';', '*']) || rest.starts_with(END) {
        return Some((Order { name, input: None }, rest));
    }
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let input = values.next()?.ok()?;
    let rest = rest.get(values.byte_offset()..)?.trim_start();
    Some((Order { name, input: Some(input) }, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{Order, round, without_orders};

    fn order(name: &str, input: serde_json::Value) -> Order {
        Order { name: name.to_owned(), input: Some(input) }
    }

    #[test]
    fn orders_are_rounds_in_the_order_they_are_written() {
        let prompt = r#"Go [[tool a {"x": [[1]]}]], [[tool b [] *2]] and [[tool c; tool d "]]"]] please"#;

        assert_eq!(round(prompt, 0), Some(vec![order("a", json!({ "x": [[1]] }))]));
        assert_eq!(round(prompt, 1), Some(vec![order("b", json!([]))]));
        assert_eq!(round(prompt, 2), round(prompt, 1));
        assert_eq!(round(prompt, 3), Some(vec![Order { name: "c".into(), input: None }, order("d", json!("]]"))]));
        assert_eq!(round(prompt, 4), None);
        assert_eq!(without_orders(prompt), "Go ,  and  please");
    }

    #[test]
    fn what_only_looks_like_an_order_is_words() {
        for prompt in ["[[tool ]]", "[[tool a {]]", "[[tool a {} *x]]", "[[tool a {}", "[[tools]]", "[[tool a {} b]]"] {
            assert_eq!((round(prompt, 0), without_orders(prompt)), (None, prompt.to_owned()));
        }
        assert_eq!(round("[[tool [[tool a]]", 0), Some(vec![Order { name: "a".into(), input: None }]));
    }

    proptest! {
        #[test]
        fn any_text_is_read(prompt in r#"(\[\[tool |[a-z{}":;*\] ]|\]\]|é){0,30}"#, done in 0..5_usize) {
            round(&prompt, done);
            prop_assert!(without_orders(&prompt).len() <= prompt.len());
        }
    }
}
