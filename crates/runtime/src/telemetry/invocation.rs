//! The span of an invocation, and the one line that says what became of it.

use std::time::Instant;

use agentcore_core::guard::Safety;
use agentcore_core::signal::{self, attribute, measure, span};
use agentcore_core::turn::{TurnError, TurnOutcome, TurnRequest};
use axum::http::HeaderMap;
use opentelemetry::trace::{Status, TraceContextExt as _};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::propagation;
use crate::failure::Failure;

/// Begins the span of an invocation, in the trace that its headers name.
pub(crate) fn begin(agent: &'static str, headers: &HeaderMap, request_id: &str, session_id: &str) -> Span {
    let invocation = tracing::info_span!(
        "invocation",
        otel.name = format_args!("{} {agent}", span::INVOKE_AGENT),
        otel.kind = "server",
        request_id,
        session_id,
        trace_id = Empty,
    );
    let parent = propagation::parent(headers, session_id);
    let caller = parent.span().span_context().clone();
    if invocation.set_parent(parent).is_err() && caller.is_valid() {
        // Nobody traces here; the line can be joined to the caller's trace all the same.
        invocation.record("trace_id", caller.trace_id().to_string());
    }
    invocation.set_attribute(attribute::OPERATION, span::INVOKE_AGENT);
    invocation.set_attribute(attribute::AGENT, agent);
    invocation.set_attribute(attribute::CONVERSATION, session_id.to_owned());
    invocation
}

/// The span in which the guards read what the user says; none where nobody does.
pub(crate) fn guards(request: &TurnRequest) -> Span {
    if request.is_guarded() { tracing::info_span!(target: signal::SPANS, span::GUARD) } else { Span::none() }
}

/// What became of a turn: numbers and names, no words of anybody.
pub(crate) fn report(outcome: &TurnOutcome, began: Instant, first_token: Option<Instant>) {
    let usage = outcome.usage;
    let first_token = first_token.map(|at| at.saturating_duration_since(began).as_secs_f64() * 1e3);
    let (error_type, error) = match &outcome.result {
        Ok(_) => (None, None),
        Err(error) => (Some(error_type(error)), Some(error)),
    };
    describe(outcome, first_token);
    macro_rules! line {
        ($level:ident, $sentence:literal) => {
            tracing::$level!(
                stop_reason = outcome.result.as_ref().ok().map(|answer| answer.stop_reason.as_str()),
                error_type,
                error = error.map(tracing::field::display),
                { measure::INVOCATIONS } = 1,
                { measure::ERRORS } = u8::from(error.is_some_and(is_ours)),
                { measure::LATENCY } = milliseconds(began),
                { measure::FIRST_TOKEN } = first_token,
                { measure::INPUT_TOKENS } = usage.input_tokens,
                { measure::OUTPUT_TOKENS } = usage.output_tokens,
                cache_read_tokens = usage.cache_read_input_tokens,
                { measure::USD } = usage.cost.usd(),
                tool_calls = outcome.tools.calls,
                tool_calls_in_vain = outcome.tools.in_vain(),
                flags = outcome.safety.flags.len(),
                $sentence
            )
        };
    }
    match &outcome.result {
        Ok(_) => line!(info, "turn answered"),
        Err(TurnError::Cut) => line!(info, "turn cut"),
        Err(TurnError::NothingAsked) => line!(warn, "replies to what nobody asked"),
        Err(_) => line!(error, "turn failed"),
    }
}

/// What a call came to of a tool that is offered by itself.
#[cfg(feature = "mcp")]
pub(crate) fn tool_called(tool: &str, has_worked: bool, began: Instant) {
    tracing::info!(
        tool,
        has_worked,
        { measure::INVOCATIONS } = 1,
        { measure::ERRORS } = 0,
        { measure::LATENCY } = milliseconds(began),
        "a tool was called by itself"
    );
}

/// What an invocation came to that never became a turn.
pub(crate) fn refused(failure: &Failure, began: Instant) {
    let status = failure.code.status().as_u16();
    tracing::warn!(
        code = failure.code.as_str(),
        status,
        error_type = failure.code.as_str(),
        { measure::INVOCATIONS } = 1,
        { measure::ERRORS } = u8::from(!failure.is_callers()),
        { measure::LATENCY } = milliseconds(began),
        "invocation refused"
    );
    Span::current().set_attribute(attribute::ERROR, failure.code.as_str());
}

fn describe(outcome: &TurnOutcome, first_token: Option<f64>) {
    let span = Span::current();
    let TurnOutcome { result, usage, safety: Safety { severity, action, .. }, .. } = outcome;
    span.set_attribute(attribute::INPUT_TOKENS, signed(usage.input_tokens));
    span.set_attribute(attribute::OUTPUT_TOKENS, signed(usage.output_tokens));
    if let Some(usd) = usage.cost.usd() {
        span.set_attribute(attribute::USD, usd);
    }
    span.set_attribute(attribute::SAFETY_SEVERITY, severity.as_str());
    span.set_attribute(attribute::SAFETY_ACTION, action.as_str());
    if let Some(first_token) = first_token {
        span.set_attribute(attribute::FIRST_TOKEN, first_token / 1e3);
    }
    match result {
        Ok(answer) => span.set_attribute(attribute::STOP_REASON, answer.stop_reason.as_str().to_owned()),
        Err(error) => {
            span.set_attribute(attribute::ERROR, error_type(error));
            span.set_status(Status::error(error_type(error)));
        }
    }
}

/// The time since then, in milliseconds.
pub(super) fn milliseconds(began: Instant) -> f64 {
    // To the microsecond: what is finer is noise, and unpleasant to read.
    (began.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// OpenTelemetry's whole numbers have a sign; one that has none would be told as text.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whether somebody should look at it: not where the caller left, or answers what nobody asked.
fn is_ours(error: &TurnError) -> bool {
    !matches!(error, TurnError::Cut | TurnError::NothingAsked)
}

fn error_type(error: &TurnError) -> &'static str {
    match error {
        TurnError::Model(error) => error.name(),
        TurnError::EmptyAnswer { .. } => "EmptyAnswer",
        TurnError::NotTheType { .. } => "NotTheType",
        TurnError::OutOfTime => "OutOfTime",
        TurnError::NothingAsked => "NothingAsked",
        TurnError::AskerGone => "AskerGone",
        TurnError::Cut => "Cut",
    }
}
