use std::sync::Arc;

use agentcore_core::history::{
    CompleteTurn, INTERRUPTED, OPENED, PausedTurn, complete, estimate_block, newest_within, without_media_bytes,
};
use agentcore_core::message::{
    ContentBlock, Document, DocumentFormat, Image, ImageFormat, MediaSource, Message, Role, ToolResult,
    ToolResultContent, ToolResultStatus, ToolUse,
};
use agentcore_core::settings::{CONTEXT_TOKENS, DEFAULT_HISTORY_TOKENS};
use agentcore_core::tool::Question;
use agentcore_core::turn::TurnRequest;
use proptest::prelude::*;

use crate::converse_rules::{assert_can_go_on, call_id, text};

fn block() -> impl Strategy<Value = ContentBlock> {
    prop_oneof![
        4 => text().prop_map(ContentBlock::Text),
        1 => call_id().prop_map(|tool_use_id| ContentBlock::ToolUse(ToolUse {
            tool_use_id,
            name: "weigh".into(),
            input: serde_json::json!({}),
        })),
        1 => call_id().prop_map(|id| ContentBlock::ToolResult(ToolResult::error(id, "no scale"))),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let role = prop_oneof![Just(Role::User), Just(Role::Assistant)];
    (role, prop::collection::vec(block(), 0..4)).prop_map(|(role, content)| Message { role, content })
}

fn messages_of(turns: &[CompleteTurn]) -> Vec<Message> {
    turns.iter().flat_map(CompleteTurn::messages).cloned().collect()
}

fn texts_of(messages: &[Message]) -> Vec<String> {
    let blocks = messages.iter().flat_map(|message| &message.content);
    let texts = blocks.filter_map(ContentBlock::as_text).filter(|text| !text.trim().is_empty());
    texts.filter(|text| ![INTERRUPTED, OPENED].contains(text)).map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn whatever_was_stored_the_next_call_can_use_it(messages in prop::collection::vec(message(), 0..12)) {
        let turns = complete(messages);
        for turn in &turns {
            assert_can_go_on(turn.messages());
        }
        assert_can_go_on(&messages_of(&turns));
    }

    #[test]
    fn no_text_is_lost_and_the_order_stays(messages in prop::collection::vec(message(), 0..12)) {
        let texts = texts_of(&messages);
        prop_assert_eq!(texts_of(&messages_of(&complete(messages))), texts);
    }

    #[test]
    fn what_is_complete_stays_as_it_is(messages in prop::collection::vec(message(), 0..12)) {
        let once = complete(messages);
        prop_assert_eq!(complete(messages_of(&once)), once);
    }

    #[test]
    fn the_window_is_the_longest_end_that_fits(lengths in prop::collection::vec(0_usize..200, 0..20), budget in 0_usize..800) {
        let turns: Vec<_> = lengths
            .iter()
            .flat_map(|&length| complete([Message::user("q".repeat(length + 1)), Message::assistant("a")]))
            .map(Arc::new)
            .collect();
        let kept = newest_within(&turns, budget);
        let cost = |turns: &[Arc<CompleteTurn>]| turns.iter().map(|turn| turn.estimated_tokens()).sum::<usize>();
        prop_assert_eq!(kept, &turns[turns.len() - kept.len()..]);
        prop_assert!(cost(kept) <= budget);
        if kept.len() < turns.len() {
            prop_assert!(cost(&turns[turns.len() - kept.len() - 1..]) > budget, "one more would have fitted");
        }
    }
}

#[test]
fn given_a_turn_killed_between_call_and_result_then_the_call_is_answered_with_what_is_known() {
    let call = ToolUse { tool_use_id: "call-1".into(), name: "weigh".into(), input: serde_json::json!({}) };
    let turns = complete([
        Message::user("How am I doing?"),
        Message { role: Role::Assistant, content: vec![ContentBlock::ToolUse(call)] },
        Message::user("Hello? Are you there?"),
        Message::assistant("I am."),
    ]);
    insta::assert_json_snapshot!(messages_of(&turns), @r#"
    [
      {
        "role": "user",
        "content": [
          {
            "text": "How am I doing?"
          }
        ]
      },
      {
        "role": "assistant",
        "content": [
          {
            "toolUse": {
              "toolUseId": "call-1",
              "name": "weigh",
              "input": {}
            }
          }
        ]
      },
      {
        "role": "user",
        "content": [
          {
            "toolResult": {
              "toolUseId": "call-1",
              "content": [
                {
                  "text": "The call was interrupted; its result is not known."
                }
              ],
              "status": "error"
            }
          }
        ]
      },
      {
        "role": "assistant",
        "content": [
          {
            "text": "[The answer was interrupted.]"
          }
        ]
      },
      {
        "role": "user",
        "content": [
          {
            "text": "Hello? Are you there?"
          }
        ]
      },
      {
        "role": "assistant",
        "content": [
          {
            "text": "I am."
          }
        ]
      }
    ]
    "#);
}

#[test]
fn given_messages_one_an_event_then_they_are_the_same_turn() {
    let whole = complete([Message::user("Hi"), Message::assistant("Hello")]);
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].messages(), [Message::user("Hi"), Message::assistant("Hello")]);
}

#[test]
fn given_an_answer_without_a_question_then_it_is_kept() {
    let turns = complete([Message::assistant("Welcome!")]);
    assert_eq!(turns[0].messages(), [Message::user(OPENED), Message::assistant("Welcome!")]);
}

