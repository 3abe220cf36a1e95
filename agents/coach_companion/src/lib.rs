//! Vitracka's coach: company for people who manage their weight.
//!
//! [`payload`] is what the app sends, [`persona`] what the model is told, [`sentinel`] what stands above
//! it with a veto. No HTTP and no AWS is seen here.

pub mod payload;
pub mod persona;
pub mod sentinel;

use agentcore_runtime::prelude::*;

use payload::CoachPayload;
use sentinel::Sentinel;

/// What the model reads when the app opens the conversation without a message.
const OPENING: &str = "[The user has opened the conversation and written nothing yet. Greet them warmly, in \
                       one or two sentences, and ask one open question.]";

/// Company for people who manage their weight.
pub struct CoachCompanion;

impl Agent for CoachCompanion {
    type Payload = CoachPayload;
    const NAME: &'static str = "coach_companion";
    const SAMPLE: &'static str =
        r#"{"prompt": "I had a setback today.", "user_context": {"coaching_style": "gentle"}}"#;

    fn turn(&self, payload: CoachPayload, _context: &Context) -> Result<TurnRequest, PayloadError> {
        let persona = persona::compose(&payload.context());
        // A greeting is within a small model's powers, where an operator has set one.
        let opens = payload.is_opening();
        let request = payload.into_prompt().turn_or_opening(OPENING)?;
        Ok(request.simple(opens).system(persona).max_tokens(1024).temperature(0.7).guard(Sentinel))
    }
}
