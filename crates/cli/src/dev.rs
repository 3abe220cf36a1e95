//! `vitracka dev`: the local AWS with the agents, and a line for whatever happens.

mod drawing;
mod told;
mod trees;
mod turns;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentcore_local::bedrock::{
    Bedrock, Brain, FaultSyntaxError, Faults, Guardrail, GuardrailError, Relay, RelayError,
};
use agentcore_local::engine::{OpenAi, OpenAiError, Scripted};
use agentcore_local::{
    Agent, AgentName, AgentNameError, AgentSource, Local, LocalConfig, Notice, Protocol, ProtocolError, SessionTimes,
    StartError, Traces,
};
use agentcore_runtime::core::agent::Agent as _;
use coach_companion::CoachCompanion;
use test_agent::TestAgent;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout_at;

use crate::arguments::Dev;
use crate::output;
use drawing::Paint;
use told::Teller;
use trees::Trees;

/// Why the local AWS cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Fault(#[from] FaultSyntaxError),
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error(transparent)]
    OpenAi(#[from] OpenAiError),
    #[error(transparent)]
    Name(#[from] AgentNameError),
    #[error(
        "--agent {0} names no command; write it as --agent name='command with arguments' or name=http://127.0.0.1:8080"
    )]
    NoCommand(String),
    #[error("--protocol {0} names no agent and what it speaks; write it as --protocol coach_companion=MCP")]
    NoProtocol(String),
    #[error("--protocol {given}: {source}")]
    Protocol { given: String, source: ProtocolError },
    #[error("--protocol {given}: there is no agent of that name here; there are {agents}")]
    ProtocolOfNobody { given: String, agents: String },
    #[error("guardrail {}: cannot be read: {source}", file.display())]
    UnreadableGuardrail { file: PathBuf, source: std::io::Error },
    #[error("guardrail {}: {source}", file.display())]
    Guardrail { file: PathBuf, source: GuardrailError },
    #[error("this program cannot find itself, to start the agents from: {0}")]
    NoProgram(#[source] std::io::Error),
}

/// Runs until Ctrl-C or SIGTERM, and ends everything it started.
pub(crate) async fn run(dev: Dev) -> Result<ExitCode, DevError> {
    let config = LocalConfig {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, dev.port)),
        data_directory: Some(dev.data.clone()),
        agents: agents(&dev)?,
        guardrails: guardrails(&dev)?,
        times: SessionTimes { idle_timeout: Duration::from_secs(dev.idle_timeout.into()), ..SessionTimes::default() },
        traces: if dev.traces { Traces::Told } else { Traces::LeftAlone },
        ..LocalConfig::default()
    };
    let agents: Vec<(AgentName, Protocol)> =
        config.agents.iter().map(|agent| (agent.name.clone(), agent.protocol)).collect();
    let local = Local::start(config, bedrock(&dev).await?).await?;
    let mut notices = local.notices();
    // Nobody has to read along: a pipe that closed is no reason to end the agents.
    let _ = output::line(&told::greeting(local.address(), &dev, &agents));
    tokio::select! {
        () = agentcore_runtime::asked_to_end() => {}
        () = tell(&mut notices) => {}
    }
    local.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// Prints a line for whatever happens, as long as something can.
async fn tell(notices: &mut Receiver<Notice>) {
    let (mut teller, mut trees) = (Teller::default(), Trees::default());
    let paint = Paint::of_standard_output();
    loop {
        let heard = match teller.due() {
            Some(due) => timeout_at(due.into(), notices.recv()).await,
            None => Ok(notices.recv().await),
        };
        let lines = match heard {
            Ok(Ok(Notice::Traced { spans })) => drawing::draw(&trees.take(&spans), paint),
            Ok(Ok(notice)) => teller.tell(&notice, Instant::now()),
            Ok(Err(RecvError::Lagged(missed))) => {
                eprintln!("{missed} notices came too fast to show");
                continue;
            }
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => teller.overdue(Instant::now()),
        };
        for line in lines {
            let _ = output::line(&line);
        }
    }
}

/// Who answers model calls.
async fn bedrock(dev: &Dev) -> Result<Bedrock, DevError> {
    let brain = match (&dev.model_url, dev.model.as_str()) {
        (Some(url), _) => Brain::Engine(Arc::new(OpenAi::new(url, dev.model_name.clone(), dev.model_key.clone())?)),
        (None, "bedrock") => Brain::Relay(Relay::from_environment().await?),
        (None, _) => Brain::Engine(Arc::new(Scripted)),
    };
    let faults = Faults::default();
    for fault in &dev.faults {
        faults.arm(fault)?;
    }
    Ok(Bedrock::new(brain).with_faults(faults))
}

fn guardrails(dev: &Dev) -> Result<Vec<Guardrail>, DevError> {
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file)
            .map_err(|source| DevError::UnreadableGuardrail { file: file.clone(), source })?;
        text.parse().map_err(|source| DevError::Guardrail { file: file.clone(), source })
    };
    dev.guardrails.iter().map(read).collect()
}

/// Ours, and those given on the command line, which may stand in for ours.
fn agents(dev: &Dev) -> Result<Vec<Agent>, DevError> {
    let program = std::env::current_exe().map_err(DevError::NoProgram)?.display().to_string();
    let mut agents = BTreeMap::new();
    for name in [CoachCompanion::NAME, TestAgent::NAME] {
        let source = AgentSource::Command {
            program: program.clone(),
            arguments: vec!["agent".to_owned(), name.to_owned()],
            environment: BTreeMap::new(),
        };
        agents.insert(name.parse::<AgentName>()?, source);
    }
    for given in &dev.agents {
        let (name, source) = given.split_once('=').ok_or_else(|| DevError::NoCommand(given.clone()))?;
        agents.insert(name.parse()?, source_of(source).ok_or_else(|| DevError::NoCommand(given.clone()))?);
    }
    let mut protocols = protocols(dev, &agents)?;
    let agents = agents.into_iter().map(|(name, source)| {
        let protocol = protocols.remove(&name).unwrap_or_default();
        Agent { name, source, protocol }
    });
    Ok(agents.collect())
}

/// What was said of agents' protocols.
fn protocols(dev: &Dev, agents: &BTreeMap<AgentName, AgentSource>) -> Result<BTreeMap<AgentName, Protocol>, DevError> {
    let read = |given: &String| {
        let (name, protocol) = given.split_once('=').ok_or_else(|| DevError::NoProtocol(given.clone()))?;
        let protocol = protocol.parse().map_err(|source| DevError::Protocol { given: given.clone(), source })?;
        let name: AgentName = name.parse()?;
        if agents.contains_key(&name) {
            return Ok((name, protocol));
        }
        let agents = agents.keys().map(AgentName::as_str).collect::<Vec<_>>().join(", ");
        Err(DevError::ProtocolOfNobody { given: given.clone(), agents })
    };
    dev.protocols.iter().map(read).collect()
}

/// A URL of something that runs, or a command line, which a shell reads as it was typed.
fn source_of(text: &str) -> Option<AgentSource> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return text.parse().ok().map(AgentSource::Url);
    }
    (!text.trim().is_empty()).then(|| AgentSource::Command {
        program: "/bin/sh".to_owned(),
        // The shell becomes the command, so that signals reach it.
        arguments: vec!["-c".to_owned(), format!("exec {text}")],
        environment: BTreeMap::new(),
    })
}
