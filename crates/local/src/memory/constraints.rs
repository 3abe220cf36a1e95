//! The bounds and patterns of the model. The SDKs check only lengths before they send, so what a
//! production call would be refused for has to be refused here.

use serde::de::DeserializeOwned;

use super::shapes::{
    Branch, Content, CreateEvent, EventFilter, ExtractionConfig, LeftExpression, Metadata, MetadataValue, Operator,
    PayloadItem, RightExpression,
};
use crate::aws_error::{AwsError, InvalidField};

/// The bounds of `maxResults`, and what it is when absent.
const MOST_RESULTS: i64 = 100;
const DEFAULT_RESULTS: usize = 20;

const IDENTIFIER: &str = "[a-zA-Z0-9][a-zA-Z0-9-_]*";
const METADATA_TEXT: &str = "[a-zA-Z0-9\\s._:/=+@-]*";

/// What a request breaks, found all at once.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<InvalidField>);

/// Reads a body, where an empty one stands for no members.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AwsError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // A list would be read as the members in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(AwsError::cannot_parse("The body is not a JSON object."));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().iter().map(ToString::to_string).collect::<Vec<_>>();
        let inner = error.into_inner();
        if inner.is_data() {
            AwsError::invalid_fields(vec![unreadable(path, &inner)])
        } else {
            AwsError::cannot_parse(format!("The body is not JSON: {inner}."))
        }
    })?;
    reader.end().map_err(|error| AwsError::cannot_parse(format!("The body is not JSON: {error}.")))?;
    Ok(read)
}

/// The member at `path` that isn't what it has to be, in the service's notation: `payload.0.json`.
fn unreadable(mut path: Vec<String>, error: &serde_json::Error) -> InvalidField {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let mut message = error.to_string().replace(&place, "");
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(member) = missing {
        path.push(member.to_owned());
        "Member must not be null".clone_into(&mut message);
    }
    let name = path.iter().map(|segment| segment.trim_matches(['[', ']'])).collect::<Vec<_>>().join(".");
    let name = if name.is_empty() { "body".to_owned() } else { name };
    InvalidField { name, message }
}

// === impl Violations ===

impl Violations {
    /// The refusal, if anything was broken.
    pub(super) fn check(self) -> Result<(), AwsError> {
        if self.0.is_empty() { Ok(()) } else { Err(AwsError::invalid_fields(self.0)) }
    }

    pub(super) fn add(&mut self, name: impl Into<String>, message: impl Into<String>) {
        self.0.push(InvalidField { name: name.into(), message: message.into() });
    }

    pub(super) fn actor_id(&mut self, id: &str) {
        self.length("actorId", id, 1, 255);
        let pattern = "[a-zA-Z0-9][a-zA-Z0-9-_/]*(?::[a-zA-Z0-9-_/]+)*[a-zA-Z0-9-_/]*";
        let in_segments = id.split(':').all(|segment| !segment.is_empty() && segment.chars().all(is_actor_character));
        self.pattern("actorId", pattern, in_segments && id.starts_with(|c: char| c.is_ascii_alphanumeric()));
    }

    pub(super) fn session_id(&mut self, id: &str) {
        self.identifier("sessionId", id);
    }

