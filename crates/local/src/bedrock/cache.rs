//! Cache points: which part of a prompt was seen before.
//!
//! Nothing is computed faster here; what is kept is that a prompt up to a point was sent, so that usage
//! tells what the real service would tell. A prompt is its tools, its system prompt and its messages, in
//! this order, for one model. Up to a point it is written when it is new and read when it was seen in the
//! last five minutes; a point also finds what was written up to 20 blocks before it, as an earlier turn
//! of the same conversation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::model_id::{Caching, ModelId};
use super::refusal::out_of_bounds;
use crate::aws_error::AwsError;
use crate::engine::conversation::{ContentBlock, Conversation, SystemBlock, Tool};
use crate::engine::tokens;

/// The most cache points in one request.
const MOST_POINTS: usize = 4;

/// How long a prompt is remembered, from its last use.
const FIVE_MINUTES: Duration = Duration::from_mins(5);

/// How long it is where the point says `"ttl": "1h"`.
const ONE_HOUR: Duration = Duration::from_hours(1);

/// How many blocks before a point an earlier one is found.
const LOOKED_BACK: usize = 20;

/// The most prompts remembered; of more, those that would be forgotten first are.
const MOST_PROMPTS: usize = 10_000;

/// Tokens of a prompt that the cache had, and that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CacheUse {
    pub(super) read: u64,
    pub(super) written: u64,
}

/// The prompts that were sent. Clones share one table.
#[derive(Debug, Clone, Default)]
pub(super) struct PromptCache {
    expiries: Arc<Mutex<HashMap<Key, Instant>>>,
}

/// A prompt up to a block, whatever it is.
type Key = [u8; 32];

/// A prompt cut at its blocks.
#[derive(Debug)]
pub(super) struct Prompt {
    boundaries: Vec<Boundary>,
    least_tokens: u64,
}

/// The end of a block.
#[derive(Debug)]
struct Boundary {
    key: Key,
    /// Tokens up to here.
    tokens: u64,
    /// The time to live of the cache point that follows, if one does.
    kept: Option<Duration>,
}

/// Cuts a prompt.
struct Cutter {
    hasher: Sha256,
    tokens: u64,
    boundaries: Vec<Boundary>,
}

/// Checks the cache points of a conversation.
pub(super) fn check(conversation: &Conversation, model: &ModelId) -> Result<(), AwsError> {
    let points = points(conversation);
    if points.is_empty() {
        return Ok(());
    }
    let Some(caching) = model.caching() else {
        return Err(AwsError::access_denied(
            "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for \
             more information.",
        ));
    };
    for (place, point) in &points {
        check_point(point, place)?;
        if place.starts_with("toolConfig") && !caching.of_tools {
            return Err(AwsError::validation(format!(
                "Malformed input request: #/{}: extraneous key [cachePoint] is not permitted, please reformat your \
                 input and try again.",
                place.replace('.', "/")
            )));
        }
    }
    if points.len() > MOST_POINTS {
        return Err(AwsError::validation(format!(
            "The model returned the following errors: A maximum of {MOST_POINTS} blocks with cache_control may be \
             provided. Found {}.",
            points.len()
        )));
    }
    Ok(())
}

/// The cache points and where they are.
fn points(conversation: &Conversation) -> Vec<(String, &Value)> {
    let tools = conversation.tools().iter().enumerate().filter_map(|(at, tool)| match tool {
        Tool::CachePoint(point) => Some((format!("toolConfig.tools.{at}"), point)),
        _ => None,
    });
    let system = conversation.system.iter().enumerate().filter_map(|(at, block)| match block {
        SystemBlock::CachePoint(point) => Some((format!("system.{at}"), point)),
        _ => None,
    });
    let messages = conversation.messages.iter().enumerate().flat_map(|(at, message)| {
        message.content.iter().enumerate().filter_map(move |(index, block)| match block {
            ContentBlock::CachePoint(point) => Some((format!("messages.{at}.content.{index}"), point)),
            _ => None,
        })
    });
    tools.chain(system).chain(messages).collect()
}

