//! What a client sends for a run, and the invocation it is.
//!
//! The payload of the agent has the members of `forwardedProps`, an object, as they are: what a caller over HTTP sends
//! beside the prompt. The run's own come over them: `prompt` is what the user says, or `content` where pictures or files
//! are with it, and `replies` what `tool` messages and `resume` answer. `state` and `context`, where they say anything,
//! are members of these names, for agents that read them. Messages of other roles are none of the user's, and not read:
//! who the agent is, it says itself.

use std::collections::HashMap;

use agentcore_core::tool::Reply;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client_tool::{ClientTools, Returned};
use super::narration::{SAFETY, answered_id};
use crate::failure::{Code, Failure};
use crate::payload::{self, document_format};

/// A run that makes sense.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) thread: String,
    pub(super) id: String,
    /// What the agent reads, a JSON object.
    pub(super) payload: Bytes,
    pub(super) tools: ClientTools,
    /// What the client and the agent both see, as the client has it.
    pub(super) state: Value,
    /// The questions of the agent's own tools that it answers.
    pub(super) resumed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunAgentInput {
    thread_id: String,
    run_id: String,
    messages: Vec<Message>,
    #[serde(default)]
    state: Value,
    #[serde(default)]
    tools: Vec<Tool>,
    #[serde(default)]
    context: Vec<Value>,
    #[serde(default)]
    forwarded_props: Value,
    #[serde(default)]
    resume: Vec<ResumeEntry>,
}

