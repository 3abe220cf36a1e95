//! An agent's answer on its way to the caller: each frame as it came, with an eye on when.
//!
//! The body holds the visit, so a session is busy as long as an answer flows, and the connection, so the
//! agent learns at once when the caller is gone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Invocation;
use crate::notice::{InvocationFailure, Notice, Notices};
use crate::sessions::{Exchange, Visit};

/// The body of an answer.
pub(super) struct AnswerBody {
    body: Incoming,
    status: StatusCode,
    visit: Visit,
    notices: Notices,
    began: Instant,
    request_id: Arc<str>,
    first_byte: Option<Duration>,
    /// How it ended, as soon as it has.
    outcome: Option<Result<(), InvocationFailure>>,
    _connection: AbortOnDropHandle<()>,
}

// === impl AnswerBody ===

impl AnswerBody {
    pub(super) fn new(exchange: Exchange, visit: Visit, invocation: &Invocation) -> Self {
        let status = exchange.answer.status();
        let body = exchange.answer.into_body();
        // An empty body is never asked for a frame.
        let outcome = body.is_end_stream().then_some(Ok(()));
        Self {
            body,
            status,
            visit,
            notices: invocation.notices.clone(),
            began: invocation.began,
            request_id: Arc::clone(&invocation.request_id),
            first_byte: None,
            outcome,
            _connection: exchange.connection,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Some(Ok(_)) => {
                this.first_byte.get_or_insert_with(|| this.began.elapsed());
                // A body of known length isn't asked again after its last byte.
                if this.body.is_end_stream() {
                    this.outcome = Some(Ok(()));
                }
            }
            Some(Err(error)) => this.outcome = Some(Err(InvocationFailure::CutShort(error.to_string()))),
            None => this.outcome = Some(Ok(())),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        let (session, number, total) = (self.visit.name().clone(), self.visit.number(), self.began.elapsed());
        let request_id = Arc::clone(&self.request_id);
        let notice = match self.outcome.take().unwrap_or(Err(InvocationFailure::CallerLeft)) {
            Ok(()) => {
                let (status, first_byte) = (self.status, self.first_byte.unwrap_or(total));
                Notice::InvocationFinished { session, request_id, number, status, first_byte, total }
            }
            Err(failure) => Notice::InvocationFailed { session, request_id, number: Some(number), failure, total },
        };
        self.notices.announce(notice);
    }
}
