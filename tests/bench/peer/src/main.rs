//! A peer of the test agent: the same agent on Paigasus Helikon, which is in Rust too.
//!
//! Everything is the framework's own: its router, its sessions in memory, its model on AWS's SDK. Only the listener is
//! not, because its server insists on port 8080 of every address.

use std::env;
use std::error::Error;
use std::sync::Arc;

use paigasus_helikon_core::{LlmAgent, ModelSettings};
use paigasus_helikon_providers_bedrock::BedrockModel;
use paigasus_helikon_runtime_agentcore::AgentCoreServer;
use tokio::net::TcpListener;

/// The test agent's own words.
const PERSONA: &str = "\
You are the test agent of a deployment: whoever writes to you wants to see that it works.
Begin your first answer with \"Hello from AgentCore!\" and a short cheerful line.
Answer anything else in one or two friendly sentences, and use what was said before.";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = ModelSettings::new();
    settings.max_output_tokens = Some(512);
    settings.temperature = Some(0.7);
    let agent = LlmAgent::builder::<()>()
        .name("peer")
        .model(BedrockModel::from_env(env::var("MODEL_ID")?).await?)
        .instructions(PERSONA)
        .model_settings(settings)
        .build();
    let server = AgentCoreServer::builder().agent(Arc::new(agent)).with_default_context().build()?;
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".into());
    let listener = TcpListener::bind((host.as_str(), env::var("PORT")?.parse()?)).await?;
    Ok(axum::serve(listener, server.router()).await?)
}