fn check_point(point: &Value, place: &str) -> Result<(), AwsError> {
    let one_of =
        |member: &str, allowed: &[&str]| match point.get(member).map(|value| value.as_str().unwrap_or_default()) {
            Some(value) if !allowed.contains(&value) => Err(out_of_bounds(
                value,
                &format!("{place}.cachePoint.{member}"),
                &format!("satisfy enum value set: [{}]", allowed.join(", ")),
            )),
            _ => Ok(()),
        };
    if point.get("type").is_none() {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value null at '{place}.cachePoint.type' failed to satisfy constraint: \
             Member must not be null"
        )));
    }
    one_of("type", &["default"])?;
    one_of("ttl", &["5m", "1h"])
}

// === impl Prompt ===

impl Prompt {
    /// The prompt of a request: `body` as it was sent and `conversation` as it was read from it.
    pub(super) fn of(body: &Value, conversation: &Conversation, model_id: &str, caching: Caching) -> Self {
        let mut cutter = Cutter { hasher: Sha256::new(), tokens: 0, boundaries: Vec::new() };
        if !points(conversation).is_empty() {
            cutter.cut(body, conversation, model_id);
        }
        Self { boundaries: cutter.boundaries, least_tokens: caching.least_tokens }
    }
}

// === impl Cutter ===

impl Cutter {
    fn cut(&mut self, body: &Value, conversation: &Conversation, model_id: &str) {
        self.feed(model_id);
        self.feed("tools");
        for (tool, sent) in conversation.tools().iter().zip(items(&body["toolConfig"]["tools"])) {
            match tool {
                Tool::CachePoint(point) => self.point(point),
                _ => self.block(sent, tokens::count_tool(tool)),
            }
        }
        self.feed("system");
        for (block, sent) in conversation.system.iter().zip(items(&body["system"])) {
            match block {
                SystemBlock::CachePoint(point) => self.point(point),
                _ => self.block(sent, tokens::count_system(block)),
            }
        }
        for (message, sent) in conversation.messages.iter().zip(items(&body["messages"])) {
            self.feed(&message.role.to_string());
            self.tokens += tokens::PER_MESSAGE;
            for (block, sent) in message.content.iter().zip(items(&sent["content"])) {
                match block {
                    ContentBlock::CachePoint(point) => self.point(point),
                    _ => self.block(sent, tokens::count_block(block)),
                }
            }
        }
    }

    fn feed(&mut self, text: &str) {
        self.hasher.update(text.len().to_le_bytes());
        self.hasher.update(text);
    }

    fn block(&mut self, sent: &Value, tokens: u64) {
        self.feed(&sent.to_string());
        self.tokens += tokens;
        let key = self.hasher.clone().finalize().into();
        self.boundaries.push(Boundary { key, tokens: self.tokens, kept: None });
    }

