//! Debug actions: a payload that asks the runtime about itself, when `AGENTCORE_DEBUG=1`.

use agentcore_core::activity::Job;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{Http, json_bytes, ping_body};
use crate::failure::{Code, Failure};
use crate::health::Status;

/// A payload that may hold an action.
#[derive(Deserialize)]
struct Asking {
    #[serde(rename = "_agent_core_app_action")]
    action: Option<String>,
}

/// The action a payload asks for, if it asks for one.
pub(super) fn asked(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Asking>(body).ok()?.action
}

/// Does it.
pub(super) fn answer<A>(action: &str, http: &Http<A>) -> Result<Response, Failure>
where
    A: agentcore_core::agent::Agent,
{
    let body = match action {
        "ping_status" => ping_body(&http.health),
        "job_status" => jobs(&http.invoker.activity().jobs()),
        "force_healthy" => forced(http, Some(Status::Healthy)),
        "force_busy" => forced(http, Some(Status::HealthyBusy)),
        "clear_forced_status" => forced(http, None),
        unknown => {
            return Err(Failure::new(Code::UnknownAction, format!("Unknown action: {unknown}")));
        }
    };
    Ok(json_bytes(StatusCode::OK, body))
}

fn forced<A>(http: &Http<A>, status: Option<Status>) -> String {
    http.health.force(status);
    json!({ "forced_status": status.map_or("Cleared", Status::as_str) }).to_string()
}

fn jobs(jobs: &[Job]) -> String {
    let running: Vec<_> =
        jobs.iter().map(|job| json!({ "name": job.name, "duration": job.running_for.as_secs_f64() })).collect();
    json!({ "active_count": running.len(), "running_jobs": running }).to_string()
}
