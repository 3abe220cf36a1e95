//! Trouble to order: what Bedrock does on its bad days, one call at a time.
//!
//! A test asks for a [`Fault`] by its name, in the header `x-local-fault` of one call, or arms
//! [`Faults`] for the next calls or for all. Where a fault needs a stream and the call is a plain
//! `converse`, it takes the form the same trouble has there: the connection is cut in the middle of
//! the body, the body is not JSON, or nothing follows the headers. (boto3 reads half a body as an answer
//! without members and raises nothing, here as anywhere.)

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;

use crate::aws_error::AwsError;

/// One kind of trouble. The text form is what [`FromStr`] reads and [`fmt::Display`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call is refused before a model is asked: a [`Refusal`]'s name, and `=SECONDS` where a `retry-after`
    /// goes with it.
    Refused {
        /// How.
        refusal: Refusal,
        /// The `retry-after`, in seconds.
        retry_after: Option<u32>,
    },
    /// `cut@N`: after N events the connection is closed without the end of the body.
    Cut {
        /// Events sent before.
        after: usize,
    },
    /// `stream-error@N`: after N events a `modelStreamErrorException`.
    StreamError {
        /// Events sent before.
        after: usize,
    },
    /// `throttle-stream@N`: after N events a `throttlingException`.
    ThrottleStream {
        /// Events sent before.
        after: usize,
    },
    /// `corrupt@N`: the Nth event, counted from 1, has a wrong checksum.
    Corrupt {
        /// The event, counted from 1.
        event: usize,
    },
    /// `silence@N`: after N events nothing more, and the connection stays open.
    Silence {
        /// Events sent before.
        after: usize,
    },
    /// `slow=MILLIS`: a pause before every delta; before the answer, if it is not a stream.
    Slow {
        /// The pause.
        pause: Duration,
    },
}

/// How a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `throttle`: 429 `ThrottlingException`.
    Throttle,
    /// `unavailable`: 503 `ServiceUnavailableException`.
    Unavailable,
    /// `server-error`: 500 `InternalServerException`.
    ServerError,
    /// `model-timeout`: 408 `ModelTimeoutException`.
    ModelTimeout,
    /// `model-not-ready`: 429 `ModelNotReadyException`.
    ModelNotReady,
    /// `access-denied`: 403 `AccessDeniedException`.
    AccessDenied,
}

/// A text that names no [`Fault`], or no way to arm one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a fault: {reason}. Faults are throttle, unavailable, server-error, \
     model-timeout, model-not-ready, access-denied (each with =SECONDS for a retry-after), cut@N, \
     stream-error@N, throttle-stream@N, corrupt@N (N counts stream events), silence@N and slow=MILLIS; FAULT*COUNT arms one for the \
     next COUNT calls, FAULT* for every call, and commas separate several"
)]
pub struct FaultSyntaxError {
    text: String,
    reason: String,
}

/// The faults armed for calls to come. Clones share one plan.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<Fault>,
    every: Option<Fault>,
}

/// What one item of a plan's text says.
enum Armed {
    Next { fault: Fault, calls: usize },
    Every(Fault),
}

/// What was sent before a connection is cut gets this long to leave.
///
/// HTTP/1.1 drops what it still buffers when a body fails, HTTP/2 what it has queued when a stream is
/// reset; neither tells when that has gone out.
const TIME_TO_LEAVE: Duration = Duration::from_millis(50);

/// More calls than anybody waits for; above it the text is a typing error.
const MOST_CALLS: usize = 10_000;

// === impl Fault ===

impl Fault {
    /// The refusal, when the fault is one: the call never reaches a model.
    pub(super) fn refusal(self) -> Option<AwsError> {
        match self {
            Self::Refused { refusal, retry_after: None } => Some(refusal.error()),
            Self::Refused { refusal, retry_after: Some(seconds) } => Some(refusal.error().retry_after(seconds)),
            _ => None,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal, retry_after: None }
    }
}

// === impl Refusal ===