    fn point(&mut self, point: &Value) {
        let kept = if point["ttl"] == "1h" { ONE_HOUR } else { FIVE_MINUTES };
        if let Some(last) = self.boundaries.last_mut() {
            last.kept = Some(kept);
        }
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

// === impl PromptCache ===

impl PromptCache {
    /// Tells what of `prompt` is known `now`, and remembers it.
    pub(super) fn charge(&self, prompt: &Prompt, now: Instant) -> CacheUse {
        let mut expiries = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        let points: Vec<(usize, Duration)> = prompt
            .boundaries
            .iter()
            .enumerate()
            .filter(|(_, boundary)| boundary.tokens >= prompt.least_tokens)
            .filter_map(|(at, boundary)| Some((at, boundary.kept?)))
            .collect();
        let known = |boundary: &&Boundary| expiries.get(&boundary.key).is_some_and(|expiry| *expiry > now);
        let read = points.iter().rev().find_map(|(at, _)| {
            prompt.boundaries[at.saturating_sub(LOOKED_BACK)..=*at].iter().rev().find(known).map(|found| found.tokens)
        });
        let read = read.unwrap_or(0);
        let whole = points.last().map_or(0, |(at, _)| prompt.boundaries[*at].tokens);
        for (at, kept) in points {
            make_room(&mut expiries, now);
            expiries.insert(prompt.boundaries[at].key, now + kept);
        }
        CacheUse { read, written: whole.saturating_sub(read) }
    }
}

/// Forgets what has expired when the table is full, and what would be next if nothing has.
fn make_room(expiries: &mut HashMap<Key, Instant>, now: Instant) {
    if expiries.len() < MOST_PROMPTS {
        return;
    }
    expiries.retain(|_, expiry| *expiry > now);
    if expiries.len() < MOST_PROMPTS {
        return;
    }
    if let Some(next) = expiries.iter().min_by_key(|(_, expiry)| **expiry).map(|(key, _)| *key) {
        expiries.remove(&next);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::{CacheUse, Conversation, MOST_PROMPTS, Prompt, PromptCache};
    use crate::bedrock::model_id::Caching;

    fn prompt(body: &Value, model_id: &str) -> Prompt {
        let conversation: Conversation = serde_json::from_value(body.clone()).expect("a request");
        Prompt::of(body, &conversation, model_id, Caching { least_tokens: 10, of_tools: true })
    }

    fn point() -> Value {
        json!({ "cachePoint": { "type": "default" } })
    }

    /// A conversation of words with a point after the last of the user's.
    fn conversation(turns: &[&str]) -> Value {
        let mut messages: Vec<Value> = turns
            .iter()
            .zip(["user", "assistant"].iter().cycle())
            .map(|(text, role)| json!({ "role": role, "content": [{ "text": text }] }))
            .collect();
        let last = messages.last_mut().expect("a message");
        last["content"].as_array_mut().expect("content").push(point());
        json!({ "messages": messages })
    }

    const LONG: &str = "one two three four five six seven eight";

    #[test]
    fn a_prompt_is_written_once_and_read_for_five_minutes_after_its_last_use() {
        let cache = PromptCache::default();
        let now = Instant::now();
        let charge = |minutes: u64, model: &str| {
            cache.charge(&prompt(&conversation(&[LONG]), model), now + Duration::from_mins(minutes))
        };
        assert_eq!(charge(0, "a"), CacheUse { read: 0, written: 12 });
        assert_eq!(charge(4, "a"), CacheUse { read: 12, written: 0 });
        assert_eq!(charge(8, "a"), CacheUse { read: 12, written: 0 });
        assert_eq!(charge(8, "b"), CacheUse { read: 0, written: 12 });
        assert_eq!(charge(13, "a"), CacheUse { read: 0, written: 12 });
    }

    #[test]
    fn a_later_turn_reads_what_the_earlier_wrote_and_writes_what_is_new() {
        let cache = PromptCache::default();
        let now = Instant::now();
        cache.charge(&prompt(&conversation(&[LONG]), "a"), now);
        let later = cache.charge(&prompt(&conversation(&[LONG, "Yes.", "And then?"]), "a"), now);
        assert_eq!(later, CacheUse { read: 12, written: 13 });
        let other = cache.charge(&prompt(&conversation(&["Something else", LONG, "And then?"]), "a"), now);
        assert_eq!(other.read, 0);
    }

    #[test]
    fn a_prompt_below_the_models_least_is_not_kept() {
        let cache = PromptCache::default();
        let short = prompt(&conversation(&["Hello"]), "a");
        for _ in 0..2 {
            assert_eq!(cache.charge(&short, Instant::now()), CacheUse::default());
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let cache = PromptCache::default();
        let now = Instant::now();
        for turn in 0..MOST_PROMPTS + 5 {
            cache.charge(&prompt(&conversation(&[&format!("{LONG} {turn}")]), "a"), now);
        }
        assert_eq!(cache.expiries.lock().expect("no panic before").len(), MOST_PROMPTS);
    }
}
