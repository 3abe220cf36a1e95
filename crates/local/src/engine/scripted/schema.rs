//! Values that fit a JSON schema, as far as one can tell without searching for them.
//!
//! Required members are given and others left out; a choice is its first; strings are the words of the
//! prompt, numbers the first in it or 1, kept within their bounds. Patterns and formats are not followed.

use serde_json::{Map, Number, Value, json};

/// Deeper than this, a schema that contains itself is given up on.
const DEEPEST: usize = 24;

/// The longest array made because a schema wants many items.
const MOST_ITEMS: u64 = 64;

/// A string where the prompt has no words.
const WORD: &str = "something";

/// A value that `schema` accepts, with words from `prompt`.
pub(super) fn fitting(schema: &Value, prompt: &str) -> Value {
    Fitter { root: schema, prompt: prompt.trim() }.value(schema, 0)
}

struct Fitter<'a> {
    /// Where references begin.
    root: &'a Value,
    prompt: &'a str,
}

// === impl Fitter ===

impl Fitter<'_> {
    fn value(&self, schema: &Value, depth: usize) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        if let Some(fixed) = schema.get("const").or_else(|| schema.pointer("/enum/0")) {
            return fixed.clone();
        }
        if let Some(named) = schema.get("$ref").and_then(Value::as_str) {
            let found = named.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return found.map_or(Value::Null, |found| self.value(found, depth + 1));
        }
        if let Some(choice) = first_choice(schema) {
            return merged(self.value(choice, depth + 1), schema, |rest| self.typed(rest, depth));
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            let whole = parts.iter().map(|part| self.value(part, depth + 1)).reduce(joined).unwrap_or_default();
            return merged(whole, schema, |rest| self.typed(rest, depth));
        }
        self.typed(schema, depth)
    }

    fn typed(&self, schema: &Value, depth: usize) -> Value {
        match type_of(schema) {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("number") => self.number(schema),
            Some("integer") => self.integer(schema),
            Some("boolean") => json!(true),
            Some("null") => Value::Null,
            _ => json!(self.string(schema)),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let members: Map<String, Value> = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|name| (name.to_owned(), self.value(&schema["properties"][name], depth + 1)))
            .collect();
        Value::Object(members)
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let tuple = schema.get("prefixItems").and_then(Value::as_array);
        if let Some(tuple) = tuple {
            return tuple.iter().map(|item| self.value(item, depth + 1)).collect();
        }
        let length = bound("minItems").unwrap_or(1).max(1).min(bound("maxItems").unwrap_or(u64::MAX)).min(MOST_ITEMS);
        (0..length).map(|_| self.value(&schema["items"], depth + 1)).collect()
    }

    fn number(&self, schema: &Value) -> Value {
        let number = self.within(schema, 0.5);
        Number::from_f64(number).map_or_else(|| json!(1), Value::Number)
    }

    #[expect(clippy::cast_possible_truncation, reason = "an integer is asked for")]
    fn integer(&self, schema: &Value) -> Value {
        json!(self.within(schema, 1.0).trunc() as i64)
    }

    /// The first number of the prompt, or 1, within the bounds; `step` away from those that are excluded.
    fn within(&self, schema: &Value, step: f64) -> f64 {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|least| least + step));
        let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|most| most - step));
        let number = first_number(self.prompt).unwrap_or(1.0);
        let number = least.map_or(number, |least| number.max(least));
        most.map_or(number, |most| number.min(most))
    }

    fn string(&self, schema: &Value) -> String {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
        let words = if self.prompt.is_empty() { WORD } else { self.prompt };
        let length = words.chars().count().max(bound("minLength").unwrap_or(0));
        words.chars().cycle().take(length.min(bound("maxLength").unwrap_or(usize::MAX))).collect()
    }
}

/// The first alternative that is more than nothing.
fn first_choice(schema: &Value) -> Option<&Value> {
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    choices.iter().find(|choice| type_of(choice) != Some("null")).or_else(|| choices.first())
}

/// The type a schema names, the first that is not `null` where it names several; what it must be where
/// it only tells its parts.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => Some(name),
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            names.clone().find(|name| *name != "null").or_else(|| names.next())
        }
        _ if schema.get("properties").is_some() => Some("object"),
        _ if schema.get("items").is_some() => Some("array"),
        _ => None,
    }
}

/// `value` with the members that `schema` itself requires beside its alternatives or parts.
fn merged(value: Value, schema: &Value, rest: impl Fn(&Value) -> Value) -> Value {
    if schema.get("properties").is_some() { joined(value, rest(schema)) } else { value }
}

fn joined(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut members), Value::Object(more)) => {
            members.extend(more);
            Value::Object(members)
        }
        (first, _) => first,
    }
}

fn first_number(text: &str) -> Option<f64> {
    text.split(|character: char| !character.is_ascii_digit() && character != '.')
        .map(|candidate| candidate.trim_matches('.'))
        .find_map(|candidate| candidate.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fitting;

    #[test]
    fn values_fit_what_the_schema_says_of_them() {
        let schema = json!({
            "type": "object",
            "required": ["name", "short", "long", "kilograms", "rounds", "low", "sure", "tone", "kind", "tags", "pair", "meal", "note", "both"],
            "properties": {
                "name": { "type": "string" },
                "short": { "type": "string", "maxLength": 3 },
                "long": { "type": "string", "minLength": 20 },
                "kilograms": { "type": "number" },
                "rounds": { "type": ["null", "integer"], "maximum": 10 },
                "low": { "type": "integer", "exclusiveMinimum": 90 },
                "sure": { "type": "boolean" },
                "tone": { "enum": ["gentle", "upbeat"] },
                "kind": { "const": "meal" },
                "tags": { "type": "array", "items": { "type": "boolean" }, "minItems": 2 },
                "pair": { "prefixItems": [{ "type": "boolean" }, { "const": 3 }], "type": "array" },
                "meal": { "$ref": "#/$defs/Meal" },
                "note": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/Meal" }] },
                "both": { "allOf": [{ "$ref": "#/$defs/Meal" }], "properties": { "x": { "const": 1 } }, "required": ["x"] },
                "left_out": { "type": "string" },
            },
            "$defs": { "Meal": { "type": "object", "properties": { "hot": { "type": "boolean" } }, "required": ["hot"] } },
        });
        insta::assert_snapshot!(fitting(&schema, "81.5 kg today"), @r#"{"name":"81.5 kg today","short":"81.","long":"81.5 kg today81.5 kg","kilograms":81.5,"rounds":10,"low":91,"sure":true,"tone":"gentle","kind":"meal","tags":[true,true],"pair":[true,3],"meal":{"hot":true},"note":{"hot":true},"both":{"hot":true,"x":1}}"#);
    }

    #[test]
    fn a_schema_within_itself_comes_to_an_end() {
        let schema = json!({ "type": "object", "properties": { "next": { "$ref": "#" } }, "required": ["next"] });
        assert!(fitting(&schema, "").to_string().ends_with('}'));
    }
}
