//! What can be typed.

use std::path::PathBuf;

use agentcore_runtime::core::agent::Agent as _;
use agentcore_runtime::core::model::residency::DEFAULT_REGION;
use clap::{Args, Parser, Subcommand};
use coach_companion::CoachCompanion;
use serde_json::Value;
use test_agent::TestAgent;

/// Agents for Bedrock AgentCore, and AWS on this machine to run them against.
#[derive(Debug, Parser)]
#[command(name = "vitracka", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) dev: Dev,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the local AWS with the agents (what `vitracka` alone does)
    Dev(Dev),
    /// Call an agent once and print its answer as JSON
    Invoke(Invoke),
    /// Talk with an agent
    Chat(Chat),
    /// Have the coach's conversations with the coach that runs, and a model judge its answers
    Eval(Eval),
    /// Build agents for linux/arm64 and make of each what AWS takes: a zip of code, an image, a Lambda function
    Package(Package),
    /// Time a program from its start to its first healthy answer to /ping
    Startup(Startup),
    /// Look at what a deployment needs: credentials, model, memory, configuration, packages
    Doctor(Doctor),
    /// Say what the agents cost: what AWS billed, what the agents estimate, and what the month comes to
    Cost(Cost),
    /// Be an agent: serve it on PORT, as AgentCore runs it
    Agent(Agent),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Dev {
    /// The port on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 4570, env = "VITRACKA_PORT")]
    pub(crate) port: u16,
    /// Where sessions' events are kept between runs
    #[arg(long, value_name = "DIR", default_value = ".vitracka")]
    pub(crate) data: PathBuf,
    /// One more agent: any command that serves the AgentCore contract on PORT, or the URL of one that runs
    #[arg(long = "agent", value_name = "NAME=COMMAND")]
    pub(crate) agents: Vec<String>,
    /// What an agent speaks, HTTP when not said: `NAME=MCP` calls it at `/mcp`, and tells it so in `AGENTCORE_PROTOCOL`
    #[arg(long = "protocol", value_name = "NAME=PROTOCOL")]
    pub(crate) protocols: Vec<String>,
    /// Who answers: `scripted`, or `bedrock` for the real service with your credentials
    #[arg(long, default_value = "scripted", value_parser = ["scripted", "bedrock"], conflicts_with = "model_url")]
    pub(crate) model: String,
    /// Who answers: an OpenAI-compatible server, such as `http://127.0.0.1:11434/v1`
    #[arg(long, value_name = "URL")]
    pub(crate) model_url: Option<String>,
    /// The model to ask that server for; its first when not said
    #[arg(long, value_name = "NAME", requires = "model_url")]
    pub(crate) model_name: Option<String>,
    /// The key of that server
    #[arg(long, value_name = "KEY", env = "MODEL_API_KEY", hide_env_values = true)]
    pub(crate) model_key: Option<String>,
    /// Make model calls fail: throttle, unavailable, cut@N, silence@N, slow=MILLIS and others; `*N` for N calls
    #[arg(long = "fault", value_name = "FAULT")]
    pub(crate) faults: Vec<String>,
    /// Print what each turn did and when, as a tree of spans with a time bar
    #[arg(long)]
    pub(crate) traces: bool,
    /// A guardrail that model calls may name: a JSON file as `CreateGuardrail` takes it, known by its `name`
    #[arg(long = "guardrail", value_name = "FILE")]
    pub(crate) guardrails: Vec<PathBuf>,
    /// End a session after so many idle seconds, as AgentCore does
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=28_800))]
    pub(crate) idle_timeout: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// The agent's name, or its ARN to call it on AWS
    pub(crate) agent: String,
    /// The payload, such as `{"prompt": "Hello"}`
    #[arg(value_parser = json)]
    pub(crate) payload: Value,
    /// The session to go on with, 33 to 256 characters; a new one when not said
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Print the answer's events as they come
    #[arg(long)]
    pub(crate) stream: bool,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

#[derive(Debug, Args)]
pub(crate) struct Chat {
    /// The agent's name, or its ARN to call it on AWS
    pub(crate) agent: String,
    /// What the app knows of the user, such as `{"coaching_style": "gentle"}`
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) context: Option<Value>,
    /// The session to go on with, 33 to 256 characters; a new one when not said
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// The coach's name, or its ARN to call it on AWS
    #[arg(long, value_name = "AGENT", default_value = CoachCompanion::NAME)]
    pub(crate) coach: String,
    /// The agent whose model judges the answers
    #[arg(long, value_name = "AGENT", default_value = TestAgent::NAME)]
    pub(crate) judge: String,
    /// Instead of conversations, single messages: a folder of labelled ones and of folders of them, such as
    /// `agents/coach_companion/evaluation/held_out`, each sent in a session of its own
    #[arg(long, value_name = "FOLDER", conflicts_with = "judge")]
    pub(crate) messages: Option<PathBuf>,
    /// List the messages that were not judged as they should be; whoever looks at those of `held_out` has tuned on it
    #[arg(long, requires = "messages")]
    pub(crate) misses: bool,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

#[derive(Debug, Args)]
pub(crate) struct Package {
    /// Which ones; all of the workspace when not said
    #[arg(value_name = "AGENT")]
    pub(crate) agents: Vec<String>,
    /// What to build into them beside HTTP, such as `mcp,websocket`; features of their Cargo.toml
    #[arg(long, value_name = "FEATURES", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Startup {
    /// How often it is started
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) runs: u16,
    /// An emulator to start it with, such as `qemu-aarch64-static`
    #[arg(long, value_name = "EMULATOR")]
    pub(crate) through: Option<PathBuf>,
    /// A program that serves the AgentCore contract on PORT
    pub(crate) program: PathBuf,
    /// What it is started with
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The configuration of AWS's toolkit
    #[arg(long, value_name = "FILE", default_value = ".bedrock_agentcore.yaml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Cost {
    /// How many whole days
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=365))]
    pub(crate) days: u16,
    /// Where the agents are; bills are for the whole account
    #[arg(long, value_name = "REGION", env = "AWS_REGION", default_value = DEFAULT_REGION)]
    pub(crate) region: String,
    /// The agents whose metrics are read
    #[arg(long = "agent", value_name = "AGENT", default_values = [CoachCompanion::NAME, TestAgent::NAME])]
    pub(crate) agents: Vec<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask nobody; read what was asked before from get-cost-and-usage*.json and get-metric-data*.json in a folder, as
    /// the AWS CLI prints it
    #[arg(long, value_name = "FOLDER")]
    pub(crate) recorded: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Endpoint {
    /// Where to call; the local AWS for names, AWS itself for ARNs when not said
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    pub(crate) endpoint: Option<String>,
    /// The runtime's endpoint that answers, such as `live`; `DEFAULT`, the newest version, when not said
    #[arg(long, value_name = "NAME")]
    pub(crate) qualifier: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Agent {
    /// Which one
    #[arg(value_parser = ["coach_companion", "test_agent"])]
    pub(crate) name: String,
    /// Send one sample payload through the handler, print the answer and exit
    #[arg(long)]
    pub(crate) local_test: bool,
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}
