use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_core::drive::{Delivery, TurnEvent, drive, gather_tools};
use agentcore_core::message::{
    ContentBlock, Document, DocumentFormat, Image, ImageFormat, MediaSource, StopReason, ToolResultContent,
};
use agentcore_core::model::ToolChoice;
use agentcore_core::tool::typed::{JsonSchema, tool};
use agentcore_core::tool::{Tool, ToolCall, ToolFailure, ToolOutput, ToolSource, ToolSpec};
use agentcore_core::turn::{TurnError, TurnRequest};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::converse_rules::refusal_of;
use crate::outcome::{paused, remembered};
use crate::played::{Played, answers, calls, says};

/// Looks up what 100 g of a food contain.
///
/// Use it before you name a number.
#[derive(Deserialize, JsonSchema)]
struct LookUpFood {
    /// The food, in plain words.
    food: String,
    /// How much of it.
    #[serde(default)]
    amount: Option<Amount>,
}

/// An amount.
#[derive(Deserialize, JsonSchema)]
struct Amount {
    grams: u32,
    state: State,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Raw,
    Cooked,
}

async fn look_up_food(asked: LookUpFood, call: ToolCall) -> Result<String, ToolFailure> {
    call.progress(format!("looking up {}", asked.food));
    let grams = asked.amount.map_or(100, |amount| amount.grams + u32::from(matches!(amount.state, State::Cooked)));
    match asked.food.as_str() {
        "apple" => Ok(format!("{grams} g: {} kcal", grams * 52 / 100)),
        "nothing" => Ok(String::new()),
        "poison" => panic!("this panics on purpose"),
        "stone" => std::future::pending().await,
        unknown => Err(ToolFailure::failed(format!("There is no entry for {unknown}."))),
    }
}

