//! Serves the coach.

use agentcore_runtime::{ServeError, serve};
use coach_companion::CoachCompanion;

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    serve(CoachCompanion).await
}
