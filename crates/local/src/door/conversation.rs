//! A conversation through the door: the WebSocket of a session.
//!
//! The caller and the agent agree on it with each other; after that the door carries bytes in both directions and reads
//! none. A session somebody is connected to is not idle. When it ends, so does the connection, with what the agent had
//! to say last.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink, split};
use tokio::time::{Instant, timeout};

use super::forwarding::{self, SESSION_ID};
use super::{Door, Invocation, armed_faults, printable, session_id};
use crate::aws_error::AwsError;
use crate::notice::{Notice, SessionName};
use crate::path::Path;
use crate::request_id::RequestId;
use crate::sessions::{Exchange, Visit};

/// How long one side may take to notice that the other has ended the connection.
const FAREWELL: Duration = Duration::from_secs(5);

/// Leads the caller's handshake to the session's agent, and carries what follows.
pub(super) async fn open(
    State(door): State<Door>,
    Path(runtime): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    mut request: Request,
) -> Result<Response, AwsError> {
    let began = Instant::now();
    let agent = door.agent(&runtime)?;
    let headers = forwarding::with_parameters(request.headers().clone(), request.uri());
    let protocol = door.sessions.protocol(&agent).unwrap_or_default();
    let session_id = session_id(&headers, protocol)?;
    let session = SessionName { agent, id: printable(&session_id)? };
    let forwarded = forwarding::handshake(&headers, &session_id, &request_id)?;
    let request_id = request_id.to_str().unwrap_or_default().into();
    let notices = door.notices.clone();
    let mut invocation = Invocation { session, protocol, request_id, notices, began, number: None, settled: false };
    let (visit, exchange) = match invocation.carry_out(&door.sessions, forwarded, armed_faults(&headers)).await {
        Ok(carried) => carried,
        Err((failure, error)) => {
            invocation.failed(failure);
            return Err(error);
        }
    };
    let mut answer = forwarding::handshake_answer(exchange.answer.headers());
    answer.insert(SESSION_ID, session_id);
    tokio::spawn(carry(hyper::upgrade::on(&mut request), exchange, visit, invocation));
    Ok((StatusCode::SWITCHING_PROTOCOLS, answer, Body::empty()).into_response())
}

async fn carry(caller: OnUpgrade, exchange: Exchange, visit: Visit, mut invocation: Invocation) {
    let Exchange { answer, connection: _held } = exchange;
    // Dropped unsettled, the invocation says that the caller left.
    let (Ok(caller), Ok(agent)) = tokio::join!(caller, hyper::upgrade::on(answer)) else { return };
    invocation.settled = true;
    let Invocation { ref session, ref request_id, ref notices, began, .. } = invocation;
    notices.announce(Notice::ConversationBegan { session: session.clone(), request_id: Arc::clone(request_id) });
    let carrying = between(TokioIo::new(caller), TokioIo::new(agent));
    tokio::pin!(carrying);
    tokio::select! {
        () = &mut carrying => {}
        () = visit.ended() => {
            let _ = timeout(FAREWELL, carrying).await;
        }
    }
    let total = began.elapsed();
    notices.announce(Notice::ConversationEnded { session: session.clone(), request_id: Arc::clone(request_id), total });
}

/// Carries bytes until one of both has nothing more to say.
async fn between(caller: TokioIo<Upgraded>, agent: TokioIo<Upgraded>) {
    let (mut from_caller, mut to_caller) = split(caller);
    let (mut from_agent, mut to_agent) = split(agent);
    tokio::select! {
        _ = copy(&mut from_caller, &mut to_agent) => {}
        _ = copy(&mut from_agent, &mut to_caller) => part(from_caller, to_caller).await,
    }
}

/// Leaves when the caller has, or has had its time: what it is still sending would otherwise take the agent's last word
/// from it.
async fn part(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let leaving = async {
        to.shutdown().await?;
        copy(&mut from, &mut sink()).await
    };
    let _ = timeout(FAREWELL, leaving).await;
}
