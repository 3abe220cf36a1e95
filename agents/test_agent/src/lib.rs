//! The smallest real agent: it greets, and answers in a line or two.
//!
//! Everything an agent has to say is here: what callers send ([`Prompt`]), and what to make of it. The
//! runtime does the rest. Copy this file to begin an agent of your own.

use agentcore_runtime::prelude::*;

/// How the model is told to behave.
const PERSONA: &str = "\
You are the test agent of a deployment: whoever writes to you wants to see that it works.
Begin your first answer with \"Hello from AgentCore!\" and a short cheerful line.
Answer anything else in one or two friendly sentences, and use what was said before.";

/// What the model reads when the app opens the conversation without a message.
const OPENING: &str = "[The user has opened the conversation and written nothing yet. Greet them.]";

/// Greets, and answers in a line or two.
pub struct TestAgent;

impl Agent for TestAgent {
    type Payload = Prompt;
    const NAME: &'static str = "test_agent";
    const DESCRIPTION: &'static str = "Greets, and answers in a line or two: shows whether a deployment works.";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn_or_opening(OPENING)?.system(PERSONA).max_tokens(512).temperature(0.7))
    }
}