fn results(outcome: &agentcore_core::turn::TurnOutcome, message: usize) -> String {
    let told = remembered(outcome)[message].tool_results();
    let told = told.map(|result| {
        let content = serde_json::to_string(&result.content).expect("JSON");
        format!("{} {:?} {content}", result.tool_use_id, result.status)
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_tools_name_description_and_schema_come_from_its_type() {
    let spec = tool(look_up_food).spec();
    insta::assert_snapshot!(spec.name, @"look_up_food");
    insta::assert_snapshot!(spec.description, @"
    Looks up what 100 g of a food contain.

    Use it before you name a number.
    ");
    insta::assert_json_snapshot!(spec.input_schema, @r#"
    {
      "type": "object",
      "properties": {
        "food": {
          "type": "string",
          "description": "The food, in plain words."
        },
        "amount": {
          "type": [
            "object",
            "null"
          ],
          "properties": {
            "grams": {
              "type": "integer",
              "format": "uint32",
              "minimum": 0
            },
            "state": {
              "type": "string",
              "enum": [
                "raw",
                "cooked"
              ]
            }
          },
          "required": [
            "grams",
            "state"
          ],
          "description": "How much of it."
        }
      },
      "required": [
        "food"
      ]
    }
    "#);
    assert_eq!(tool(look_up_food).named("food").spec().name, "food");
}

#[tokio::test(start_paused = true)]
async fn of_one_round_each_tool_fails_hangs_and_panics_alone() {
    let round = calls(&[
        ("1", "look_up_food", json!({"food": "apple", "amount": {"grams": 50, "state": "raw"}})),
        ("2", "look_up_food", json!({"food": "poison"})),
        ("3", "look_up_food", json!({"food": "stone"})),
        ("4", "look_up_food", json!({"food": "air"})),
        ("5", "look_up_food", json!({"food": "apple", "amount": {"grams": 50, "state": "burnt"}})),
        ("6", "look_up_food", json!({"food": 7})),
        ("7", "look_up_food", json!({"food": "nothing"})),
        ("8", "eat", json!({})),
    ]);
    let model = Played::new([round, says("52 kcal.")]);
    let request = TurnRequest::new("What is in it?").tool(tool(look_up_food).within(Duration::from_secs(5)));
    let outcome = model.performs(request.begin(Vec::new())).await;
    insta::assert_snapshot!(results(&outcome, 2), @r#"
    1 Success [{"text":"50 g: 26 kcal"}]
    2 Error [{"text":"The tool failed unexpectedly."}]
    3 Error [{"text":"The tool gave no result within 5 s."}]
    4 Error [{"text":"There is no entry for air."}]
    5 Error [{"text":"The arguments do not fit the schema at `amount.state`: unknown variant `burnt`, expected `raw` or `cooked`."}]
    6 Error [{"text":"The arguments do not fit the schema at `food`: invalid type: integer `7`, expected a string."}]
    7 Success [{"text":"(The tool gave nothing back.)"}]
    8 Error [{"text":"There is no tool eat. The tools are: look_up_food."}]
    "#);
    assert_eq!(outcome.tools.calls, 8);
}

#[tokio::test]
async fn tools_tell_a_streaming_caller_how_far_they_are() {
    let model = Played::new([calls(&[("1", "look_up_food", json!({"food": "apple"}))]), says("52 kcal.")]);
    let (_, seen) = model.streams(TurnRequest::new("?").tool(tool(look_up_food)).begin(Vec::new())).await;
    let told: Vec<_> = seen.iter().filter(|event| matches!(event, TurnEvent::Progress(_))).collect();
    insta::assert_debug_snapshot!(told, @r#"
    [
        Progress(
            ToolProgress {
                tool_use_id: "1",
                name: "look_up_food",
                message: "looking up apple",
            },
        ),
    ]
    "#);
}

/// Measures how many of it run at once.
#[derive(Deserialize, JsonSchema)]
struct Dwell {}

#[tokio::test(start_paused = true)]
async fn tools_of_a_round_run_side_by_side_up_to_a_bound() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let dwell = tool(move |_: Dwell, _call: ToolCall| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&counted));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok("done")
        }
    });
    let ids: Vec<String> = (0..20).map(|id| id.to_string()).collect();
    let round: Vec<_> = ids.iter().map(|id| (id.as_str(), "dwell", json!({}))).collect();
    let model = Played::new([calls(&round), says("Done.")]);
    let began = Instant::now();
    let outcome = model.performs(TurnRequest::new("?").tool(dwell).begin(Vec::new())).await;
    assert_eq!(most.load(Ordering::SeqCst), 8);
    assert_eq!(began.elapsed().as_secs(), 3, "20 calls of a second, 8 at a time");
    let order: Vec<_> = remembered(&outcome)[2].tool_results().map(|result| result.tool_use_id.clone()).collect();
    assert_eq!(order, ids, "results are told in the order of the calls");
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_at_its_deadline_whatever_its_tools_do_and_keeps_what_came() {
    let round =
        calls(&[("1", "look_up_food", json!({"food": "stone"})), ("2", "look_up_food", json!({"food": "apple"}))]);
    let model = Played::new([round]);
    let request = TurnRequest::new("?").tool(tool(look_up_food).within(Duration::from_hours(1)));
    let began = Instant::now();
    let outcome = model.performs(request.begin(Vec::new())).await;
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(outcome.result, Err(TurnError::OutOfTime));
    insta::assert_snapshot!(results(&outcome, 2), @r#"
    1 Error [{"text":"The call was interrupted; its result is not known."}]
    2 Success [{"text":"100 g: 52 kcal"}]
    "#);
}

/// Counts how often it is dropped.
struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_turn_drops_its_tools() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dropped);
    let dwell = tool(move |_: Dwell, call: ToolCall| {
        let counts = Counts(Arc::clone(&counted));
        async move {
            call.cut.cancelled().await;
            drop(counts);
            Ok("never heard")
        }
    });
    let model = Played::new([calls(&[("1", "dwell", json!({}))])]);
    let stage = model.stage(Delivery::Whole);
    let cut = stage.cut.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cut.cancel();
    });
    let outcome = drive(TurnRequest::new("?").tool(dwell).begin(Vec::new()), &stage).await;
    assert_eq!(outcome.result, Err(TurnError::Cut));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_tool_can_show_a_picture() {
    let image = || Image { format: ImageFormat::Png, source: MediaSource::Bytes(vec![1, 2, 3].into()) };
    let show =
        tool(move |_: Dwell, _call: ToolCall| async move { Ok(ToolOutput::from(ToolResultContent::Image(image()))) });
    let model = Played::new([calls(&[("1", "dwell", json!({}))]), says("Nice.")]);
    model.performs(TurnRequest::new("?").tool(show).begin(Vec::new())).await;
    insta::assert_json_snapshot!(model.asked()[1].messages[2], @r#"
    {
      "role": "user",
      "content": [
        {
          "toolResult": {
            "toolUseId": "1",
            "content": [
              {
                "image": {
                  "format": "png",
                  "source": {
                    "bytes": "AQID"
                  }
                }
              }
            ],
            "status": "success"
          }
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_tool_can_give_a_file() {
    let plan = || Document {
        format: DocumentFormat::Pdf,
        name: "meal plan".into(),
        source: MediaSource::Bytes(vec![1, 2, 3].into()),
    };
    let give =
        tool(move |_: Dwell, _call: ToolCall| async move { Ok(ToolOutput::from(ToolResultContent::Document(plan()))) });
    let model = Played::new([calls(&[("1", "dwell", json!({}))]), says("Here is your plan.")]);
    let outcome = model.performs(TurnRequest::new("?").tool(give).begin(Vec::new())).await;
    insta::assert_json_snapshot!(model.asked()[1].messages[2], @r#"
    {
      "role": "user",
      "content": [
        {
          "toolResult": {
            "toolUseId": "1",
            "content": [
              {
                "document": {
                  "format": "pdf",
                  "name": "meal plan",
                  "source": {
                    "bytes": "AQID"
                  }
                }
              }
            ],
            "status": "success"
          }
        }
      ]
    }
    "#);
    assert_eq!(refusal_of(&model.asked()[1]), None);
    assert_eq!(outcome.result.expect("an answer").message.text(), "Here is your plan.");
}

// === how the model is told ===

#[derive(Deserialize, JsonSchema)]
struct WeighOnScale {}

#[tokio::test]
async fn a_tool_that_says_nothing_of_itself_is_described_by_its_name() {
    let weigh = || tool(|_: WeighOnScale, _call: ToolCall| async { Ok("72 kg") });
    assert_eq!(weigh().spec().description, "Weigh on scale.");
    assert_eq!(weigh().named("step_on_it").spec().description, "Step on it.");
    let model = Played::new([says("72 kg.")]);
    model.performs(TurnRequest::new("?").tool(weigh()).begin(Vec::new())).await;
    assert_eq!(refusal_of(&model.asked()[0]), None);
}

/// A tool as somebody writes it by hand.
struct ByHand(&'static str, &'static str, serde_json::Value);

impl Tool for ByHand {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: self.0.into(), description: self.1.into(), input_schema: self.2.clone() }
    }

    fn call(&self, _call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        unreachable!("nobody calls it")
    }
}

struct Source(Mutex<Vec<Arc<dyn Tool>>>);

impl ToolSource for Source {
    fn tools(&self) -> BoxFuture<'_, Vec<Arc<dyn Tool>>> {
        let tools = std::mem::take(&mut *self.0.lock().expect("the list"));
        Box::pin(async { tools })
    }
}

#[tokio::test]
async fn a_tool_that_bedrock_would_refuse_is_refused_where_it_is_given_with_the_reason() {
    let object = || json!({"type": "object"});
    let refused = || {
        [
            ByHand("weigh it", "Weighs.", object()),
            ByHand("weigh", " ", object()),
            ByHand("weigh", "Weighs.", json!({"type": "array"})),
            ByHand("taken", "Weighs.", object()),
        ]
    };
    let request = || TurnRequest::new("?").tool(ByHand("taken", "Takes.", object()));
    let reasons = refused().map(|tool| {
        let panic = std::panic::catch_unwind(|| drop(request().tool(tool))).expect_err("it is refused");
        panic.downcast_ref::<String>().expect("a sentence").clone()
    });
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    the tool name `weigh it` is not of 1 to 64 of a-z, A-Z, 0-9, _ and -; give it another
    the tool `weigh` has no description; say what it does and when to use it
    the input schema of the tool `weigh` is not an object's; give it "type": "object" at its root
    the tool name `taken` is taken already; give one of the two another
    "#);

    let from_source = refused().map(|tool| Arc::new(tool) as Arc<dyn Tool>).into();
    let mut request = request().tool_source(Arc::new(Source(Mutex::new(from_source))));
    gather_tools(&mut request, &Played::new([]).stage(Delivery::Whole)).await;
    assert_eq!(request.toolbox().specs().len(), 1, "of a source's they are left out");
}

/// How much of what was eaten.
#[derive(Deserialize, JsonSchema)]
struct LogPortion {
    #[schemars(range(min = 1, max = 5000))]
    grams: u32,
    #[schemars(length(min = 2, max = 8))]
    food: String,
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    day: Option<String>,
    #[schemars(length(min = 1, max = 2))]
    #[serde(default = "one")]
    tags: Vec<Tag>,
    #[serde(default)]
    how: Option<How>,
}

fn one() -> Vec<Tag> {
    vec![Tag { stars: 1.0 }]
}

#[derive(Deserialize, JsonSchema)]
struct Tag {
    #[schemars(range(min = 0.5, max = 5.0))]
    #[serde(alias = "points")]
    stars: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum How {
    Cooked {
        #[schemars(range(max = 240))]
        minutes: u32,
    },
    Frozen {
        #[schemars(range(max = 900))]
        minutes: u32,
    },
}

#[tokio::test]
async fn the_bounds_of_a_schema_are_kept_though_its_type_knows_none() {
    let log = tool(|asked: LogPortion, _call: ToolCall| async move {
        let minutes = asked.how.map(|how| match how {
            How::Cooked { minutes } | How::Frozen { minutes } => minutes,
        });
        let stars: f64 = asked.tags.iter().map(|tag| tag.stars).sum();
        Ok(format!("{} g of {} {:?} {stars} {minutes:?}", asked.grams, asked.food, asked.day))
    });
    let with = |more: serde_json::Value| {
        let mut input = json!({"grams": 100, "food": "äpfel", "day": "2026-01-31"});
        input.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        input
    };
    let inputs = [
        with(json!({})),
        with(json!({"grams": 0})),
        with(json!({"grams": 5001})),
        with(json!({"food": "x"})),
        with(json!({"food": "äpfeläpfel"})),
        with(json!({"day": "yesterday"})),
        with(json!({"day": null})),
        with(json!({"tags": []})),
        with(json!({"tags": [{"stars": 1}, {"stars": 9.5}]})),
        with(json!({"tags": [{"points": 9.5}]})),
        with(json!({"how": {"kind": "frozen", "minutes": 600}})),
        with(json!({"how": {"kind": "cooked", "minutes": 600}})),
        with(json!({"how": {"kind": "fried", "minutes": 600}})),
    ];
    let ids: Vec<String> = (1..=inputs.len()).map(|id| id.to_string()).collect();
    let round: Vec<_> = ids.iter().zip(inputs).map(|(id, input)| (id.as_str(), "log_portion", input)).collect();
    let model = Played::new([calls(&round), says("Logged.")]);
    let outcome = model.performs(TurnRequest::new("?").tool(log).begin(Vec::new())).await;
    insta::assert_snapshot!(results(&outcome, 2), @r#"
    1 Success [{"text":"100 g of äpfel Some(\"2026-01-31\") 1 None"}]
    2 Error [{"text":"The arguments do not fit the schema at `grams`: 0 is not at least 1."}]
    3 Error [{"text":"The arguments do not fit the schema at `grams`: 5001 is not at most 5000."}]
    4 Error [{"text":"The arguments do not fit the schema at `food`: its length of 1 is not at least 2."}]
    5 Error [{"text":"The arguments do not fit the schema at `food`: its length of 10 is not at most 8."}]
    6 Error [{"text":"The arguments do not fit the schema at `day`: it does not match the pattern ^\\d{4}-\\d{2}-\\d{2}$."}]
    7 Success [{"text":"100 g of äpfel None 1 None"}]
    8 Error [{"text":"The arguments do not fit the schema at `tags`: its length of 0 is not at least 1."}]
    9 Error [{"text":"The arguments do not fit the schema at `tags[1].stars`: 9.5 is not at most 5.0."}]
    10 Success [{"text":"100 g of äpfel Some(\"2026-01-31\") 9.5 None"}]
    11 Success [{"text":"100 g of äpfel Some(\"2026-01-31\") 1 Some(600)"}]
    12 Error [{"text":"The arguments do not fit the schema at `how.minutes`: 600 is not at most 240."}]
    13 Error [{"text":"The arguments do not fit the schema at `how.kind`: unknown variant `fried`, expected `cooked` or `frozen`."}]
    "#);
}

/// Deletes what was logged on a day.
#[derive(Deserialize, JsonSchema)]
struct DeleteDay {
    day: String,
}

async fn delete_day(asked: DeleteDay, call: ToolCall) -> Result<String, ToolFailure> {
    match &call.reply {
        None => Err(call.ask_with(format!("Delete {}?", asked.day), json!({"choices": ["yes", "no"]}))),
        Some(reply) if reply == "yes" => Ok(format!("{} is deleted.", asked.day)),
        Some(_) => Ok("The user said no.".to_owned()),
    }
}

#[tokio::test]
async fn a_tool_asks_a_person_and_goes_on_when_the_answer_comes() {
    let model = Played::new([calls(&[("1", "delete_day", json!({"day": "Monday"}))]), says("Monday is gone.")]);
    let outcome = model.performs(TurnRequest::new("Delete Monday").tool(tool(delete_day)).begin(Vec::new())).await;
    insta::assert_json_snapshot!(outcome.result.as_ref().expect("a question").questions, @r#"
    [
      {
        "id": "1",
        "tool": "delete_day",
        "question": "Delete Monday?",
        "details": {
          "choices": [
            "yes",
            "no"
          ]
        }
      }
    ]
    "#);
    let replies = serde_json::from_value(json!([{"id": "1", "reply": "yes"}])).expect("replies");
    let waiting = paused(&outcome).expect("a paused turn").clone();
    let resumed = TurnRequest::replying(replies).tool(tool(delete_day)).resume(Vec::new(), waiting);
    let outcome = model.performs(resumed).await;
    assert_eq!(outcome.result.as_ref().expect("an answer").message.text(), "Monday is gone.");
    insta::assert_snapshot!(results(&outcome, 2), @r#"1 Success [{"text":"Monday is deleted."}]"#);
}

// === answers that are types ===

/// What the user ate.
#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
struct Meal {
    foods: Vec<String>,
    #[serde(default)]
    calories: Option<u32>,
}

#[tokio::test]
async fn an_answer_that_must_be_a_type_is_asked_again_until_it_is_one() {
    let model = Played::new([
        says("You ate an apple."),
        calls(&[("1", "meal", json!({"foods": "apple"}))]),
        calls(&[("2", "meal", json!({"foods": ["apple"], "calories": 52}))]),
    ]);
    let outcome = model.performs(TurnRequest::new("I ate an apple").returning::<Meal>().begin(Vec::new())).await;
    let answer = outcome.result.clone().expect("an answer");
    let meal: Meal = serde_json::from_value(answer.output.expect("an output")).expect("a meal");
    assert_eq!(meal, Meal { foods: vec!["apple".into()], calories: Some(52) });
    assert_eq!(answer.stop_reason, StopReason::EndTurn);
    assert_eq!(answer.message.text(), r#"{"foods":["apple"],"calories":52}"#);
    let asked = model.asked();
    insta::assert_json_snapshot!(asked[2].messages[2..], @r#"
    [
      {
        "role": "user",
        "content": [
          {
            "text": "Call the tool meal to give the answer."
          }
        ]
      },
      {
        "role": "assistant",
        "content": [
          {
            "toolUse": {
              "toolUseId": "1",
              "name": "meal",
              "input": {
                "foods": "apple"
              }
            }
          }
        ]
      },
      {
        "role": "user",
        "content": [
          {
            "toolResult": {
              "toolUseId": "1",
              "content": [
                {
                  "text": "The arguments do not fit the schema at `foods`: invalid type: string \"apple\", expected a sequence."
                }
              ],
              "status": "error"
            }
          }
        ]
      }
    ]
    "#);
    assert_eq!(asked[0].tool_choice, ToolChoice::Tool("meal".into()));
    assert_eq!(remembered(&outcome).len(), 2, "the attempts are forgotten");
    assert_eq!(outcome.usage.total_tokens, 45, "and counted");
}

#[tokio::test]
async fn a_model_that_cannot_give_the_type_ends_the_turn_with_the_reason() {
    let wrong = || calls(&[("1", "meal", json!({}))]);
    let model = Played::new([wrong(), wrong(), wrong(), wrong()]);
    let outcome = model.performs(TurnRequest::new("?").returning::<Meal>().begin(Vec::new())).await;
    insta::assert_snapshot!(outcome.result.expect_err("no answer"), @"the model's answer is not what must be returned: The arguments do not fit the schema: missing field `foods`.; ask again, or make the type simpler");
    assert_eq!(model.asked().len(), 3);
    assert_eq!(outcome.keepsake, None);
}

#[tokio::test]
async fn tools_may_be_called_before_the_type_is_given() {
    let model = Played::new([
        calls(&[("1", "look_up_food", json!({"food": "apple"}))]),
        calls(&[("2", "meal", json!({"foods": ["apple"], "calories": 52}))]),
    ]);
    let request = TurnRequest::new("I ate an apple").tool(tool(look_up_food)).returning::<Meal>();
    let outcome = model.performs(request.begin(Vec::new())).await;
    assert!(outcome.result.clone().expect("an answer").output.is_some());
    assert_eq!(model.asked()[0].tool_choice, ToolChoice::Any);
    assert_eq!(remembered(&outcome).len(), 4);
}

#[tokio::test]
async fn when_rounds_run_out_the_model_may_only_give_the_type() {
    let looks_up = || {
        let mut round = calls(&[("1", "look_up_food", json!({"food": "apple"}))]);
        round.message.content.insert(0, ContentBlock::Text("Let me look.".into()));
        round
    };
    let meal = || calls(&[("2", "meal", json!({"foods": ["apple"]}))]);
    let only_the_type = ToolChoice::Tool("meal".into());
    for (rounds, answers) in [(1, vec![looks_up(), meal()]), (0, vec![looks_up(), meal()]), (0, vec![meal()])] {
        let model = Played::new(answers);
        let request = TurnRequest::new("?").tool(tool(look_up_food)).tool_rounds(rounds).returning::<Meal>();
        let outcome = model.performs(request.begin(Vec::new())).await;
        assert!(outcome.result.expect("an answer").output.is_some());
        assert_eq!(model.asked().last().expect("a question").tool_choice, only_the_type);
        assert_eq!(refusal_of(model.asked().last().expect("a question")), None);
    }
    let model = Played::new([looks_up(), looks_up(), looks_up(), looks_up()]);
    let request = TurnRequest::new("?").tool(tool(look_up_food)).tool_rounds(0).returning::<Meal>();
    let outcome = model.performs(request.begin(Vec::new())).await;
    insta::assert_snapshot!(outcome.result.expect_err("no answer"), @"the model's answer is not what must be returned: No other tool may be called any more. Call the tool meal to give the answer.; ask again, or make the type simpler");
    assert_eq!(outcome.tools.calls, 0);
}

/// How the day went.
#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "mood", rename_all = "lowercase")]
enum Day {
    Good {
        #[schemars(range(min = 1, max = 5))]
        stars: u8,
    },
    Bad {
        why: String,
    },
}

async fn returned<T: serde::de::DeserializeOwned + JsonSchema + 'static>(
    request: TurnRequest,
    name: &str,
    inputs: &[serde_json::Value],
) -> (T, Arc<Played>) {
    let model = Played::new(inputs.iter().map(|input| calls(&[("1", name, input.clone())])));
    let outcome = model.performs(request.returning::<T>().begin(Vec::new())).await;
    for asked in model.asked() {
        assert_eq!(refusal_of(&asked), None);
    }
    let output = outcome.result.expect("an answer").output.expect("an output");
    (serde_json::from_value(output).expect("the value itself"), model)
}

#[tokio::test]
async fn any_type_can_be_returned_and_the_caller_gets_the_value_itself() {
    let ask = || TurnRequest::new("What did I eat?");
    let meal = json!({"foods": ["apple"], "calories": 52});
    let (meals, model) = returned::<Vec<Meal>>(ask(), "array_of_meal", &[json!([]), json!({"value": [meal]})]).await;
    assert_eq!(meals, [Meal { foods: vec!["apple".into()], calories: Some(52) }]);
    assert_eq!(model.asked().len(), 2, "the list alone is asked for again");
    let (day, model) = returned::<Day>(
        ask(),
        "day",
        &[json!({"value": {"mood": "good", "stars": 9}}), json!({"value": {"mood": "good", "stars": 4}})],
    )
    .await;
    assert_eq!(day, Day::Good { stars: 4 });
    insta::assert_json_snapshot!(model.asked()[0].tools[0].input_schema, @r#"
    {
      "type": "object",
      "properties": {
        "value": {
          "oneOf": [
            {
              "type": "object",
              "properties": {
                "mood": {
                  "type": "string",
                  "const": "good"
                },
                "stars": {
                  "type": "integer",
                  "format": "uint8",
                  "minimum": 1,
                  "maximum": 5
                }
              },
              "required": [
                "mood",
                "stars"
              ]
            },
            {
              "type": "object",
              "properties": {
                "mood": {
                  "type": "string",
                  "const": "bad"
                },
                "why": {
                  "type": "string"
                }
              },
              "required": [
                "mood",
                "why"
              ]
            }
          ],
          "description": "How the day went."
        }
      },
      "required": [
        "value"
      ]
    }
    "#);
    insta::assert_json_snapshot!(model.asked()[1].messages[2].content[0], @r#"
    {
      "toolResult": {
        "toolUseId": "1",
        "content": [
          {
            "text": "The arguments do not fit the schema at `value.stars`: 9 is not at most 5."
          }
        ],
        "status": "error"
      }
    }
    "#);
    let (number, _) = returned::<Option<f64>>(ask(), "nullable_double", &[json!({"value": 1.5})]).await;
    assert_eq!(number, Some(1.5));
}

#[tokio::test]
async fn a_tool_may_have_the_name_of_the_type_that_is_returned() {
    let meal_tool = || tool(look_up_food).named("meal");
    let request = TurnRequest::new("?").tool(meal_tool());
    let (meal, model) = returned::<Meal>(request, "answer", &[json!({"foods": ["apple"]})]).await;
    assert_eq!(meal.foods, ["apple"]);
    let names: Vec<_> = model.asked()[0].tools.iter().map(|tool| tool.name.clone()).collect();
    assert_eq!(names, ["meal", "answer"]);
    let request = TurnRequest::new("?").tool(meal_tool()).tool(tool(look_up_food).named("answer"));
    returned::<Meal>(request, "answer_2", &[json!({"foods": ["apple"]})]).await;
}

/// What tools take need not be an object either.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Up,
    Down,
}

#[tokio::test]
async fn a_tool_may_take_an_enum() {
    let go = tool(|direction: Direction, _call: ToolCall| async move {
        Ok(match direction {
            Direction::Up => "up",
            Direction::Down => "down",
        })
    });
    let model = Played::new([calls(&[("1", "direction", json!({"value": "down"}))]), says("Down.")]);
    let outcome = model.performs(TurnRequest::new("?").tool(go).begin(Vec::new())).await;
    assert_eq!(refusal_of(&model.asked()[0]), None);
    assert_eq!(results(&outcome, 2), r#"1 Success [{"text":"down"}]"#);
}

#[tokio::test]
async fn words_beside_a_tool_call_that_is_one_too_many_are_the_answer() {
    let mut more = calls(&[("1", "look_up_food", json!({"food": "apple"}))]);
    more.message.content.insert(0, ContentBlock::Text("About 50 kcal.".into()));
    let model = Played::new([answers(more.message.content, StopReason::ToolUse)]);
    let request = TurnRequest::new("?").tool(tool(look_up_food)).tool_rounds(0);
    let outcome = model.performs(request.begin(Vec::new())).await;
    let answer = outcome.result.expect("an answer");
    assert_eq!(
        (answer.message.text().as_str(), answer.stop_reason),
        ("About 50 kcal.", StopReason::ToolRoundsExceeded)
    );
}
