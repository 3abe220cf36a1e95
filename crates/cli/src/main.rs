//! What a person types.

mod arguments;
mod caller;
mod chat;
mod cost;
mod dev;
mod doctor;
mod eval;
mod events;
mod output;
mod package;
mod startup;

use std::io::ErrorKind;
use std::process::ExitCode;

use agentcore_runtime::core::agent::Agent;
use agentcore_runtime::{ServeError, Server};
use clap::Parser as _;
use coach_companion::CoachCompanion;
use test_agent::TestAgent;

use arguments::{Arguments, Command};
use caller::{CallError, Caller};
use eval::EvalError;

/// Whatever ends a command early, as one sentence.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Dev(#[from] dev::DevError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Eval(#[from] EvalError),
    #[error(transparent)]
    Cost(#[from] cost::CostError),
    #[error(transparent)]
    Package(#[from] package::PackageError),
    #[error(transparent)]
    Startup(#[from] startup::StartupError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("the answer cannot be printed: {0}")]
    Output(#[from] std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let command = arguments.command.unwrap_or(Command::Dev(arguments.dev));
    match run(command).await {
        Ok(code) => code,
        // Whoever read it has read enough.
        Err(
            CommandError::Call(CallError::Output(error))
            | CommandError::Eval(EvalError::Call(CallError::Output(error))),
        ) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vitracka: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, CommandError> {
    match command {
        Command::Dev(dev) => Ok(dev::run(dev).await?),
        Command::Invoke(invoke) => {
            let session = invoke.session.unwrap_or_else(new_session);
            let caller = Caller::new(&invoke.agent, session, invoke.endpoint).await?;
            Ok(chat::invoke(&caller, &invoke.payload.to_string(), invoke.stream).await?)
        }
        Command::Chat(chat) => {
            let session = chat.session.unwrap_or_else(new_session);
            let caller = Caller::new(&chat.agent, session, chat.endpoint).await?;
            Ok(chat::chat(&caller, chat.context.as_ref()).await?)
        }
        Command::Eval(eval) => Ok(eval::run(&eval).await?),
        Command::Package(package) => Ok(package::run(&package.agents, &package.features)?),
        Command::Startup(startup) => Ok(startup::run(&startup)?),
        Command::Cost(cost) => Ok(cost::run(&cost).await?),
        Command::Doctor(doctor) => Ok(doctor::run(&doctor.config).await?),
        Command::Agent(agent) if agent.name == CoachCompanion::NAME => be(CoachCompanion, agent.local_test).await,
        Command::Agent(agent) => be(TestAgent, agent.local_test).await,
    }
}

async fn be<A: Agent>(agent: A, local_test: bool) -> Result<ExitCode, CommandError> {
    let server = Server::from_environment(agent)?;
    if local_test {
        return Ok(server.local_test().await);
    }
    server.run().await?;
    Ok(ExitCode::SUCCESS)
}

/// A UUID has 36 characters, and AgentCore wants 33 at the least.
fn new_session() -> String {
    uuid::Uuid::new_v4().to_string()
}
