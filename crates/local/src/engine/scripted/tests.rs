//! The scripted engine as an agent meets it: a system prompt and messages in, an answer out.

use futures::StreamExt;
use serde_json::{Value, json};

use super::{Scripted, tokens};
use crate::engine::conversation::{Conversation, StopReason, ToolUse, Usage};
use crate::engine::{Engine, Piece};

const COACH: &str = "You are a weight management coach. Style: gentle.";
const GREETER: &str = "You are a friendly agent. Begin with \"Hello from AgentCore!\" and one cheerful line.";

/// What came of one conversation.
#[derive(Debug)]
struct Answer {
    text: String,
    calls: Vec<ToolUse>,
    reason: StopReason,
    usage: Usage,
}

async fn ask(request: Value) -> Answer {
    let conversation: Conversation = serde_json::from_value(request).expect("a request");
    let pieces: Vec<_> = Scripted.answer(conversation).collect().await;
    let mut text = String::new();
    let mut calls = Vec::new();
    for piece in pieces {
        match piece.expect("the scripted engine never fails") {
            Piece::Text(delta) => text.push_str(&delta),
            Piece::ToolUse(call) => calls.push(call),
            Piece::End { reason, usage } => {
                return Answer { text, calls, reason, usage };
            }
        }
    }
    panic!("an answer without an end: {text}");
}

/// A request with turns of user and assistant, the user first.
fn request(system: &str, turns: &[&str]) -> Value {
    let messages: Vec<Value> = turns
        .iter()
        .zip(["user", "assistant"].iter().cycle())
        .map(|(text, role)| json!({ "role": role, "content": [{ "text": text }] }))
        .collect();
    json!({ "system": [{ "text": system }], "messages": messages })
}

async fn says(system: &str, turns: &[&str]) -> String {
    ask(request(system, turns)).await.text
}

#[tokio::test]
async fn a_quoted_greeting_opens_the_conversation_and_only_that() {
    insta::assert_snapshot!(says(GREETER, &["Hi"]).await, @"Hello from AgentCore! It's lovely to hear from you, and everything is running smoothly!");
    insta::assert_snapshot!(says(GREETER, &["What is 2 + 2?"]).await, @"Hello from AgentCore! Thanks, I read you loud and clear: “What is 2 + 2?”");
    insta::assert_snapshot!(says(GREETER, &["Hi", "Hello from AgentCore!", "My name is Aoife"]).await, @"It's a pleasure to meet you, Aoife! I'll remember your name.");
    insta::assert_snapshot!(says(GREETER, &["I'm Aoife", "Hello!", "What's my name?"]).await, @"Your name is Aoife.");
}

#[tokio::test]
async fn the_coach_recalls_across_turns_and_only_what_it_was_sent() {
    let with_history = ["I'm Aoife and I want to lose 5 kg", "Welcome!", "What's my name and what is my goal?"];
    insta::assert_snapshot!(says(COACH, &with_history).await, @"Your name is Aoife. You told me that your goal is to lose 5 kg. Shall we choose one gentle step for the days ahead?");
    insta::assert_snapshot!(says(COACH, &["What's my name?"]).await, @"I don't know your name yet; you haven't told me. What would feel manageable for tomorrow?");
    insta::assert_snapshot!(says(COACH, &["I had a setback", "It happens.", "What did I just tell you?"]).await, @"You told me: “I had a setback”. Shall we choose one gentle step for the days ahead?");
}

#[tokio::test]
async fn the_coach_uses_the_name_it_was_told() {
    let answer = says(COACH, &["My name is Aoife", "Welcome!", "I had a setback today"]).await;
    assert!(answer.contains("Aoife"), "{answer}");
    assert!(answer.ends_with('?'), "does not look forward: {answer}");
}

#[tokio::test]
async fn danger_is_answered_before_any_question_about_the_past() {
    let answer = says(COACH, &["I want to kill myself. What's my name?"]).await;
    assert!(answer.contains("112"), "{answer}");
}