#[derive(Deserialize)]
#[serde(tag = "role", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Message {
    User {
        content: Content,
    },
    Assistant {
        #[serde(default)]
        tool_calls: Vec<CalledTool>,
    },
    Tool {
        id: String,
        tool_call_id: String,
        content: Content,
        error: Option<String>,
    },
    Developer {},
    System {},
    Activity {},
    Reasoning {},
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Part {
    Text { text: String },
    Image { source: Source },
    Document { source: Source, metadata: Option<Value> },
    Audio {},
    Video {},
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Source {
    Data { value: String, mime_type: String },
    Url {},
    File {},
}

#[derive(Deserialize)]
struct CalledTool {
    id: String,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    #[serde(default)]
    description: String,
    parameters: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResumeEntry {
    interrupt_id: String,
    status: Status,
    payload: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Resolved,
    Cancelled,
}

/// What is new in the conversation.
#[derive(Default)]
struct Said {
    /// The user's words, pictures and files, as Bedrock's content blocks.
    blocks: Vec<Value>,
    /// What came of calls of the client's tools, by the call's id.
    results: Vec<(String, Returned)>,
}

// === impl Run ===

impl Run {
    /// Reads an input.
    ///
    /// # Errors
    /// When it is none, or cannot be made a payload: the sentence names the place and no word of the client's.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let input: RunAgentInput = payload::read(body)?;
        for (member, id) in [("threadId", &input.thread_id), ("runId", &input.run_id)] {
            if id.trim().is_empty() {
                return Err(invalid(member, "is blank; make an id up for it"));
            }
        }
        let mut tools = ClientTools::default();
        for Tool { name, description, parameters } in input.tools {
            tools.add(name, description, parameters)?;
        }
        let (calls, said) = read_messages(input.messages)?;
        for (id, _) in &said.results {
            if let Some(name) = calls.get(id) {
                tools.add_gone(name.clone());
            }
        }
        let mut payload = match input.forwarded_props {
            Value::Null => Map::new(),
            Value::Object(members) => members,
            _ => return Err(invalid("forwardedProps", "must be an object: its members are the agent's payload's")),
        };
        if !input.context.is_empty() {
            payload.entry("context").or_insert_with(|| input.context.into());
        }
        let theirs = without_ours(&input.state);
        if !says_nothing(&theirs) {
            payload.entry("state").or_insert(theirs);
        }
        let resumed: Vec<String> = input.resume.iter().map(|entry| entry.interrupt_id.clone()).collect();
        let answers_something = input.resume.iter().any(|entry| matches!(entry.status, Status::Resolved));
        if answers_something && !said.blocks.is_empty() {
            return Err(invalid("resume", "answers the agent; send what else the user says in a run of its own"));
        }
        said.fill(&mut payload, input.resume, &calls);
        let payload = serde_json::to_vec(&payload).map_err(|_| Failure::internal())?.into();
        Ok(Self { thread: input.thread_id, id: input.run_id, payload, tools, state: input.state, resumed })
    }
}

/// The names of the tools that the assistant's last message has called, by the ids of the calls, and what was said since.
fn read_messages(messages: Vec<Message>) -> Result<(HashMap<String, String>, Said), Failure> {
    let is_assistants = |message: &Message| matches!(message, Message::Assistant { .. });
    let new = messages.iter().rposition(is_assistants).map_or(0, |last| last + 1);
    let (mut calls, mut said) = (HashMap::new(), Said::default());
    for (place, message) in messages.into_iter().enumerate() {
        match message {
            // A client makes several messages of an answer whose calls had words before them.
            Message::Assistant { tool_calls } => {
                calls.extend(tool_calls.into_iter().map(|call| (call.id, call.function.name)));
            }
            Message::User { content } if place >= new => said.take_words(place, content)?,
            // That of an agent's own tool, which the client has from us, answers nothing.
            Message::Tool { id, tool_call_id, content, error } if place >= new && id != answered_id(&tool_call_id) => {
                let content = content.text().ok_or_else(|| {
                    invalid(
                        &format!("messages[{place}].content"),
                        "must be text: a tool's result has no other parts here",
                    )
                })?;
                let returned = match error {
                    Some(error) => Returned::Failure { error, content },
                    None => Returned::Result(content),
                };
                said.results.push((tool_call_id, returned));
            }
            _ => {}
        }
    }
    Ok((calls, said))
}

/// The state as the agent reads it, which has told the client the rest.
fn without_ours(state: &Value) -> Value {
    let mut theirs = state.clone();
    if let Some(members) = theirs.as_object_mut() {
        members.remove(SAFETY);
    }
    theirs
}

fn says_nothing(state: &Value) -> bool {
    state.is_null() || state.as_object().is_some_and(Map::is_empty)
}

// === impl Said ===

impl Said {
    fn take_words(&mut self, place: usize, content: Content) -> Result<(), Failure> {
        match content {
            Content::Text(text) => self.blocks.push(json!({ "text": text })),
            Content::Parts(parts) => {
                for (number, part) in parts.into_iter().enumerate() {
                    let block = part.into_block(self.blocks.len());
                    let block =
                        block.map_err(|problem| invalid(&format!("messages[{place}].content[{number}]"), problem))?;
                    self.blocks.push(block);
                }
            }
        }
        Ok(())
    }

    /// Writes it into the payload. A user who goes on without waiting for a tool begins a new turn, whose words tell
    /// what came of the tool: the one that waited for it is over. So it is where questions are abandoned for new words.
    fn fill(self, payload: &mut Map<String, Value>, resume: Vec<ResumeEntry>, calls: &HashMap<String, String>) {
        let Self { mut blocks, results } = self;
        if blocks.is_empty() {
            let results = results.into_iter().map(|(id, returned)| Reply { id, reply: returned.written() });
            let replies: Vec<Reply> = resume.into_iter().map(Reply::from).chain(results).collect();
            if !replies.is_empty() {
                payload.insert("replies".to_owned(), json!(replies));
            }
            return;
        }
        let told = results.into_iter().map(|(id, returned)| {
            let name = calls.get(&id).map_or("a tool", String::as_str);
            json!({ "text": format!("[{name} gave: {}]", returned.words()) })
        });
        blocks.splice(0..0, told);
        let words: Option<Vec<&str>> = blocks.iter().map(|block| block["text"].as_str()).collect();
        let (member, said) = match words {
            Some(words) => ("prompt", words.join("\n\n").into()),
            None => ("content", blocks.into()),
        };
        payload.insert(member.to_owned(), said);
    }
}

/// An abandoned question is answered with null, and one that is resolved and no more with true.
impl From<ResumeEntry> for Reply {
    fn from(ResumeEntry { interrupt_id, status, payload }: ResumeEntry) -> Self {
        let reply = match status {
            Status::Resolved => payload.unwrap_or(Value::Bool(true)),
            Status::Cancelled => Value::Null,
        };
        Self { id: interrupt_id, reply }
    }
}

// === impl Content ===

impl Content {
    /// Its text, unless there is anything else.
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Parts(parts) => parts
                .into_iter()
                .map(|part| match part {
                    Part::Text { text } => Some(text),
                    _ => None,
                })
                .collect(),
        }
    }
}

// === impl Part ===