impl Refusal {
    const ALL: [Self; 6] = [
        Self::Throttle,
        Self::Unavailable,
        Self::ServerError,
        Self::ModelTimeout,
        Self::ModelNotReady,
        Self::AccessDenied,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Unavailable => "unavailable",
            Self::ServerError => "server-error",
            Self::ModelTimeout => "model-timeout",
            Self::ModelNotReady => "model-not-ready",
            Self::AccessDenied => "access-denied",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.as_str() == name)
    }

    fn error(self) -> AwsError {
        let (status, name, message) = match self {
            Self::Throttle => (
                StatusCode::TOO_MANY_REQUESTS,
                "ThrottlingException",
                "Too many requests, please wait before trying again.",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailableException",
                "Bedrock is unable to process your request.",
            ),
            Self::ServerError => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerException",
                "The system encountered an unexpected error during processing. Try your request again.",
            ),
            Self::ModelTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "ModelTimeoutException",
                "Model has timed out in processing the request. Try your request again.",
            ),
            Self::ModelNotReady => (
                StatusCode::TOO_MANY_REQUESTS,
                "ModelNotReadyException",
                "Model is not ready for inference. Wait and try your request again.",
            ),
            Self::AccessDenied => (
                StatusCode::FORBIDDEN,
                "AccessDeniedException",
                "You don't have access to the model with the specified model ID.",
            ),
        };
        AwsError::new(status, name, message)
    }
}

/// The error that makes the server break a body off, once what came before it has left.
pub(super) async fn cut() -> io::Error {
    tokio::time::sleep(TIME_TO_LEAVE).await;
    io::Error::other("connection cut, as the fault asks")
}

impl FromStr for Fault {
    type Err = FaultSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let wrong = |reason: String| FaultSyntaxError { text: text.to_owned(), reason };
        let number =
            |digits: &str| digits.parse().map_err(|error: ParseIntError| wrong(format!("`{digits}`: {error}")));
        if let Some((name, digits)) = text.split_once('@') {
            let after = number(digits)?;
            return match name {
                "cut" => Ok(Self::Cut { after }),
                "stream-error" => Ok(Self::StreamError { after }),
                "throttle-stream" => Ok(Self::ThrottleStream { after }),
                "silence" => Ok(Self::Silence { after }),
                "corrupt" if after > 0 => Ok(Self::Corrupt { event: after }),
                "corrupt" => Err(wrong("the events to corrupt are counted from 1".into())),
                _ => Err(wrong(format!("`{name}` takes no `@N`"))),
            };
        }
        if let Some((name, digits)) = text.split_once('=') {
            if let Some(refusal) = Refusal::named(name) {
                let seconds = u32::try_from(number(digits)?);
                let seconds = seconds.map_err(|_| wrong("nobody waits so long".into()))?;
                return Ok(Self::Refused { refusal, retry_after: Some(seconds) });
            }
            let pause = Duration::from_millis(number(digits)? as u64);
            return match name {
                "slow" => Ok(Self::Slow { pause }),
                _ => Err(wrong(format!("`{name}` takes no `=`"))),
            };
        }
        if let Some(refusal) = Refusal::named(text) {
            return Ok(refusal.into());
        }
        match text {
            "cut" | "stream-error" | "throttle-stream" | "corrupt" | "silence" => {
                Err(wrong(format!("say at which event, as in `{text}@3`")))
            }
            "slow" => Err(wrong("say how slow, as in `slow=50`".into())),
            _ => Err(wrong("there is none of that name".into())),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { refusal, retry_after: None } => formatter.write_str(refusal.as_str()),
            Self::Refused { refusal, retry_after: Some(seconds) } => {
                write!(formatter, "{}={seconds}", refusal.as_str())
            }
            Self::Cut { after } => write!(formatter, "cut@{after}"),
            Self::StreamError { after } => write!(formatter, "stream-error@{after}"),
            Self::ThrottleStream { after } => write!(formatter, "throttle-stream@{after}"),
            Self::Corrupt { event } => write!(formatter, "corrupt@{event}"),
            Self::Silence { after } => write!(formatter, "silence@{after}"),
            Self::Slow { pause } => write!(formatter, "slow={}", pause.as_millis()),
        }
    }
}

// === impl Faults ===

