//! A tool that asks a person first.
//!
//! `delete_day` does nothing before somebody has said yes. The invocation ends with the question and
//! `"stop_reason": "interrupted"`; the turn is stored with the session, and goes on when an invocation of the
//! same session brings the reply, days later and in another process if need be.
//!
//! ```console
//! $ cargo build -p agentcore-runtime --example food_diary
//! $ cargo run -- dev --agent food_diary=target/debug/examples/food_diary
//! $ ask() { curl -s 127.0.0.1:4570/runtimes/food_diary/invocations -d "$1" \
//!       -H 'X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: a-session-of-at-least-33-characters'; }
//! $ ask '{"prompt": "Please delete Monday"}'                  # … "questions": [{"id": "tooluse_1", …
//! $ ask '{"replies": [{"id": "tooluse_1", "reply": "yes"}]}'  # the id that the question has
//! ```

use agentcore_runtime::prelude::*;
use serde::Deserialize;
use serde_json::json;

/// Deletes everything that was logged on a day. The user is asked before it happens.
#[derive(Deserialize, JsonSchema)]
struct DeleteDay {
    /// The day, as the user names it.
    day: String,
}

async fn delete_day(asked: DeleteDay, call: ToolCall) -> Result<String, ToolFailure> {
    let Some(reply) = &call.reply else {
        let question = format!("Delete everything you logged on {}?", asked.day);
        return Err(call.ask_with(question, json!({ "choices": ["yes", "no"] })));
    };
    if reply != "yes" {
        return Ok("The user does not want it deleted. Nothing was.".to_owned());
    }
    // Here a diary would be asked to forget the day.
    Ok(format!("All entries of {} are deleted.", asked.day))
}

/// Keeps a food diary.
struct FoodDiary;

impl Agent for FoodDiary {
    type Payload = Prompt;
    const NAME: &'static str = "food_diary";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You keep the user's food diary.").tool(tool(delete_day)))
    }
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    serve(FoodDiary).await
}