#[tokio::test]
async fn a_prompt_without_a_part_to_play_makes_a_plain_assistant() {
    insta::assert_snapshot!(says("Be brief.", &["Hello"]).await, @"Hello! How can I help you today?");
    insta::assert_snapshot!(says("Be brief.", &["Good evening to all you lovely people out there tonight"]).await, @"Thanks, I read you loud and clear: “Good evening to all you lovely people out there tonight”");
}

#[tokio::test]
async fn the_same_conversation_has_the_same_answer() {
    let turns = ["I had a setback today"];
    assert_eq!(says(COACH, &turns).await, says(COACH, &turns).await);
}

#[tokio::test]
async fn max_tokens_cuts_the_answer_where_its_count_says() {
    let whole = ask(request(COACH, &["I had a setback today"])).await;
    let mut bounded = request(COACH, &["I had a setback today"]);
    bounded["inferenceConfig"] = json!({ "maxTokens": 10 });

    let cut = ask(bounded).await;

    assert_eq!(whole.reason, StopReason::EndTurn);
    assert_eq!(cut.reason, StopReason::MaxTokens);
    assert_eq!(cut.usage.output_tokens, 10);
    assert_eq!(tokens::count(&cut.text), 10);
    assert!(whole.text.starts_with(&cut.text));
}

#[tokio::test]
async fn a_stop_sequence_ends_the_answer_before_itself() {
    let mut request = request(GREETER, &["Hi"]);
    request["inferenceConfig"] = json!({ "stopSequences": ["from"] });

    let answer = ask(request).await;

    assert_eq!(answer.reason, StopReason::StopSequence);
    assert_eq!(answer.text, "Hello ");
}

fn with_tool(text: &str) -> Value {
    let mut request = request(COACH, &[text]);
    request["toolConfig"] = json!({ "tools": [{ "toolSpec": {
        "name": "log_weight",
        "inputSchema": { "json": {
            "type": "object",
            "properties": { "kilograms": { "type": "number" } },
            "required": ["kilograms"],
        }},
    }}]});
    request
}

#[tokio::test]
async fn a_tool_asked_for_by_name_is_called_with_what_the_message_gives() {
    let answer = ask(with_tool("Please log weight 81.5 for me")).await;

    assert_eq!(answer.reason, StopReason::ToolUse);
    assert_eq!(answer.text, "");
    let [call] = answer.calls.as_slice() else {
        panic!("one call, not {:?}", answer.calls);
    };
    assert_eq!(call.name, "log_weight");
    assert_eq!(call.input, json!({ "kilograms": 81.5 }));
}

#[tokio::test]
async fn a_tool_nobody_asks_for_stays_unused_unless_the_request_demands_it() {
    let unasked = ask(with_tool("I had a setback")).await;
    assert_eq!(unasked.calls, []);

    let mut demanded = with_tool("I had a setback");
    demanded["toolConfig"]["toolChoice"] = json!({ "any": {} });
    assert_eq!(ask(demanded).await.calls.len(), 1);
}