impl Part {
    /// The part as Bedrock's content block, the `number`th of the user's.
    fn into_block(self, number: usize) -> Result<Value, &'static str> {
        match self {
            Self::Text { text } => Ok(json!({ "text": text })),
            Self::Image { source } => {
                let (bytes, mime_type) = source.into_data()?;
                let format = mime_type.strip_prefix("image/").ok_or("must have the MIME type of a picture")?;
                Ok(json!({ "image": { "format": format, "source": { "bytes": bytes } } }))
            }
            Self::Document { source, metadata } => {
                let (bytes, mime_type) = source.into_data()?;
                let format =
                    document_format(&mime_type).ok_or("must have the MIME type of a document that Bedrock takes")?;
                let name = metadata.as_ref().and_then(|metadata| metadata["name"].as_str()).map(str::to_owned);
                let name = name.unwrap_or_else(|| format!("Document {}", number + 1));
                Ok(json!({ "document": { "format": format, "name": name, "source": { "bytes": bytes } } }))
            }
            Self::Audio {} | Self::Video {} => Err("must be text, an image or a document"),
        }
    }
}

// === impl Source ===

impl Source {
    /// The base64 text and the MIME type. The agent fetches nothing for a client.
    fn into_data(self) -> Result<(String, String), &'static str> {
        match self {
            Self::Data { value, mime_type } => Ok((value, mime_type)),
            Self::Url {} | Self::File {} => Err("must have its bytes in it: a source of the type `data`"),
        }
    }
}

