//! Token counts without a tokeniser.
//!
//! The real counts belong to the real model; here they only have to be plausible, monotonic and the
//! same every time, and an answer has to be cut where its count says. So text is split by one rule
//! and both counting and cutting follow it: a token is at most six ASCII letters or digits with the
//! space before them, two letters of another alphabetic script, one ideograph, or one mark of
//! punctuation. English prose comes out near 1.3 tokens a word, which is what Claude's vocabulary
//! gives; code and other languages come out within a third of it.

use serde_json::Value;

use super::conversation::{ContentBlock, Conversation, Message, SystemBlock, Tool};

/// ASCII letters or digits that one token holds at most.
const WIDTH: usize = 6;

/// What Bedrock adds for a message's role and delimiters.
pub(crate) const PER_MESSAGE: u64 = 4;

/// An image of the size most clients send: about 1.15 megapixels at 750 pixels a token.
const PER_IMAGE: u64 = 1_568;

/// A document that is not words: two pages at the 1,500 tokens that a page of text comes to.
const PER_DOCUMENT: u64 = 3_000;

/// Videos and recordings are not played here; their encoded bytes are charged at this many a token.
const BYTES_PER_MEDIA_TOKEN: u64 = 6;

/// The tokens of `text`, in order; joined they are `text` again.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (token, tail) = rest.split_at(first_token_length(rest));
        rest = tail;
        Some(token)
    })
}

/// How many tokens `text` is.
pub fn count(text: &str) -> u64 {
    split(text).fold(0, |total, _| total + 1)
}

/// How many tokens a model is sent for `conversation`: system prompt, tools and messages.
pub fn count_conversation(conversation: &Conversation) -> u64 {
    let system = conversation.system.iter().map(count_system).sum::<u64>();
    let tools = conversation.tools().iter().map(count_tool).sum::<u64>();
    let messages = conversation.messages.iter().map(count_message).sum::<u64>();
    system + tools + messages
}

/// Tokens of a part of the system prompt.
pub(crate) fn count_system(block: &SystemBlock) -> u64 {
    block.text().map_or(0, count)
}

/// Tokens of a tool's specification.
pub(crate) fn count_tool(tool: &Tool) -> u64 {
    tool.specification().map_or(0, |specification| {
        count(&specification.name)
            + specification.description.as_deref().map_or(0, count)
            + count_json(&specification.input_schema.json)
    })
}

fn count_message(message: &Message) -> u64 {
    PER_MESSAGE + message.content.iter().map(count_block).sum::<u64>()
}

/// Tokens of a part of a message.
pub(crate) fn count_block(block: &ContentBlock) -> u64 {
    match block {
        ContentBlock::Text(text) => count(text),
        ContentBlock::Image(_) => PER_IMAGE,
        ContentBlock::ToolUse(call) => count(&call.name) + count_json(&call.input),
        ContentBlock::ToolResult(result) => result.content.iter().map(count_part).sum(),
        ContentBlock::CachePoint(_) => 0,
        ContentBlock::Document(document) => count_document(document),
        ContentBlock::Video(value) | ContentBlock::Audio(value) => count_encoded(value),
        ContentBlock::GuardContent(value)
        | ContentBlock::ReasoningContent(value)
        | ContentBlock::CitationsContent(value)
        | ContentBlock::SearchResult(value) => count_json(value),
    }
}

/// Tokens of a part of a tool result.
fn count_part(part: &Value) -> u64 {
    match (part.get("image"), part.get("document"), part.get("video")) {
        (Some(_), _, _) => PER_IMAGE,
        (_, Some(document), _) => count_document(document),
        (_, _, Some(video)) => count_encoded(video),
        _ => count_json(part),
    }
}

/// Words are counted, files are all alike.
fn count_document(document: &Value) -> u64 {
    match document.get("source") {
        Some(source) if source.get("text").is_some() || source.get("content").is_some() => count_json(source),
        _ => PER_DOCUMENT,
    }
}

/// Tokens of the strings, numbers and keys in `value`.
fn count_json(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => count(&number.to_string()),
        Value::String(text) => count(text),
        Value::Array(items) => items.iter().map(count_json).sum(),
        Value::Object(members) => members.iter().map(|(name, member)| count(name) + count_json(member)).sum(),
    }
}

fn count_encoded(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 / BYTES_PER_MEDIA_TOKEN,
        Value::Array(items) => items.iter().map(count_encoded).sum(),
        Value::Object(members) => members.values().map(count_encoded).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Length in bytes of the first token of `text`, which is not empty.
fn first_token_length(text: &str) -> usize {
    let leading_space = usize::from(text.starts_with(' '));
    let word = &text[leading_space..];
    let mut width = 0;
    for (at, character) in word.char_indices() {
        width += width_of(character);
        if width > WIDTH {
            // A character wider than what is left begins the next token, unless it is the first.
            let end = if at == 0 { character.len_utf8() } else { at };
            return leading_space + end;
        }
    }
    text.len()
}

/// How much of a token's width `character` takes.
fn width_of(character: char) -> usize {
    const IDEOGRAPHS_BEGIN: char = '\u{2E80}';
    if character.is_ascii_alphanumeric() {
        1
    } else if character.is_alphanumeric() && character < IDEOGRAPHS_BEGIN {
        WIDTH / 2
    } else {
        // Punctuation, white space and ideographs stand alone.
        WIDTH + 1
    }
}

#[cfg(test)]
mod tests {
    use super::{count, split};

    #[test]
    fn splitting_loses_nothing_and_breaks_where_the_rule_says() {
        let text = "Don't worry, Aoife: extraordinary 体重 naïve.  ok";
        let tokens: Vec<&str> = split(text).collect();
        assert_eq!(tokens.concat(), text);
        insta::assert_snapshot!(tokens.join("|"), @"Don|'|t| worry|,| Aoife|:| extrao|rdinar|y| 体|重| naïv|e|.|  |ok");
    }

    #[test]
    fn english_prose_is_near_one_and_a_third_tokens_a_word() {
        let prose = "A hard week does not undo the work you have already done, and telling me about \
                     it is part of that work. Pick one small thing for tomorrow and let it be enough.";
        let words = prose.split_whitespace().count() as u64;
        let tokens = count(prose);
        assert!((words * 11 / 10..=words * 15 / 10).contains(&tokens), "{tokens} tokens for {words} words");
    }

    #[test]
    fn nothing_is_no_tokens() {
        assert_eq!(count(""), 0);
    }
}
