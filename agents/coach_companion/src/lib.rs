//! Vitracka's coach: company for people who manage their weight.
//!
//! No HTTP and no AWS is seen here; what the runtime asks for is a [`TurnRequest`].
//!
//! | room | job |
//! | --- | --- |
//! | [`payload`] | what the app sends, checked |
//! | [`prompt`], [`remembered`] | what the model is told; what a user need not say twice |
//! | [`tools`], [`units`] | the sums: trend, dates, goals, protein, water, units |
//! | [`sentinel`] | what stands above the coach with a veto |
//! | [`language`] | what the coach itself must not say, and what it says instead |
//! | [`rules`] | phrases as data, for the two above |
//! | [`evaluation`] | how good all that is |

pub mod evaluation;
pub mod language;
pub mod payload;
pub mod prompt;
pub mod remembered;
pub mod rules;
pub mod sentinel;
pub mod tools;
pub mod units;

use agentcore_runtime::prelude::*;

use std::sync::Arc;

use agentcore_runtime::core::history::CompleteTurn;
use payload::{CoachPayload, OPENING, UserContext};
use prompt::Known;
use remembered::Remembered;
use sentinel::Sentinel;
use tools::Coached;

/// Company for people who manage their weight.
pub struct CoachCompanion;

impl Agent for CoachCompanion {
    type Payload = CoachPayload;
    const NAME: &'static str = "coach_companion";
    const SAMPLE: &'static str =
        r#"{"prompt": "I had a setback today.", "user_context": {"coaching_style": "gentle"}}"#;

    fn turn(&self, payload: CoachPayload, _context: &Context) -> Result<TurnRequest, PayloadError> {
        let mut payload = payload;
        let context = payload.context();
        // A greeting is within a small model's powers, where an operator has set one.
        let opens = payload.is_opening();
        let said = payload.words().to_owned();
        let sentinel = Sentinel::for_user(&context);
        let tools = tools::all(Coached::of(&context, Coached::today(&context)));
        let tells = !Remembered::from_words([said.as_str()]).is_empty();
        let request = payload.into_prompt().turn_or_opening(OPENING)?;
        let request = if tells { request.pinned() } else { request };
        let request = request.system_from(move |history| system_prompt(&context, &said, history));
        let request = tools.into_iter().fold(request, TurnRequest::shared_tool);
        Ok(request.simple(opens).max_tokens(1024).temperature(0.7).guard(sentinel))
    }
}

/// What the model is told, by what the app knows and what the user has said up to now.
fn system_prompt(context: &UserContext, said: &str, history: &[Arc<CompleteTurn>]) -> String {
    let before: Vec<String> = history.iter().map(|turn| turn.user_words()).collect();
    let words = before.iter().map(String::as_str).chain([said]);
    let remembered = Remembered::from_words(words);
    prompt::compose(&Known { context: context.clone(), remembered, turns: history.len() })
}
