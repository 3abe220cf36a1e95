//! What callers send, and how it is refused when it makes no sense.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Why a payload that could be read makes no sense. Callers see this sentence, so it names members and
/// allowed values and never repeats what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A member that must be there is not.
    #[error("`{0}` is missing; send it as a string that is not blank")]
    Missing(&'static str),
    /// A member is there and says nothing.
    #[error("`{0}` is blank; send what the user wrote, or leave it out to let the agent open the conversation")]
    Blank(&'static str),
    /// A member is outside what it may be.
    #[error("`{member}` {problem}")]
    Invalid {
        /// Which, as a path from the payload's top.
        member: &'static str,
        /// What it must be, as the end of a sentence.
        problem: String,
    },
}

/// The payload of most agents: `prompt`, or `message` where `prompt` is absent.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Prompt {
    /// What the user wrote.
    pub prompt: Option<String>,
    /// The same, by another name.
    pub message: Option<String>,
    /// Whose words they are, where no user id header says so.
    pub user_id: Option<String>,
}

/// A JSON object that is read as `T`, and nothing but an object: serde would also take an array for a
/// struct, member by member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Object<T>(pub T);

// === impl Prompt ===

impl Prompt {
    /// What the user wrote.
    ///
    /// # Errors
    /// When there is neither `prompt` nor `message`, or when it is blank.
    pub fn text(self) -> Result<String, PayloadError> {
        self.text_or_opening()?.ok_or(PayloadError::Missing("prompt"))
    }

    /// What the user wrote, or none when the payload has neither `prompt` nor `message`: the app has
    /// opened the conversation and the agent speaks first.
    ///
    /// # Errors
    /// When what was sent is blank.
    pub fn text_or_opening(self) -> Result<Option<String>, PayloadError> {
        let (member, text) = match (self.prompt, self.message) {
            (Some(prompt), _) => ("prompt", prompt),
            (None, Some(message)) => ("message", message),
            (None, None) => return Ok(None),
        };
        if text.trim().is_empty() {
            return Err(PayloadError::Blank(member));
        }
        Ok(Some(text))
    }
}

// === impl Object ===

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}
