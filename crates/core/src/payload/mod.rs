//! What callers send, and how it is refused when it makes no sense.

mod media;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::message::{ContentBlock, Reply};
use crate::turn::TurnRequest;

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
        member: Cow<'static, str>,
        /// What it must be, as the end of a sentence.
        problem: String,
    },
}

/// The payload of most agents: `prompt`, or `message` where `prompt` is absent; `content` for pictures and
/// files; `replies` to what a tool asked.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Prompt {
    /// What the user wrote.
    pub prompt: Option<String>,
    /// The same, by another name.
    pub message: Option<String>,
    /// The same with pictures and files, as Bedrock's content blocks; instead of the two or beside them.
    #[schemars(with = "Option<Vec<Map<String, Value>>>")]
    pub content: Option<Vec<ContentBlock>>,
    /// Answers to what tools asked in the turn before.
    #[serde(default)]
    pub replies: Vec<Reply>,
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

    /// The turn this asks for, whatever it is made of: words, pictures and files, or replies to what a tool
    /// asked. The rest of the request is the agent's to add.
    ///
    /// # Errors
    /// When there is nothing in it, or something that Bedrock would refuse.
    pub fn turn(self) -> Result<TurnRequest, PayloadError> {
        self.turn_if_any()?.ok_or(PayloadError::Missing("prompt"))
    }

    /// The same; when the app has opened the conversation and nothing was said, the model reads `opening` and
    /// speaks first.
    ///
    /// # Errors
    /// When something in it is blank, or Bedrock would refuse it.
    pub fn turn_or_opening(self, opening: &str) -> Result<TurnRequest, PayloadError> {
        let actor = self.user_id.clone();
        Ok(self.turn_if_any()?.unwrap_or_else(|| TurnRequest::new(opening).actor(actor)))
    }

    fn turn_if_any(mut self) -> Result<Option<TurnRequest>, PayloadError> {
        let (content, replies, actor) = (self.content.take(), std::mem::take(&mut self.replies), self.user_id.take());
        let text = self.text_or_opening()?;
        if let Some(content) = &content {
            media::check(content, text.is_some())?;
        }
        let anything_said = text.is_some() || content.is_some();
        let request = match (replies.is_empty(), anything_said) {
            (true, false) => return Ok(None),
            (false, false) => TurnRequest::replying(replies),
            (false, true) => {
                let problem = "answers a tool's question; send what else the user says in a turn of its own".to_owned();
                return Err(PayloadError::Invalid { member: "replies".into(), problem });
            }
            (true, true) => {
                let text = text.map(ContentBlock::Text);
                TurnRequest::saying(text.into_iter().chain(content.unwrap_or_default()).collect())
            }
        };
        Ok(Some(request.actor(actor)))
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
