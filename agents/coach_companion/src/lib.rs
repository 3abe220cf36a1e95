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
use agentcore_runtime::core::tool::Tool;
use payload::{CoachPayload, OPENING};
use prompt::Known;
use remembered::Remembered;
use sentinel::Sentinel;
use serde_json::Value;
use tools::Coached;

/// What the coach can do, as its card tells other agents.
const SKILLS: [Skill; 2] = [
    Skill {
        id: "company",
        name: "Company",
        description: "Encourages somebody who manages their weight, and answers what they ask, in the style they like.",
        tags: &["coaching", "weight", "wellbeing"],
        examples: &["I had a setback today.", "How do I get through the weekend?"],
    },
    Skill {
        id: "sums",
        name: "Sums",
        description: "Works out goals and when they can be reached, the trend of weights, protein and water. The numbers \
                      come from calculation, not from a model.",
        tags: &["weight", "protein", "water", "goal", "trend"],
        examples: &["When would I reach 75 kg at half a kilogram a week?", "How much protein do I need?"],
    },
];

/// Company for people who manage their weight.
pub struct CoachCompanion;

impl Agent for CoachCompanion {
    type Payload = CoachPayload;
    const NAME: &'static str = "coach_companion";
    const DESCRIPTION: &'static str = "Company for people who manage their weight: encourages, answers questions, and \
                                       does the sums of goals, trends, protein and water. No medical advice.";
    const SAMPLE: &'static str =
        r#"{"prompt": "I had a setback today.", "user_context": {"coaching_style": "gentle"}}"#;

    fn payload_schema() -> Value {
        schema_of::<CoachPayload>()
    }

    fn skills() -> Vec<Skill> {
        SKILLS.to_vec()
    }

    fn offers(&self) -> Vec<Arc<dyn Tool>> {
        tools::offered()
    }

    fn prepare(&self) {
        sentinel::prepare();
    }

    fn turn(&self, payload: CoachPayload, _context: &Context) -> Result<TurnRequest, PayloadError> {
        let mut payload = payload;
        let context = payload.context();
        // A greeting is within a small model's powers, where an operator has set one.
        let opens = payload.is_opening();
        let said = payload.words().to_owned();
        let sentinel = Sentinel::for_user(&context);
        let coached = Coached::of(&context, Coached::today(&context));
        let asked_for = coached.asked_for.clone();
        let tools = tools::all(coached);
        let tells = !Remembered::from_words([said.as_str()]).is_empty();
        let request = payload.into_prompt().turn_or_opening(OPENING)?;
        let request = if tells { request.pinned() } else { request };
        let request = request.system_from(move |history| {
            let remembered = remembered_of(&said, history);
            asked_for.set(remembered.units);
            prompt::compose(&Known { context: context.clone(), remembered, turns: history.len() })
        });
        let request = tools.into_iter().fold(request, TurnRequest::shared_tool);
        Ok(request.simple(opens).max_tokens(1024).temperature(0.7).guard(sentinel))
    }
}

/// What the user has said up to now that need not be said twice.
fn remembered_of(said: &str, history: &[Arc<CompleteTurn>]) -> Remembered {
    // A summary stands in a user's place, and a model wrote it.
    let own = history.iter().filter(|turn| !turn.is_summary());
    let before: Vec<String> = own.map(|turn| turn.user_words()).collect();
    Remembered::from_words(before.iter().map(String::as_str).chain([said]))
}
