//! An answer that is a Rust type.
//!
//! The model reads what somebody ate and must give a `Meal`: the type's schema goes to it as a tool that it
//! has to call, what does not fit goes back with the reason, and callers read the meal as JSON in `output`.
//!
//! ```console
//! $ cargo build -p agentcore-runtime --example meal_log
//! $ cargo run -- dev --agent meal_log=target/debug/examples/meal_log
//! $ curl -s 127.0.0.1:4570/runtimes/meal_log/invocations -d '{"prompt": "two eggs and toast"}'
//! ```

use agentcore_runtime::prelude::*;
use serde::Deserialize;

/// A meal as the app's diary keeps it.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "its shape is what counts; the caller reads the values")]
struct Meal {
    /// What was eaten, at least one thing.
    foods: Vec<Food>,
    /// When, where the words say so.
    #[serde(default)]
    meal_time: Option<MealTime>,
}

/// One thing that was eaten.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "as above")]
struct Food {
    /// Its name, in the singular.
    name: String,
    /// How many pieces or portions.
    portions: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum MealTime {
    Breakfast,
    Lunch,
    Dinner,
    Snack,
}

/// Makes diary entries of words.
struct MealLog;

impl Agent for MealLog {
    type Payload = Prompt;
    const NAME: &'static str = "meal_log";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("Log what the user ate.").max_tokens(512).temperature(0.0).returning::<Meal>())
    }
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    serve(MealLog).await
}
