//! Serves the coach.

use agentcore_runtime::{ServeError, serve};
use coach_companion::{CoachCompanion, sentinel};

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    // Beside the start, which does not wait for it.
    std::thread::spawn(sentinel::prepare);
    serve(CoachCompanion).await
}