    pub(super) fn event_id(&mut self, name: &str, id: &str) {
        let fits = id.split_once('#').is_some_and(|(time, random)| {
            let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
            digits && !random.is_empty() && random.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        self.pattern(name, "[0-9]+#[a-fA-F0-9]+", fits);
    }

    /// How many results a page has.
    pub(super) fn page_size(&mut self, asked: Option<i64>) -> usize {
        match asked {
            None => DEFAULT_RESULTS,
            Some(results) if results < 1 => {
                self.add("maxResults", "Member must have value greater than or equal to 1");
                DEFAULT_RESULTS
            }
            Some(results) if results > MOST_RESULTS => {
                self.add("maxResults", "Member must have value less than or equal to 100");
                DEFAULT_RESULTS
            }
            Some(results) => usize::try_from(results).unwrap_or(DEFAULT_RESULTS),
        }
    }

    pub(super) fn event(&mut self, event: &CreateEvent) {
        self.actor_id(&event.actor_id);
        if let Some(id) = &event.session_id {
            self.session_id(id);
        }
        if event.milliseconds().is_none() {
            self.add("eventTimestamp", "Member must be Unix seconds between the years 1970 and 9999");
        }
        if event.payload.len() > 100 {
            self.add("payload", "Member must have length less than or equal to 100");
        }
        for (index, item) in event.payload.iter().enumerate() {
            if let PayloadItem::Conversational(item) = item {
                let Content::Text(text) = &item.content;
                self.length(&format!("payload.{index}.conversational.content.text"), text, 1, 100_000);
            }
        }
        event.branch.iter().for_each(|branch| self.branch(branch));
        event.metadata.iter().for_each(|metadata| self.metadata(metadata));
        event.extraction_config.iter().for_each(|config| self.extraction(config));
    }

    pub(super) fn filter(&mut self, filter: &EventFilter) {
        if let Some(branch) = &filter.branch {
            self.identifier("filter.branch.name", &branch.name);
        }
        let Some(expressions) = &filter.event_metadata else { return };
        if !(1..=5).contains(&expressions.len()) {
            self.add("filter.eventMetadata", "Member must have length between 1 and 5");
        }
        for (index, expression) in expressions.iter().enumerate() {
            let name = format!("filter.eventMetadata.{index}");
            let LeftExpression::MetadataKey(key) = &expression.left;
            self.metadata_key(&format!("{name}.left.metadataKey"), key);
            match (&expression.right, expression.operator) {
                (Some(RightExpression::MetadataValue(value)), _) => {
                    self.metadata_value(&format!("{name}.right.metadataValue.stringValue"), value);
                }
                (None, Operator::EqualsTo) => {
                    self.add(format!("{name}.right"), "EQUALS_TO needs a value to compare with");
                }
                (None, _) => {}
            }
        }
    }

    fn branch(&mut self, branch: &Branch) {
        self.identifier("branch.name", &branch.name);
        if let Some(root) = &branch.root_event_id {
            self.event_id("branch.rootEventId", root);
        }
    }

    fn metadata(&mut self, metadata: &Metadata) {
        if metadata.len() > 15 {
            self.add("metadata", "Map must have at most 15 entries");
        }
        for (key, value) in metadata {
            self.metadata_key("metadata", key);
            self.metadata_value(&format!("metadata.{key}"), value);
        }
    }

    fn metadata_key(&mut self, name: &str, key: &str) {
        self.length(name, key, 1, 128);
        self.pattern(name, METADATA_TEXT, key.chars().all(is_metadata_character));
    }

    fn metadata_value(&mut self, name: &str, value: &MetadataValue) {
        let MetadataValue::StringValue(text) = value;
        self.length(name, text, 0, 256);
        self.pattern(name, METADATA_TEXT, text.chars().all(is_metadata_character));
    }

    fn extraction(&mut self, config: &ExtractionConfig) {
        let Some(variables) = &config.namespace_variables else { return };
        if !(1..=5).contains(&variables.len()) {
            self.add("extractionConfig.namespaceVariables", "Map must have between 1 and 5 entries");
        }
        for (name, value) in variables {
            let member = format!("extractionConfig.namespaceVariables.{name}");
            let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            let named = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_lower);
            self.length(&member, name, 1, 32);
            self.pattern(&member, "[a-z][a-z0-9]*", named);
            let valued = value.starts_with(is_lower) && value.chars().all(|c| is_lower(c) || c == '-' || c == '_');
            self.length(&member, value, 1, 64);
            self.pattern(&member, "[a-z0-9][a-z0-9-_]*", valued);
        }
    }

    fn identifier(&mut self, name: &str, text: &str) {
        self.length(name, text, 1, 100);
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        self.pattern(name, IDENTIFIER, begins && text.chars().all(is_identifier_character));
    }

    /// Lengths of the model count characters, not bytes.
    fn length(&mut self, name: &str, text: &str, shortest: usize, longest: usize) {
        let length = text.chars().count();
        if length < shortest {
            self.add(name, format!("Member must have length greater than or equal to {shortest}"));
        } else if length > longest {
            self.add(name, format!("Member must have length less than or equal to {longest}"));
        }
    }

    fn pattern(&mut self, name: &str, pattern: &str, fits: bool) {
        if !fits {
            self.add(name, format!("Member must satisfy regular expression pattern: {pattern}"));
        }
    }
}

/// The memory's id, without the ARN it may stand in: both name the same memory.
pub(super) fn memory_id(text: &str) -> Result<&str, AwsError> {
    let id = if text.starts_with("arn:") { id_of_arn(text) } else { Some(text) };
    id.filter(|id| is_memory_id(id)).ok_or_else(|| {
        let mut violations = Violations::default();
        violations.add(
            "memoryId",
            "Member must satisfy regular expression pattern: [a-zA-Z][a-zA-Z0-9-_]{0,99}-[a-zA-Z0-9]{10}, or be a \
             memory's ARN",
        );
        AwsError::invalid_fields(violations.0)
    })
}

fn id_of_arn(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", "aws" | "aws-cn" | "aws-us-gov", "bedrock-agentcore", region, account, resource] = parts[..] else {
        return None;
    };
    let is_region =
        !region.is_empty() && region.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (is_region && is_account).then(|| resource.strip_prefix("memory/")).flatten()
}

fn is_memory_id(id: &str) -> bool {
    let Some((name, suffix)) = id.rsplit_once('-') else { return false };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_identifier_character);
    is_name && name.len() <= 100 && suffix.len() == 10 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_identifier_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

fn is_actor_character(c: char) -> bool {
    is_identifier_character(c) || c == '/'
}

fn is_metadata_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c.is_whitespace() || "._:/=+@-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor_fits(id: &str) -> bool {
        let mut violations = Violations::default();
        violations.actor_id(id);
        violations.check().is_ok()
    }

    #[test]
    fn actor_ids_are_those_of_the_pattern() {
        for id in ["a", "user/1:a", "0-_/", "a:b:c/d"] {
            assert!(actor_fits(id), "{id}");
        }
        for id in ["", "-a", "/a", ":a", "a:", "a::b", "a b", "ä", &"a".repeat(256)] {
            assert!(!actor_fits(id), "{id}");
        }
    }

    #[test]
    fn an_arn_and_its_id_name_one_memory() {
        let arn = "arn:aws:bedrock-agentcore:eu-west-1:732231126129:memory/coach_memory-abcdefghij";
        assert_eq!(memory_id(arn).expect("a memory's ARN"), "coach_memory-abcdefghij");
        assert_eq!(memory_id("coach_memory-abcdefghij").expect("an id"), "coach_memory-abcdefghij");
        for id in ["", "coach", "coach-short", "9coach-abcdefghij", "arn:aws:s3:::memory/coach_memory-abcdefghij"] {
            assert!(memory_id(id).is_err(), "{id}");
        }
    }
}