impl Faults {
    /// Arms what `text` says, after what is armed already: `throttle*3` for the next three calls,
    /// `slow=50*` for every call that nothing else is armed for, several separated by commas.
    ///
    /// Nothing is armed when any part of `text` is wrong.
    pub fn arm(&self, text: &str) -> Result<(), FaultSyntaxError> {
        let armed = text.split(',').map(str::parse).collect::<Result<Vec<Armed>, _>>()?;
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        for item in armed {
            match item {
                Armed::Next { fault, calls } => {
                    plan.next.extend(std::iter::repeat_n(fault, calls));
                }
                Armed::Every(fault) => plan.every = Some(fault),
            }
        }
        Ok(())
    }

    /// Forgets everything armed.
    pub fn clear(&self) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Plan::default();
    }

    /// The fault for the call that begins now.
    pub(super) fn take(&self) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.next.pop_front().or(plan.every)
    }
}

impl FromStr for Faults {
    type Err = FaultSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let faults = Self::default();
        faults.arm(text)?;
        Ok(faults)
    }
}

// === impl Armed ===

impl FromStr for Armed {
    type Err = FaultSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let Some((fault, calls)) = text.split_once('*') else {
            return Ok(Self::Next { fault: text.parse()?, calls: 1 });
        };
        let fault = fault.parse()?;
        if calls.is_empty() {
            return Ok(Self::Every(fault));
        }
        match calls.parse() {
            Ok(calls @ 1..=MOST_CALLS) => Ok(Self::Next { fault, calls }),
            _ => Err(FaultSyntaxError {
                text: text.to_owned(),
                reason: format!("`{calls}` is not a number of calls from 1 to {MOST_CALLS}"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Refusal};

    #[test]
    fn every_fault_is_written_as_it_is_read() {
        for text in [
            "throttle",
            "throttle=3",
            "unavailable",
            "unavailable=0",
            "server-error",
            "model-timeout",
            "model-not-ready",
            "access-denied",
            "cut@0",
            "stream-error@1",
            "throttle-stream@2",
            "corrupt@3",
            "silence@4",
            "slow=50",
        ] {
            let fault: Fault = text.parse().expect("a fault of the list");
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn a_wrong_text_is_told_what_would_be_right() {
        let refused = |text: &str| {
            let error = text.parse::<Faults>().expect_err("not a fault");
            let sentence = error.to_string();
            let (what, advice) = sentence.split_once(". ").expect("two sentences");
            assert!(advice.starts_with("Faults are throttle, unavailable,"));
            what.to_owned()
        };
        insta::assert_snapshot!(
            ["typhoon", "", "cut", "cut@x", "corrupt@0", "throttle@2", "slow", "slow=soon", "throttle=soon", "cut=3", "throttle*0"]
                .map(refused)
                .join("\n"),
            @"
        `typhoon` is not a fault: there is none of that name
        `` is not a fault: there is none of that name
        `cut` is not a fault: say at which event, as in `cut@3`
        `cut@x` is not a fault: `x`: invalid digit found in string
        `corrupt@0` is not a fault: the events to corrupt are counted from 1
        `throttle@2` is not a fault: `throttle` takes no `@N`
        `slow` is not a fault: say how slow, as in `slow=50`
        `slow=soon` is not a fault: `soon`: invalid digit found in string
        `throttle=soon` is not a fault: `soon`: invalid digit found in string
        `cut=3` is not a fault: `cut` takes no `=`
        `throttle*0` is not a fault: `0` is not a number of calls from 1 to 10000
        "
        );
    }

    #[test]
    fn a_plan_serves_what_is_armed_in_order_and_then_what_is_for_every_call() {
        let faults: Faults = "throttle*2, cut@1, slow=5*".parse().expect("a plan");
        let served: Vec<String> = std::iter::from_fn(|| faults.take()).take(5).map(|fault| fault.to_string()).collect();
        assert_eq!(served, ["throttle", "throttle", "cut@1", "slow=5", "slow=5"]);

        faults.clear();
        assert_eq!(faults.take(), None);
    }

    #[test]
    fn a_plan_with_a_mistake_arms_nothing() {
        let faults = Faults::default();
        faults.arm("throttle, typhoon").expect_err("a mistake in it");
        assert_eq!(faults.take(), None);
    }

    #[test]
    fn clones_share_one_plan() {
        let faults = Faults::default();
        faults.clone().arm("throttle").expect("a fault");
        assert_eq!(faults.take(), Some(Refusal::Throttle.into()));
        assert_eq!(faults.take(), None);
    }
}
