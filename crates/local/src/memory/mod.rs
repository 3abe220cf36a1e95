//! AgentCore Memory's short-term memory: events, as the data plane serves them.
//!
//! A memory exists as soon as it is named. Creating one is the control plane's work, done in production
//! by a deployment; here that step would only be a way to fail, so any well-formed id will do.

mod constraints;
mod page_token;
mod shapes;
mod store;

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use self::constraints::{Violations, body, memory_id};
use self::page_token::PageToken;
use self::shapes::{CreateEvent, Event, ListActors, ListEvents, ListSessions};
use self::store::{Failure, SessionKey};
use crate::aws_error::AwsError;
use crate::path::Path;

pub(crate) use self::store::Store;
pub use self::store::StoreError;

/// The largest request, in bytes: an event's hundred texts of a hundred thousand characters, two bytes
/// each, with room for what stands around them.
const LARGEST_BODY: usize = 24_000_000;

type Answer = Result<Json<Value>, AwsError>;

/// The routes of the event operations.
pub(crate) fn router(store: Store) -> Router {
    Router::new()
        .route("/memories/{memory}/events", post(create_event))
        .route("/memories/{memory}/actors", post(list_actors))
        .route("/memories/{memory}/actor/{actor}/sessions", post(list_sessions))
        .route("/memories/{memory}/actor/{actor}/sessions/{session}", post(list_events))
        .route(
            "/memories/{memory}/actor/{actor}/sessions/{session}/events/{event}",
            get(get_event).delete(delete_event),
        )
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(store)
}

async fn create_event(
    State(store): State<Store>,
    Path(memory): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), AwsError> {
    let memory = memory_id(&memory)?.to_owned();
    let request: CreateEvent = body(&received(bytes)?)?;
    let mut violations = Violations::default();
    violations.event(&request);
    violations.check()?;
    let event = on_disk(move || store.create(&memory, request)).await?;
    Ok((StatusCode::CREATED, Json(json!({ "event": event }))))
}

async fn get_event(
    State(store): State<Store>,
    Path((memory, actor, session, event)): Path<(String, String, String, String)>,
) -> Answer {
    let key = session_key(&memory, actor, session)?;
    check_event_id(&event)?;
    let (id, of) = (event.clone(), key.clone());
    let found = on_disk(move || store.get(&of, &id)).await?;
    let found = found.ok_or_else(|| no_event(&key, &event))?;
    Ok(Json(json!({ "event": found })))
}

async fn delete_event(
    State(store): State<Store>,
    Path((memory, actor, session, event)): Path<(String, String, String, String)>,
) -> Answer {
    let key = session_key(&memory, actor, session)?;
    check_event_id(&event)?;
    let (id, of) = (event.clone(), key.clone());
    let was_there = on_disk(move || store.delete(&of, &id)).await?;
    if was_there { Ok(Json(json!({ "eventId": event }))) } else { Err(no_event(&key, &event)) }
}

async fn list_events(
    State(store): State<Store>,
    Path((memory, actor, session)): Path<(String, String, String)>,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let key = session_key(&memory, actor, session)?;
    let request: ListEvents = body(&received(bytes)?)?;
    let filter = request.filter.unwrap_or_default();
    let mut violations = Violations::default();
    let size = violations.page_size(request.max_results);
    violations.filter(&filter);
    violations.check()?;
    let list = ["events", &key.memory, &key.actor, &key.session].map(str::to_owned);
    let after = PageToken::decode(&parts(&list), request.next_token.as_deref())?;
    let page = on_disk(move || store.events(&key, &filter, after.as_deref(), size)).await?;
    let with_payloads = request.include_payloads == Some(true);
    let events: Vec<Event> = page.items.into_iter().map(|event| shown(event, with_payloads)).collect();
    answer("events", events, &list, page.last.as_deref())
}

async fn list_sessions(
    State(store): State<Store>,
    Path((memory, actor)): Path<(String, String)>,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let memory = memory_id(&memory)?.to_owned();
    let request: ListSessions = body(&received(bytes)?)?;
    let mut violations = Violations::default();
    violations.actor_id(&actor);
    let size = violations.page_size(request.max_results);
    violations.check()?;
    let with_events_only = request.filter.is_some_and(|filter| filter.event_filter.is_some());
    let list = ["sessions".to_owned(), memory.clone(), actor.clone()];
    let after = PageToken::decode(&parts(&list), request.next_token.as_deref())?;
    let of = actor.clone();
    let page = on_disk(move || store.sessions(&memory, &of, with_events_only, after.as_deref(), size)).await?;
    let summary = |found: &store::SessionSummary| json!({ "actorId": actor, "sessionId": found.session, "createdAt": seconds(found.created_ms) });
    let summaries: Vec<Value> = page.items.iter().map(summary).collect();
    answer("sessionSummaries", summaries, &list, page.last.as_deref())
}

async fn list_actors(
    State(store): State<Store>,
    Path(memory): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let memory = memory_id(&memory)?.to_owned();
    let request: ListActors = body(&received(bytes)?)?;
    let mut violations = Violations::default();
    let size = violations.page_size(request.max_results);
    violations.check()?;
    let list = ["actors".to_owned(), memory.clone()];
    let after = PageToken::decode(&parts(&list), request.next_token.as_deref())?;
    let page = on_disk(move || store.actors(&memory, after.as_deref(), size)).await?;
    let summaries: Vec<Value> = page.items.iter().map(|actor| json!({ "actorId": actor })).collect();
    answer("actorSummaries", summaries, &list, page.last.as_deref())
}

/// Runs `work` where waiting for the disk delays nobody else.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, AwsError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => {
            tracing::error!(%error, "a memory operation panicked");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(AwsError::new(status, "ServiceException", "The memory store failed."))
        }
    }
}

fn received(bytes: Result<Bytes, BytesRejection>) -> Result<Bytes, AwsError> {
    bytes.map_err(|rejection| {
        AwsError::validation(format!("{}; a request has at most {LARGEST_BODY} bytes.", rejection.body_text()))
            .because("CannotParse", Vec::new())
    })
}

fn session_key(memory: &str, actor: String, session: String) -> Result<SessionKey, AwsError> {
    let memory = memory_id(memory)?.to_owned();
    let mut violations = Violations::default();
    violations.actor_id(&actor);
    violations.session_id(&session);
    violations.check()?;
    Ok(SessionKey { memory, actor, session })
}

fn check_event_id(id: &str) -> Result<(), AwsError> {
    let mut violations = Violations::default();
    violations.event_id("eventId", id);
    violations.check()
}

fn no_event(key: &SessionKey, event: &str) -> AwsError {
    AwsError::not_found(format!(
        "Event {event} was not found in session {} of actor {} in memory {}.",
        key.session, key.actor, key.memory
    ))
}

/// Without payloads the member is absent, not empty.
fn shown(mut event: Event, with_payload: bool) -> Event {
    event.payload = event.payload.filter(|_| with_payload);
    event
}

fn answer(member: &str, items: impl Serialize, list: &[String], end: Option<&str>) -> Answer {
    let mut answer = json!({ member: items });
    if let Some(end) = end {
        let token = PageToken::encode(&parts(list), end);
        answer["nextToken"] = token.map_err(|error| AwsError::cannot_parse(error.to_string()))?.into();
    }
    Ok(Json(answer))
}

fn parts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// Unix seconds with milliseconds, as the wire has timestamps.
fn seconds(milliseconds: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a date's milliseconds stay far below 2^53")]
    let milliseconds = milliseconds as f64;
    milliseconds / 1000.0
}
