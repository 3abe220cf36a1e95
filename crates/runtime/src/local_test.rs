//! `--local-test`: one sample payload through the very handler that serves callers.

use std::process::ExitCode;

use agentcore_core::agent::Agent;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::http::{self, Http};

/// Sends the agent's sample payload and prints the answer. Fails when the answer is not a success.
pub(crate) async fn run<A: Agent>(http: Http<A>) -> ExitCode {
    println!("{} <- {}", A::NAME, A::SAMPLE);
    let request =
        Request::post("/invocations").header(header::CONTENT_TYPE, "application/json").body(Body::from(A::SAMPLE));
    let Ok(request) = request else {
        return ExitCode::FAILURE;
    };
    let Ok(response) = http::router(http).oneshot(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    println!("{status}\n{}", String::from_utf8_lossy(&body.unwrap_or_default()));
    if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
