//! Serves the test agent.

use agentcore_runtime::{ServeError, serve};
use test_agent::TestAgent;

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    serve(TestAgent).await
}
