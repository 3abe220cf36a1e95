//! Conversations: what the sentinel finds message by message, and what an answer should be like.
//!
//! `evaluation/conversations.toml` has them. What rules decide is judged here, without a model; `vitracka eval` has
//! them with a coach that runs, and asks a model about the rest.

use std::sync::{Arc, LazyLock};

use agentcore_runtime::core::history::{CompleteTurn, complete};
use agentcore_runtime::core::message::Message as Said;
use agentcore_runtime::prelude::{Flag, Guard, Heard, Severity, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::NONE;
use crate::language::{Opinion, opinion_of};
use crate::payload::UserContext;
use crate::sentinel::kind::Kind;
use crate::sentinel::{GENTLE, Sentinel};

static CONVERSATIONS: LazyLock<Vec<Conversation>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct File {
        conversation: Vec<Conversation>,
    }
    let file: File = serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/evaluation/conversations.json")))
        .expect("the tests read it");
    file.conversation
});

static JUDGE: LazyLock<String> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct File {
        prompt: String,
    }
    let file: File = serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/evaluation/judge.json")))
        .expect("the tests read it");
    file.prompt
});

/// One conversation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// What it is about, unique.
    pub name: String,
    /// What sort it is: `multi_turn`, `injection`, `style`, `goal`.
    pub group: String,
    /// What the app tells of the user, as it sends it.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// What the user writes, in order.
    #[serde(rename = "message")]
    pub messages: Vec<Message>,
    /// By what the last answer is judged.
    pub should: String,
    /// What no answer may say, word for word in any case of letters.
    #[serde(default)]
    pub must_not: Vec<String>,
}

/// One message of a user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Its words.
    pub says: String,
    /// Kind and severity of what should be found first in it, such as `self_harm crisis`, or `none`.
    pub finds: String,
    /// Whether the session should be gentle at it because of an earlier one.
    #[serde(default)]
    pub gentle: bool,
}

/// A model's verdict on an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Score {
    /// From 1, not met, to 5, met wholly.
    pub score: u8,
    /// Why, in a sentence.
    #[serde(default)]
    pub reason: String,
}

/// All of them.
pub fn all() -> &'static [Conversation] {
    &CONVERSATIONS
}

/// What a model should say of an answer, taken from what it said: the first JSON object with a score from 1 to 5.
pub fn score(said: &str) -> Option<Score> {
    let starts = said.match_indices('{').map(|(place, _)| place);
    let read = |start| serde_json::Deserializer::from_str(&said[start..]).into_iter::<Score>().next()?.ok();
    starts.filter_map(read).find(|score| (1..=5).contains(&score.score))
}

// === impl Conversation ===

impl Conversation {
    /// What the sentinel makes of it other than it should, a sentence each.
    ///
    /// # Errors
    /// When the context is none that the app may send.
    pub fn misses(&self) -> Result<Vec<String>, serde_json::Error> {
        let context: UserContext = serde_json::from_value(Value::Object(self.context.clone()))?;
        let sentinel = Sentinel::for_user(&context);
        let mut history: Vec<Arc<CompleteTurn>> = Vec::new();
        let mut misses = Vec::new();
        for message in &self.messages {
            let flags = match sentinel.inspect(&Heard { text: &message.says, history: &history }) {
                Verdict::Allow => Vec::new(),
                Verdict::Annotate { flags, .. } | Verdict::Answer { flags, .. } => flags,
            };
            misses.extend(message.miss(&flags).map(|miss| format!("{}: {:?}: {miss}", self.name, message.says)));
            let turn = [Said::user(message.says.as_str()), Said::assistant("I'm here.")];
            history.extend(complete(turn).into_iter().map(Arc::new));
        }
        Ok(misses)
    }

    /// What an answer says that it must not: a phrase that the conversation names, or what the language rules find.
    pub fn broken_by(&self, answer: &str) -> Vec<String> {
        let named = self.must_not.iter().filter(|phrase| says(answer, phrase));
        let mut broken: Vec<String> = named.map(|phrase| format!("says {phrase:?}")).collect();
        if let Opinion::Unkind { broken: rule, .. } | Opinion::Harmful(rule) = opinion_of(answer, "") {
            broken.push(format!("breaks {}/{}", rule.kind, rule.rule));
        }
        broken
    }

    /// What a judge is asked about its last answer.
    pub fn question(&self, answer: &str) -> String {
        let said: Vec<&str> = self.messages.iter().map(|message| message.says.as_str()).collect();
        // From left to right, so that nothing of an answer is taken for a place to fill.
        let parts = [("{should}", self.should.as_str()), ("{conversation}", &said.join("\n")), ("{answer}", answer)];
        let mut rest = JUDGE.as_str();
        let mut question = String::new();
        while let Some((place, (mark, words))) =
            parts.iter().filter_map(|part| Some((rest.find(part.0)?, part))).min_by_key(|(place, _)| *place)
        {
            question.push_str(&rest[..place]);
            question.push_str(words);
            rest = &rest[place + mark.len()..];
        }
        question + rest
    }
}

// === impl Message ===

impl Message {
    /// What an answer's `safety` tells of it other than it should. Severities are told of the answer as a whole, so
    /// that of them only a crisis is compared.
    pub fn miss_in_answer(&self, safety: &Value) -> Option<String> {
        let flags = safety["flags"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_gentle = flags.iter().any(|flag| flag["rule"] == GENTLE);
        let is_of_message = |kind: &&str| Kind::ALL.iter().any(|known| known.as_str() == *kind);
        let mut kinds = flags.iter().filter(|flag| flag["rule"] != GENTLE).filter_map(|flag| flag["kind"].as_str());
        let kind = kinds.find(is_of_message);
        let expected = self.finds.split(' ').next().unwrap_or(NONE);
        let is_crisis = safety["severity"] == Severity::Crisis.as_str();
        if kind.unwrap_or(NONE) != expected || is_crisis != self.finds.ends_with(Severity::Crisis.as_str()) {
            let severity = safety["severity"].as_str().unwrap_or("of no severity");
            return Some(format!("found {} {severity}, not {}", kind.unwrap_or(NONE), self.finds));
        }
        self.miss_of_gentleness(is_gentle)
    }

    /// What is found in it other than should be.
    fn miss(&self, flags: &[Flag]) -> Option<String> {
        let found = flags.iter().find(|flag| flag.rule != GENTLE);
        let found = found.map_or(NONE.to_owned(), |flag| format!("{} {}", flag.kind, flag.severity.as_str()));
        if found != self.finds {
            return Some(format!("found {found}, not {}", self.finds));
        }
        self.miss_of_gentleness(flags.iter().any(|flag| flag.rule == GENTLE))
    }

    fn miss_of_gentleness(&self, is_gentle: bool) -> Option<String> {
        let is_first_of_it = self.finds != NONE;
        (self.gentle != is_gentle && !is_first_of_it)
            .then(|| format!("the session is {}gentle", if is_gentle { "" } else { "not " }))
    }
}

/// Whether a text has a phrase, word for word.
fn says(text: &str, phrase: &str) -> bool {
    let (text, phrase) = (text.to_lowercase(), phrase.to_lowercase());
    text.match_indices(&phrase).any(|(start, found)| {
        let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        !is_letter(text[..start].chars().next_back()) && !is_letter(text[start + found.len()..].chars().next())
    })
}
