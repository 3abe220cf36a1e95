//! The agent as a Lambda function: the same handler, reached by another wire.
//!
//! An event becomes the request that AgentCore would have sent, goes through the routes of [`crate::http`],
//! and its answer goes back in the form the event's sender reads. Two things differ from AgentCore. The
//! process stands still between invocations, so a turn is stored before its invocation ends; and several
//! instances may serve one session, so it is read anew each time.

mod answer;
mod event;

use std::time::{Duration, SystemTime};

use agentcore_core::agent::Agent;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt as _;

use self::answer::Reply;
use self::event::{Event, Sender};
use crate::http::{self, Http};

/// What Lambda sets for a runtime of its own, and only there.
pub(crate) const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// What Lambda sets beside it, and `lambda_runtime` cannot do without.
const REQUIRED: [&str; 3] =
    ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"];

/// How long before its deadline an invocation's turn is cut, so that the caller gets an error that says
/// so, and what was said is stored: of a short time a quarter, of a long time this much.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long an invocation's end waits for its traces and metrics to be handed over.
const SIGNALS: Duration = Duration::from_secs(1);

/// The longest time-out a function can have. Source: Lambda's quotas.
const LONGEST: Duration = Duration::from_mins(15);

/// How a function URL passes answers on; the member of that name in its configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum InvokeMode {
    /// In one piece.
    #[default]
    Buffered,
    /// As they come.
    ResponseStream,
}

/// Why a function cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LambdaError {
    /// Lambda sets a variable that is not there.
    #[error("{RUNTIME_API} is set but {0} is not; on Lambda both are, elsewhere unset the first to serve HTTP")]
    NotOnLambda(&'static str),
    /// The runtime API ended the conversation.
    #[error("the Lambda runtime API failed: {0}")]
    RuntimeApi(String),
}

/// When an invocation must be over.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    cut: Instant,
    end: Instant,
}

// === impl InvokeMode ===

impl std::str::FromStr for InvokeMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "BUFFERED" => Ok(Self::Buffered),
            "RESPONSE_STREAM" => Ok(Self::ResponseStream),
            _ => Err(()),
        }
    }
}

// === impl Deadline ===

impl Deadline {
    /// A deadline that has passed when the invocation arrives means nothing: an emulator that has none
    /// says so by that.
    fn of(context: &Context) -> Self {
        let left = context.deadline().duration_since(SystemTime::now()).unwrap_or(LONGEST);
        let now = Instant::now();
        Self { cut: now + left - FAREWELL.min(left / 4), end: now + left }
    }
}

/// Serves until Lambda ends the process.
pub(crate) async fn serve<A: Agent>(http: Http<A>, invoke_mode: InvokeMode) -> Result<(), LambdaError> {
    if let Some(missing) = REQUIRED.into_iter().find(|name| std::env::var_os(name).is_none()) {
        return Err(LambdaError::NotOnLambda(missing));
    }
    tracing::info!(agent = A::NAME, ?invoke_mode, "agent serving a Lambda function");
    let handler = service_fn(move |event| invoke(http.clone(), invoke_mode, event));
    lambda_runtime::run(handler).await.map_err(|error| LambdaError::RuntimeApi(error.to_string()))
}

async fn invoke<A: Agent>(
    http: Http<A>,
    invoke_mode: InvokeMode,
    LambdaEvent { payload, context }: LambdaEvent<Value>,
) -> Result<Reply, Diagnostic> {
    let deadline = Deadline::of(&context);
    let cut = CancellationToken::new();
    let timer = AbortOnDropHandle::new(tokio::spawn({
        let cut = cut.clone();
        async move {
            sleep_until(deadline.cut).await;
            cut.cancel();
        }
    }));
    let sessions = http.invoker.sessions().clone();
    let telemetry = http.telemetry.clone();
    let (sender, request) = Event::read(payload)?.into_request(&context)?;
    let Ok(response) = http::router(http.cut_by(cut)).oneshot(request).await;
    let stored = async move {
        if tokio::time::timeout_at(deadline.end, sessions.flush()).await.is_err() {
            tracing::error!("the invocation ends before its turn is stored; it is stored when the process wakes again");
        }
        // The process stands still from here on, and with it whatever waits to be handed over.
        telemetry.flush(deadline.end.saturating_duration_since(Instant::now()).min(SIGNALS)).await;
        drop(timer);
    };
    match sender {
        Sender::Http if invoke_mode == InvokeMode::ResponseStream => Ok(answer::streamed(response, stored)),
        Sender::Http => answer::buffered(response, stored).await,
        Sender::Direct => answer::direct(response, stored).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time until the turn is cut, of an invocation that may take `seconds` more.
    fn cut_after(seconds: i64) -> Duration {
        let mut context = Context::default();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        context.deadline = (now.saturating_add_signed(seconds)) * 1000;
        Deadline::of(&context).cut.saturating_duration_since(Instant::now())
    }

    #[test]
    fn a_turn_is_cut_in_time_to_say_so() {
        let about = |expected: u64, found: Duration| found.as_secs().abs_diff(expected) <= 1;
        assert!(about(57, cut_after(60)), "of a minute three seconds are kept: {:?}", cut_after(60));
        assert!(about(3, cut_after(4)), "of little time a quarter: {:?}", cut_after(4));
        assert!(about(897, cut_after(-60)), "a deadline in the past is none: {:?}", cut_after(-60));
    }
}