#[tokio::test]
async fn a_tool_result_is_what_the_answer_tells() {
    let mut request = with_tool("log weight 81.5");
    let messages = request["messages"].as_array_mut().expect("messages");
    let call = json!({ "toolUseId": "t1", "name": "log_weight", "input": {} });
    messages.push(json!({ "role": "assistant", "content": [{ "toolUse": call }] }));
    let result = json!({ "toolUseId": "t1", "content": [{ "json": { "saved": true } }] });
    messages.push(json!({ "role": "user", "content": [{ "toolResult": result }] }));

    insta::assert_snapshot!(ask(request).await.text, @r#"Here is what I found: {"saved":true}"#);
}

#[tokio::test]
async fn a_final_message_of_the_assistant_is_continued_exactly_where_it_ends() {
    let whole = says(COACH, &["I had a setback today"]).await;
    for (cut, _) in whole.char_indices().skip(1) {
        let said = whole[..cut].trim_end();
        let rest = ask(request(COACH, &["I had a setback today", said])).await;
        assert_eq!(format!("{said}{}", rest.text), whole);
        assert_eq!(rest.reason, StopReason::EndTurn);
        assert_eq!(rest.usage.output_tokens, tokens::count(&rest.text));
    }
}

#[tokio::test]
async fn an_answer_that_was_said_whole_is_continued_with_nothing() {
    let whole = says(COACH, &["I had a setback today"]).await;
    assert_eq!(says(COACH, &["I had a setback today", &whole]).await, "");
}

#[tokio::test]
async fn words_the_engine_would_not_have_said_are_gone_on_from() {
    insta::assert_snapshot!(says(COACH, &["I had a setback today", "Bananas"]).await, @" That is as far as I would go for now; tell me what you think.");
}

/// Goes on with `request` as an agent would, with `ok` for every call, until the model speaks.
async fn turn(mut request: Value) -> (Vec<Vec<ToolUse>>, String) {
    let mut rounds = Vec::new();
    loop {
        let answer = ask(request.clone()).await;
        if answer.calls.is_empty() {
            return (rounds, answer.text);
        }
        let messages = request["messages"].as_array_mut().expect("messages");
        let calls = answer.calls.iter().map(|call| json!({ "toolUse": call }));
        messages.push(json!({ "role": "assistant", "content": calls.collect::<Vec<_>>() }));
        let result =
            |call: &ToolUse| json!({ "toolResult": { "toolUseId": call.tool_use_id, "content": [{ "text": "ok" }] } });
        messages.push(json!({ "role": "user", "content": answer.calls.iter().map(result).collect::<Vec<_>>() }));
        rounds.push(answer.calls);
    }
}

#[tokio::test]
async fn a_script_in_the_prompt_orders_rounds_of_calls() {
    let prompt = r#"[[tool log_weight {"kilograms": "much"}]] [[tool log_weight; tool nope {"a": 1}]] I weigh 82"#;

    let (rounds, text) = turn(with_tool(prompt)).await;

    let told = |call: &ToolUse| format!("{} {} {}", call.tool_use_id, call.name, call.input);
    let told: Vec<String> = rounds.iter().map(|calls| calls.iter().map(told).collect::<Vec<_>>().join(" + ")).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    tooluse_scripted_0001 log_weight {"kilograms":"much"}
    tooluse_scripted_0003 log_weight {"kilograms":82.0} + tooluse_scripted_0003_1 nope {"a":1}
    "#);
    insta::assert_snapshot!(text, @"
    Here is what I found: ok
    Here is what I found: ok
    ");
}

#[tokio::test]
async fn a_script_can_go_on_for_hundreds_of_rounds() {
    let (rounds, _) = turn(with_tool("[[tool log_weight {} *300]]")).await;
    assert_eq!(rounds.len(), 300);
}

#[tokio::test]
async fn a_tool_that_must_be_called_is_called_whatever_came_before() {
    let mut request = with_tool("I had a setback");
    request["toolConfig"]["toolChoice"] = json!({ "tool": { "name": "log_weight" } });
    let messages = request["messages"].as_array_mut().expect("messages");
    let call = json!({ "toolUseId": "t1", "name": "log_weight", "input": {} });
    messages.push(json!({ "role": "assistant", "content": [{ "toolUse": call }] }));
    let result = json!({ "toolUseId": "t1", "content": [{ "text": "no kilograms" }], "status": "error" });
    messages.push(json!({ "role": "user", "content": [{ "toolResult": result }] }));

    let answer = ask(request).await;

    assert_eq!((answer.calls[0].name.as_str(), &answer.calls[0].input), ("log_weight", &json!({ "kilograms": 1.0 })));
}

#[tokio::test]
async fn images_and_documents_are_named() {
    let mut request = request("Be brief.", &["Hello"]);
    let content = request["messages"][0]["content"].as_array_mut().expect("content");
    content.push(json!({ "image": { "format": "png", "source": { "bytes": "aGk=" } } }));
    content.push(json!({ "document": { "format": "pdf", "name": "My plan (2)", "source": { "bytes": "aGk=" } } }));

    insta::assert_snapshot!(ask(request).await.text, @"Hello! How can I help you today? I have seen a png image and the document My plan (2).");
}
