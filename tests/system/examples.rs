//! Must show 6 of the loop: the example agents, hosted by the local AWS and invoked by boto3. Each begins a
//! process of its own for a session, and a session that goes on after its process was stopped does so in
//! another.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::foreign::{Script, python_script};
use crate::local_aws::LocalAws;

const SESSION: &str = "session-of-an-example-0123456789-0123";

/// The examples, built as the README of each says.
pub(crate) fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        // Beside `vitracka`, whose features they then have: nothing is built twice, and they speak all protocols.
        build.args(["build", "--quiet", "--locked", "--package", "agentcore-runtime", "--package", "vitracka"]);
        build.arg("--examples");
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(status.success(), "the examples build: {status}");
    });
    let vitracka = PathBuf::from(env!("CARGO_BIN_EXE_vitracka"));
    vitracka.with_file_name("examples").join(name)
}

/// A local AWS with one example, and boto3.
struct Hosted {
    name: &'static str,
    boto3: Script,
    _aws: LocalAws,
}

impl Hosted {
    fn start(name: &'static str) -> Self {
        let aws = LocalAws::start_with(&["--agent", &format!("{name}={}", example(name).display())]);
        let boto3 = Script::start("boto3", python_script("invoke.py"), &aws.endpoint());
        Self { name, boto3, _aws: aws }
    }

    fn order(&mut self, order: &str, payload: &Value) -> Value {
        let arn = format!("arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/{}-0123456789", self.name);
        self.boto3.order(json!({ "do": order, "arn": arn, "session": SESSION, "payload": payload }))
    }

    /// The answer's JSON.
    fn invoke(&mut self, payload: &Value) -> Value {
        let answer = self.order("invoke", payload);
        let body = answer["body"].as_str().unwrap_or_else(|| panic!("no body: {answer}"));
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// Ends the session's process, as the service does after some idle minutes.
    fn stop(&mut self) {
        let answer = self.order("stop", &Value::Null);
        assert_eq!(answer["status"], 200, "{answer}");
    }
}

fn text(answer: &Value) -> &str {
    answer["response"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

#[test]
fn an_answer_is_a_type_and_what_does_not_fit_is_asked_again() {
    let mut meals = Hosted::start("meal_log");
    let right = json!({"foods": [{"name": "egg", "portions": 2}], "meal_time": "breakfast"});
    let order = |input: &Value| json!({ "prompt": format!("two eggs [[tool meal {input}]]") });

    let answer = meals.invoke(&order(&right));
    assert_eq!(answer["output"], right, "{answer}");
    assert_eq!(serde_json::from_str::<Value>(text(&answer)).expect("the text is the same"), right);

    let wrong = json!({"foods": "two eggs"});
    let twice = json!({ "prompt": format!("two eggs [[tool meal {wrong}]] [[tool meal {right}]]") });
    let answer = meals.invoke(&twice);
    assert_eq!(answer["output"], right, "{answer}");
    let tokens = |answer: &Value| answer["usage"]["outputTokens"].as_u64().expect("a number");
    assert!(tokens(&answer) > 0, "{answer}");
}

#[test]
fn a_question_to_a_person_is_answered_in_another_process() {
    let mut diary = Hosted::start("food_diary");
    let asked = diary.invoke(&json!({ "prompt": r#"Delete Monday [[tool delete_day {"day": "Monday"}]]"# }));
    assert_eq!(asked["stop_reason"], "interrupted", "{asked}");
    let question = &asked["questions"][0];
    let id = question["id"].clone();
    let told = json!({ "tool": question["tool"], "question": question["question"], "details": question["details"] });
    insta::assert_json_snapshot!(told, @r#"
    {
      "tool": "delete_day",
      "question": "Delete everything you logged on Monday?",
      "details": {
        "choices": [
          "yes",
          "no"
        ]
      }
    }
    "#);

    diary.stop();
    let stray = diary.order("invoke", &json!({ "replies": [{ "id": "nobody-asked", "reply": "yes" }] }));
    assert!(stray["error"].to_string().contains("RuntimeClientError") || stray["status"] == 424, "{stray}");

    let answer = diary.invoke(&json!({ "replies": [{ "id": id, "reply": "yes" }] }));
    assert_eq!(answer["stop_reason"], "end_turn", "{answer}");
    assert!(answer.get("questions").is_none(), "{answer}");
    assert!(text(&answer).contains("Monday"), "{answer}");

    diary.stop();
    let again = diary.order("invoke", &json!({ "replies": [{ "id": id, "reply": "yes" }] }));
    assert!(again["status"] != 200, "an answered question is no question: {again}");
}

#[test]
fn a_question_that_is_passed_over_is_closed_and_the_talk_goes_on() {
    let mut diary = Hosted::start("food_diary");
    diary.invoke(&json!({ "prompt": r#"Delete Monday [[tool delete_day {"day": "Monday"}]]"# }));
    diary.stop();
    let answer = diary.invoke(&json!({ "prompt": "Never mind. How are you?" }));
    assert_eq!(answer["stop_reason"], "end_turn", "{answer}");
}

#[test]
fn a_router_passes_on_and_an_agent_is_anothers_tool() {
    let mut desk = Hosted::start("front_desk");
    let ruled = desk.invoke(&json!({ "prompt": "Which dumbbell is for me?" }));
    assert!(text(&ruled).starts_with("The trainer:"), "the rule's choice: {ruled}");

    let chosen = desk.invoke(&json!({ "prompt": "What is for lunch?" }));
    assert!(text(&chosen).starts_with("The cook:"), "the model's choice: {chosen}");
    let other = desk.invoke(&json!({ "prompt": r#"And then? [[tool route {"name": "trainer"}]]"# }));
    assert!(text(&other).starts_with("The trainer:"), "another one: {other}");

    let handed_over = desk.invoke(&json!({
        "prompt": r#"What is in it? [[tool route {"name": "cook"}]] [[tool dietician {"task": "How much protein has an egg?"}]]"#,
    }));
    let told = text(&handed_over);
    assert!(told.contains("The dietician:"), "her answer is what the cook's tool gave: {handed_over}");
    assert!(told.contains("How much protein has an egg?"), "and she was asked the cook's question: {handed_over}");
    let tokens = |answer: &Value| answer["usage"]["outputTokens"].as_u64().expect("a number");
    assert!(tokens(&handed_over) > tokens(&chosen), "what she spent is counted");
}
