//! What a tool round costs, beside the model: `cargo bench -p agentcore-core`.
//!
//! A turn of so many rounds is performed on a history of so many messages, with a model that answers at
//! once and a tool that does nothing. A round that costs more the later it comes shows as a row that grows
//! to the right; one that copies the history shows as a column that grows downwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agentcore_core::drive::{Delivery, Stage, drive};
use agentcore_core::history::{CompleteTurn, complete};
use agentcore_core::message::{ContentBlock, Message, Role, StopReason, ToolUse, Usage};
use agentcore_core::model::{Model, ModelAnswer, ModelError, ModelEvents, ModelRequest};
use agentcore_core::tool::ToolCall;
use agentcore_core::tool::typed::{JsonSchema, tool};
use agentcore_core::turn::TurnRequest;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const ROUNDS: [u32; 4] = [10, 100, 300, 1_000];
const MESSAGES: [usize; 3] = [0, 200, 1_000];

/// How often each turn is performed; the fastest counts, because everything else a machine does only adds.
const REPEATS: usize = 9;

/// Asks for a tool so many times, then answers.
struct Asks {
    left: AtomicU32,
}

/// Weighs.
#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "agentcore_core::tool::typed::schemars")]
struct Weigh {}

// === impl Asks ===

impl Asks {
    fn answer(&self) -> ModelAnswer {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        let (content, stop_reason) = if left == 1 {
            (ContentBlock::Text("72 kg.".into()), StopReason::EndTurn)
        } else {
            let call = ToolUse { tool_use_id: left.to_string(), name: "weigh".into(), input: json!({}) };
            (ContentBlock::ToolUse(call), StopReason::ToolUse)
        };
        let message = Message { role: Role::Assistant, content: vec![content] };
        ModelAnswer { message, stop_reason, usage: Usage::default(), guardrail: None, served: None }
    }
}

impl Model for Asks {
    fn converse<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async { Ok(self.answer()) })
    }

    fn converse_stream<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(async { Err(ModelError::Unavailable { reason: "answers whole only".into(), retry_after: None }) })
    }
}

fn history(messages: usize) -> Vec<Arc<CompleteTurn>> {
    let said = (0..messages / 2).flat_map(|turn| {
        [
            Message::user(format!("Question {turn}, in some words.")),
            Message::assistant("An answer, in some more words."),
        ]
    });
    complete(said).into_iter().map(Arc::new).collect()
}

async fn perform(rounds: u32, history: Vec<Arc<CompleteTurn>>) -> Duration {
    let weigh = tool(|_: Weigh, _: ToolCall| async { Ok("72 kg") });
    let request = TurnRequest::new("How heavy am I?").tool(weigh).tool_rounds(u32::MAX).within(Duration::from_hours(1));
    let stage = Stage {
        model: Arc::new(Asks { left: AtomicU32::new(rounds + 1) }),
        delivery: Delivery::Whole,
        deadline: tokio::time::Instant::now() + request.time(),
        cut: CancellationToken::new(),
        first_token: Arc::default(),
    };
    let began = Instant::now();
    let outcome = drive(request.begin(history), &stage).await;
    let took = began.elapsed();
    assert_eq!(outcome.tools.calls, rounds);
    took
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("microseconds a round, fastest of {REPEATS}");
    print!("{:>20}", "rounds");
    for rounds in ROUNDS {
        print!("{rounds:>10}");
    }
    println!();
    for messages in MESSAGES {
        print!("{:>20}", format!("{messages} messages before"));
        let history = history(messages);
        for rounds in ROUNDS {
            let mut fastest = Duration::MAX;
            for _ in 0..REPEATS {
                fastest = fastest.min(perform(rounds, history.clone()).await);
            }
            print!("{:>10.2}", fastest.as_secs_f64() * 1e6 / f64::from(rounds));
        }
        println!();
    }
}
