//! The bounds a schema sets that its Rust type knows nothing of.
//!
//! A type checks the shape of what it is read from; a range, a length or a pattern stands in its schema only, where
//! the model is told of it and may not keep to it. What is checked is what schemars writes of such bounds: `minimum`,
//! `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `minLength`, `maxLength`, `pattern`, `minItems`, `maxItems`. A
//! validator of all of JSON schema would be larger than the rest of this crate's own code.
//!
//! Shapes are looked at only to tell which branch of a choice is meant. The type has the last word on those: it may take
//! more than its schema says, such as an alias of a member.

use regex_lite::Regex;
use serde_json::Value;

/// A bound that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    /// Where, as a path such as `meals[1].grams`; empty at the root.
    pub(super) place: String,
    /// What is wrong there.
    pub(super) reason: String,
}

/// The first bound of `schema` that `value` breaks.
pub(super) fn broken(schema: &Value, value: &Value) -> Option<Broken> {
    let mut looking = Looking { root: schema, broken: None, fits: true, depth: 0 };
    looking.look(schema, value, "");
    looking.broken
}

/// How deep schemas are followed: one that refers to itself ends somewhere.
const DEEPEST: usize = 64;

struct Looking<'a> {
    root: &'a Value,
    broken: Option<Broken>,
    /// Whether the shape is the schema's.
    fits: bool,
    depth: usize,
}

// === impl Looking ===

impl<'a> Looking<'a> {
    fn look(&mut self, schema: &'a Value, value: &Value, place: &str) {
        if self.depth == DEEPEST {
            return;
        }
        self.depth += 1;
        if let Some(target) = self.target(schema) {
            self.look(target, value, place);
        }
        self.fits &= is_of_type(schema, value) && is_listed(schema, value);
        let reason = match value {
            Value::Number(number) => number_out_of_bounds(schema, number),
            Value::String(text) => text_out_of_bounds(schema, text),
            Value::Array(items) => list_out_of_bounds(schema, items),
            _ => None,
        };
        if let Some(reason) = reason {
            self.broken.get_or_insert(Broken { place: place.to_owned(), reason });
        }
        self.look_inside(schema, value, place);
        self.look_at_choices(schema, value, place);
        self.depth -= 1;
    }

    /// What a schema refers to in its own document.
    fn target(&self, schema: &'a Value) -> Option<&'a Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }

    fn look_inside(&mut self, schema: &'a Value, value: &Value, place: &str) {
        match value {
            Value::Array(items) => {
                let first = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                for (index, item) in items.iter().enumerate() {
                    if let Some(of_item) = first.get(index).or_else(|| schema.get("items")) {
                        self.look(of_item, item, &format!("{place}[{index}]"));
                    }
                }
            }
            Value::Object(members) => {
                let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
                self.fits &= required.filter_map(Value::as_str).all(|name| members.contains_key(name));
                for (name, member) in members {
                    let known = schema.get("properties").and_then(|properties| properties.get(name));
                    if let Some(of_member) = known.or_else(|| schema.get("additionalProperties")) {
                        let dot = if place.is_empty() { "" } else { "." };
                        self.look(of_member, member, &format!("{place}{dot}{name}"));
                    }
                }
            }
            _ => {}
        }
    }

    fn look_at_choices(&mut self, schema: &'a Value, value: &Value, place: &str) {
        for branch in branches(schema, "allOf") {
            self.look(branch, value, place);
        }
        for choice in ["anyOf", "oneOf"] {
            let mut of_a_fitting_one = None;
            let mut any_fits = schema.get(choice).is_none();
            for branch in branches(schema, choice) {
                let mut inside = Looking { root: self.root, broken: None, fits: true, depth: self.depth };
                inside.look(branch, value, place);
                match inside.broken {
                    None if inside.fits => (any_fits, of_a_fitting_one) = (true, Some(None)),
                    Some(broken) if inside.fits => {
                        any_fits = true;
                        of_a_fitting_one.get_or_insert(Some(broken));
                    }
                    _ => {}
                }
            }
            self.fits &= any_fits;
            if let Some(Some(broken)) = of_a_fitting_one {
                self.broken.get_or_insert(broken);
            }
        }
    }
}

fn branches<'a>(schema: &'a Value, choice: &str) -> &'a [Value] {
    schema.get(choice).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_of_type(schema: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        Some("number") => value.is_number(),
        _ => true,
    };
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(is),
        Some(one) => is(one),
        None => schema != &Value::Bool(false),
    }
}

fn is_listed(schema: &Value, value: &Value) -> bool {
    let is_one_of = schema.get("enum").and_then(Value::as_array).is_none_or(|listed| listed.contains(value));
    is_one_of && schema.get("const").is_none_or(|only| only == value)
}

fn number_out_of_bounds(schema: &Value, number: &serde_json::Number) -> Option<String> {
    let number = number.as_f64()?;
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let told = |keyword: &str, how: &str| Some(format!("{number} is not {how} {}", schema.get(keyword)?));
    if bound("minimum").is_some_and(|least| number < least) {
        told("minimum", "at least")
    } else if bound("maximum").is_some_and(|most| number > most) {
        told("maximum", "at most")
    } else if bound("exclusiveMinimum").is_some_and(|below| number <= below) {
        told("exclusiveMinimum", "greater than")
    } else if bound("exclusiveMaximum").is_some_and(|above| number >= above) {
        told("exclusiveMaximum", "less than")
    } else {
        None
    }
}

fn text_out_of_bounds(schema: &Value, text: &str) -> Option<String> {
    let bounds = (schema.get("minLength"), schema.get("maxLength"));
    // Counting takes time, and most texts are bounded by nothing.
    let is_bounded = bounds.0.or(bounds.1).is_some();
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let too_short_or_long = is_bounded.then(|| length_out_of_bounds(bounds, text.chars().count())).flatten();
    too_short_or_long.or_else(|| {
        // A pattern in another dialect is left to the type.
        let pattern = pattern?;
        let differs = Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text));
        differs.then(|| format!("it does not match the pattern {pattern}"))
    })
}

fn list_out_of_bounds(schema: &Value, items: &[Value]) -> Option<String> {
    length_out_of_bounds((schema.get("minItems"), schema.get("maxItems")), items.len())
}

fn length_out_of_bounds((least, most): (Option<&Value>, Option<&Value>), length: usize) -> Option<String> {
    let length = length as u64;
    let below = least.and_then(Value::as_u64).filter(|least| length < *least);
    let above = most.and_then(Value::as_u64).filter(|most| length > *most);
    let below = below.map(|least| format!("its length of {length} is not at least {least}"));
    below.or_else(|| above.map(|most| format!("its length of {length} is not at most {most}")))
}
