//! Several agents behind one: a router, and an agent that is another's tool.
//!
//! A rule sends what is about weights to the trainer; of everything else the model says whose it is. They
//! share the session: the cook knows what was said to the trainer. The cook can hand a question over to
//! the dietician, who answers it as a tool would, with a prompt of her own.
//!
//! ```console
//! $ cargo build -p agentcore-runtime --example front_desk
//! $ cargo run -- dev --agent front_desk=target/debug/examples/front_desk
//! $ curl -s 127.0.0.1:4570/runtimes/front_desk/invocations -d '{"prompt": "What shall I cook?"}'
//! ```

use agentcore_runtime::prelude::*;

struct Trainer;

impl Agent for Trainer {
    type Payload = Prompt;
    const NAME: &'static str = "trainer";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload
            .turn()?
            .system("You are a trainer. Begin every answer with \"The trainer:\". Answer in two sentences."))
    }
}

struct Dietician;

impl Agent for Dietician {
    type Payload = Prompt;
    const NAME: &'static str = "dietician";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You are a dietician. Begin every answer with \"The dietician:\". Answer in one sentence, with a number.").max_tokens(200))
    }
}

struct Cook;

impl Agent for Cook {
    type Payload = Prompt;
    const NAME: &'static str = "cook";

    fn turn(&self, payload: Prompt, context: &Context) -> Result<TurnRequest, PayloadError> {
        let dietician = Delegate::new(Dietician, "Knows what foods contain. Ask before you name a number.", context);
        Ok(payload
            .turn()?
            .system("You are a cook. Begin every answer with \"The cook:\". Answer in two sentences.")
            .tool(dietician))
    }
}

/// Passes everybody on to the right one.
struct FrontDesk(Router<Prompt>);

impl Agent for FrontDesk {
    type Payload = Prompt;
    const NAME: &'static str = "front_desk";

    fn turn(&self, payload: Prompt, context: &Context) -> Result<TurnRequest, PayloadError> {
        self.0.turn(payload, context)
    }
}

fn about_weights(payload: &Prompt, _context: &Context) -> Option<&'static str> {
    payload.prompt.as_ref()?.contains("dumbbell").then_some(Trainer::NAME)
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    let agents = Router::new("cooking, recipes, what to eat", Cook).agent("exercise, sports, rest", Trainer);
    serve(FrontDesk(agents.rule(about_weights))).await
}