fn invalid(member: &str, problem: &str) -> Failure {
    Failure::new(Code::InvalidPayload, format!("`{member}` {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the agent reads of an input with these members.
    fn payload(members: &Value) -> String {
        let run = read(members).expect("it makes sense");
        String::from_utf8(run.payload.to_vec()).expect("UTF-8")
    }

    fn refused(members: &Value) -> String {
        read(members).expect_err("it makes none").sentence
    }

    fn read(members: &Value) -> Result<Run, Failure> {
        let mut input = json!({ "threadId": "t", "runId": "r", "messages": [] });
        input.as_object_mut().expect("members").extend(members.as_object().expect("members").clone());
        Run::read(input.to_string().as_bytes())
    }

    fn user(content: &Value) -> Value {
        json!({ "id": "u", "role": "user", "content": content })
    }

    fn called(id: &str) -> Value {
        let call = json!({ "id": id, "type": "function", "function": { "name": "pick_colour", "arguments": "{}" } });
        json!({ "id": "a", "role": "assistant", "toolCalls": [call] })
    }

    #[test]
    fn what_is_new_is_the_prompt_and_what_was_said_before_is_the_memorys() {
        let before = [json!({ "id": "s", "role": "system", "content": "Be rude." }), user(&json!("Hi"))];
        let answer = json!({ "id": "a", "role": "assistant", "content": "Hello!" });
        insta::assert_snapshot!(payload(&json!({ "messages": before })), @r#"{"prompt":"Hi"}"#);
        let messages = [&before[..], &[answer, user(&json!("How")), user(&json!("are you?"))]].concat();
        insta::assert_snapshot!(payload(&json!({ "messages": messages })), @r#"{"prompt":"How\n\nare you?"}"#);
        insta::assert_snapshot!(payload(&json!({})), @"{}");
    }

    #[test]
    fn forwarded_props_are_members_of_the_payload_and_the_run_has_the_last_word() {
        let members = json!({
            "messages": [user(&json!("Hi"))],
            "forwardedProps": { "user_context": { "name": "Aoife" }, "prompt": "not this" },
            "state": {},
            "context": [{ "description": "The page", "value": "/diary" }],
        });
        insta::assert_snapshot!(payload(&members), @r#"{"user_context":{"name":"Aoife"},"prompt":"Hi","context":[{"description":"The page","value":"/diary"}]}"#);
        let members = json!({ "state": { "theme": "dark" }, "forwardedProps": null });
        insta::assert_snapshot!(payload(&members), @r#"{"state":{"theme":"dark"}}"#);
        let members = json!({ "state": { "theme": "dark", "safety": { "severity": "info" } } });
        insta::assert_snapshot!(payload(&members), @r#"{"state":{"theme":"dark"}}"#);
    }

    #[test]
    fn pictures_and_files_are_bedrocks_content_blocks() {
        let data = |mime_type: &str| json!({ "type": "data", "value": "aGk=", "mimeType": mime_type });
        let parts = json!([
            { "type": "text", "text": "Look:" },
            { "type": "image", "source": data("image/png") },
            { "type": "document", "source": data("text/plain") },
        ]);
        insta::assert_snapshot!(payload(&json!({ "messages": [user(&parts)] })), @r#"{"content":[{"text":"Look:"},{"image":{"format":"png","source":{"bytes":"aGk="}}},{"document":{"format":"txt","name":"Document 3","source":{"bytes":"aGk="}}}]}"#);
    }

    #[test]
    fn results_of_tools_and_answers_to_interrupts_are_replies() {
        let result = |id: &str, more: Value| {
            let mut message = json!({ "id": "m", "role": "tool", "toolCallId": id, "content": "red" });
            message.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
            message
        };
        let messages = [called("c1"), result("c1", json!({})), result("c2", json!({ "error": "closed" }))];
        insta::assert_snapshot!(payload(&json!({ "messages": messages })), @r#"{"replies":[{"id":"c1","reply":"red"},{"id":"c2","reply":{"error":"closed","content":"red"}}]}"#);
        let resume = json!([
            { "interruptId": "i1", "status": "resolved", "payload": "yes" },
            { "interruptId": "i2", "status": "resolved" },
            { "interruptId": "i3", "status": "cancelled" },
        ]);
        insta::assert_snapshot!(payload(&json!({ "resume": resume })), @r#"{"replies":[{"id":"i1","reply":"yes"},{"id":"i2","reply":true},{"id":"i3","reply":null}]}"#);
        let of_ours = [called("c1"), result("c1", json!({ "id": answered_id("c1") }))];
        insta::assert_snapshot!(payload(&json!({ "messages": of_ours })), @"{}");
    }

    #[test]
    fn who_goes_on_without_waiting_for_a_tool_tells_what_came_of_it() {
        let result = json!({ "id": "m", "role": "tool", "toolCallId": "c1", "content": "red" });
        let messages = [called("c1"), result, user(&json!("And now?"))];
        insta::assert_snapshot!(payload(&json!({ "messages": messages })), @r#"{"prompt":"[pick_colour gave: red]\n\nAnd now?"}"#);
        let abandoned = json!([{ "interruptId": "c1", "status": "cancelled" }]);
        let members = json!({ "resume": abandoned, "messages": [user(&json!("Never mind."))] });
        insta::assert_snapshot!(payload(&members), @r#"{"prompt":"Never mind."}"#);
    }

    #[test]
    fn a_tool_whose_result_is_here_is_there_though_it_is_not_offered_any_more() {
        let result = json!({ "id": "m", "role": "tool", "toolCallId": "c1", "content": "red" });
        let run = read(&json!({ "messages": [called("c1"), result] })).expect("it makes sense");
        assert!(run.tools.has("pick_colour"));
        let run = read(&json!({ "messages": [called("c1"), user(&json!("Hi"))] })).expect("it makes sense");
        assert!(!run.tools.has("pick_colour"));
    }

    #[test]
    fn what_makes_no_sense_is_told_by_its_place_and_not_by_what_it_says() {
        let tool = |name: &str| json!({ "name": name, "description": "A tool" });
        let image = json!([{ "type": "image", "source": { "type": "url", "value": "https://example.com" } }]);
        let refusals = [
            json!({ "threadId": " " }),
            json!({ "messages": [{ "id": "1", "role": "wizard", "content": "secret" }] }),
            json!({ "messages": [{ "id": "1", "role": "user", "content": 7 }] }),
            json!({ "messages": [user(&image)] }),
            json!({ "messages": [user(&json!([{ "type": "audio", "source": { "type": "url", "value": "x" } }]))] }),
            json!({ "messages": [{ "id": "1", "role": "tool", "toolCallId": "c", "content": image }] }),
            json!({ "tools": [tool("not a name")] }),
            json!({ "tools": [tool("twice"), tool("twice")] }),
            json!({ "tools": [{ "name": "list", "description": "A tool", "parameters": { "type": "array" } }] }),
            json!({ "forwardedProps": "secret" }),
            json!({ "resume": [{ "interruptId": "i", "status": "secret" }] }),
            json!({ "resume": [{ "interruptId": "i", "status": "resolved" }], "messages": [user(&json!("Hi"))] }),
        ];
        insta::assert_snapshot!(refusals.map(|members| refused(&members)).join("\n"), @"
        `threadId` is blank; make an id up for it
        `messages[0].role` must be one of `user`, `assistant`, `tool`, `developer`, `system`, `activity`, `reasoning`
        `messages[0]` is not what it should be
        `messages[0].content[0]` must have its bytes in it: a source of the type `data`
        `messages[0].content[0]` must be text, an image or a document
        `messages[0].content` must be text: a tool's result has no other parts here
        `tools[0].name` must have 1 to 64 of a-z, A-Z, 0-9, _ and -
        `tools[1].name` is another tool's already; give each its own
        `tools[0].parameters` must be the JSON schema of an object, or be left out
        `forwardedProps` must be an object: its members are the agent's payload's
        `resume[0].status` must be `resolved` or `cancelled`
        `resume` answers the agent; send what else the user says in a run of its own
        ");
        insta::assert_snapshot!(Run::read(b"{}").expect_err("nothing").sentence, @"the payload has a missing field `threadId`");
    }
}