fn picture(source: MediaSource) -> Image {
    Image { format: ImageFormat::Png, source }
}

fn bytes(count: usize) -> MediaSource {
    MediaSource::Bytes(vec![0; count].into())
}

#[test]
fn later_turns_read_what_was_there_in_place_of_its_bytes_and_keep_what_is_in_s3() {
    let in_s3 = MediaSource::S3Location { uri: "s3://photos/1.png".into(), bucket_owner: None };
    let file = Document { format: DocumentFormat::Pdf, name: "meal plan".into(), source: bytes(1_200_000) };
    let weighed = ToolResult {
        tool_use_id: "call-1".into(),
        content: vec![ToolResultContent::Text("Look:".into()), ToolResultContent::Image(picture(bytes(34_512)))],
        status: ToolResultStatus::Success,
    };
    let later = without_media_bytes(vec![
        Message {
            role: Role::User,
            content: vec![
                ContentBlock::Text("Read these.".into()),
                ContentBlock::Image(picture(in_s3)),
                ContentBlock::Document(file),
            ],
        },
        Message { role: Role::User, content: vec![ContentBlock::ToolResult(weighed)] },
    ]);
    insta::assert_snapshot!(serde_json::to_string(&later[0].content).expect("JSON"), @r#"[{"text":"Read these."},{"image":{"format":"png","source":{"s3Location":{"uri":"s3://photos/1.png"}}}},{"text":"[A document (pdf, 1200000 bytes, named \"meal plan\") was here.]"}]"#);
    insta::assert_snapshot!(serde_json::to_string(&later[1].content).expect("JSON"), @r#"[{"toolResult":{"toolUseId":"call-1","content":[{"text":"Look:"},{"text":"[An image (png, 34512 bytes) was here.]"}],"status":"success"}}]"#);
}

#[test]
fn a_picture_costs_what_the_model_reads_of_it_and_not_its_bytes() {
    let content = vec![ContentBlock::Text("Look".into()), ContentBlock::Image(picture(bytes(3_000_000)))];
    let turn = complete([Message { role: Role::User, content }, Message::assistant("Nice.")]).remove(0);
    assert!((1_000..3_000).contains(&turn.estimated_tokens()), "{}", turn.estimated_tokens());
    assert!(turn.without_media_bytes().estimated_tokens() < 50);
}

fn file(format: DocumentFormat, count: usize) -> ContentBlock {
    ContentBlock::Document(Document { format, name: "plan".into(), source: bytes(count) })
}

#[test]
fn a_file_is_estimated_by_what_the_model_may_read_of_it_and_not_by_its_bytes() {
    let tokens = |format, count| estimate_block(&file(format, count));
    assert_eq!(tokens(DocumentFormat::Pdf, 900), 1_002, "a small one");
    assert_eq!(tokens(DocumentFormat::Pdf, 80_000), 10_002);
    assert_eq!(tokens(DocumentFormat::Docx, 4_500_000), 20_002, "a large one");
    assert_eq!(tokens(DocumentFormat::Csv, 30_000), 10_002, "text is what it is");
    let in_s3 = MediaSource::S3Location { uri: "s3://plans/1.pdf".into(), bucket_owner: None };
    let unseen = Document { format: DocumentFormat::Pdf, name: "plan".into(), source: in_s3 };
    assert_eq!(estimate_block(&ContentBlock::Document(unseen)), 7_000);
    let ContentBlock::Document(given) = file(DocumentFormat::Pdf, 80_000) else { unreachable!() };
    let given = ToolResult {
        tool_use_id: "call-1".into(),
        content: vec![ToolResultContent::Document(given), ToolResultContent::Image(picture(bytes(3_000_000)))],
        status: ToolResultStatus::Success,
    };
    assert_eq!(estimate_block(&ContentBlock::ToolResult(given)), 10_002 + 1_600 + 30);
}

#[test]
fn whatever_files_converse_takes_the_history_still_fits_beside_them() {
    let mut content = vec![ContentBlock::Text("Read these.".into())];
    content.extend((0..5).map(|_| file(DocumentFormat::Pdf, 4_500_000)));
    content.extend((0..20).map(|_| ContentBlock::Image(picture(bytes(3_700_000)))));
    let room = CONTEXT_TOKENS - TurnRequest::saying(content).estimated_tokens();
    assert!(room >= DEFAULT_HISTORY_TOKENS, "{room} tokens are left");
}

proptest! {
    #[test]
    fn a_paused_turn_is_closed_whatever_is_known_of_its_calls(
        messages in prop::collection::vec(message(), 0..6),
        results in prop::collection::vec(call_id(), 0..3),
        questions in prop::collection::vec(call_id(), 0..3),
    ) {
        let ask = |id: String| Question { id, tool: "weigh".into(), question: "May I?".into(), details: serde_json::Value::Null };
        let paused = PausedTurn {
            messages,
            results: results.into_iter().map(|id| ToolResult::error(id, "no scale")).collect(),
            questions: questions.into_iter().map(ask).collect(),
            route: None,
            broken_off: None,
        };
        let closed = paused.closed();
        assert_can_go_on(&messages_of(&closed));
        prop_assert_eq!(texts_of(&messages_of(&closed)), texts_of(&paused.messages));
    }
}
