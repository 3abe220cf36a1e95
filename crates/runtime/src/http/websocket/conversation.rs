//! One connection, from its handshake to its end.
//!
//! Three things go on beside each other: listening, telling of the turns in their order, and speaking. So a client that
//! reads slowly makes its own model wait and can still cancel, and what is refused is told while a turn goes on. Only
//! listening and speaking end with the connection: the telling of a turn goes on, to nobody, until the turn is stored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use agentcore_core::agent::{Agent, Context};
use axum::http::HeaderMap;
use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use super::super::Http;
use super::super::body::LARGEST;
use super::super::events::{Telling, Told};
use super::listener::Listener;
use super::meter::{Meter, Metered, NoRoom};
use super::speaker::{Saying, Speaker};
use super::{Language, Limits};
use crate::failure::{Code, Failure};

/// How many turns of a connection may be untold. A session's row is about as long; turns that have ended and that a
/// slow client has not read are in this one only.
pub(super) const UNTOLD: usize = 16;

/// How much is read from a connection at a time, in bytes, and held for each that is open.
const READ_BUFFER: usize = 16 * 1_024;

/// How long a client may take for its last word, and for what it was still sending when it got ours.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

/// A connection, and what its handshake said.
pub(super) struct Conversation<A> {
    pub(super) http: Http<A>,
    pub(super) context: Context,
    pub(super) headers: HeaderMap,
}

/// A turn that has begun.
pub(super) struct Turn<T> {
    pub(super) telling: T,
    pub(super) cut: Arc<CancellationToken>,
}

/// How a conversation ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// The client has gone.
    Gone,
    /// The process ends.
    Process,
    /// We close it.
    Closed(CloseFrame),
}

// === impl Conversation ===

impl<A: Agent> Conversation<A> {
    pub(super) fn new(http: Http<A>, context: Context, headers: HeaderMap) -> Self {
        Self { http, context, headers }
    }

    /// Has the conversation. Returns when the connection is closed and every turn of it has ended.
    pub(super) async fn hold<L, I>(self, io: I, limits: Limits, end: CancellationToken)
    where
        L: Language,
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let meter = Meter::new(self.http.invoker.admission());
        let socket = WebSocketStream::from_raw_socket(meter.on(io), Role::Server, Some(bounds())).await;
        let (out, mut incoming) = socket.split();
        let (said, is_broken) = (AtomicU64::new(0), CancellationToken::new());
        // One ahead: while it waits, so do the turn and its model.
        let (sayings, to_say) = mpsc::channel(1);
        let (turns, to_tell) = mpsc::channel(UNTOLD);
        let listener = Listener::<A, L>::new(&self, meter, limits, turns, sayings.clone(), &said);
        let mut speaking = Box::pin(Speaker { patience: limits.ping * 2, said: &said }.speak(out, to_say));
        let process_ends = self.http.invoker.ending().clone();
        let telling = tokio::spawn(tell(to_tell, sayings.clone(), is_broken.clone(), process_ends));
        let ending = tokio::select! {
            biased;
            () = end.cancelled() => Ending::Process,
            () = is_broken.cancelled() => broken(),
            ending = listener.listen(&mut incoming) => ending,
            _cannot_be_reached = &mut speaking => Ending::Gone,
        };
        match ending {
            Ending::Gone => {
                drop((speaking, incoming));
                let _ = telling.await;
            }
            Ending::Process => {
                let last = async {
                    let _ = telling.await;
                    let _ = sayings.send(Saying::Close(frame(CloseCode::Away, "the process ends"))).await;
                };
                let ((), spoken) = tokio::join!(last, speaking);
                part(spoken.ok().and_then(|out| out.reunite(incoming).ok())).await;
            }
            Ending::Closed(why) => {
                let Context { session_id, request_id, .. } = &self.context;
                let code = u16::from(why.code);
                tracing::info!(session_id, request_id, code, why = %why.reason, "a conversation is closed");
                let closing = async {
                    let last = sayings.send(Saying::Close(why));
                    let (_, spoken) = tokio::join!(last, speaking);
                    part(spoken.ok().and_then(|out| out.reunite(incoming).ok())).await;
                };
                let _ = tokio::join!(timeout(FAREWELL * 2, closing), telling);
            }
        }
    }
}

/// What one message may be.
fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST))
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
}

/// Tells of the turns, one after another. Where nobody listens any more, they go on all the same.
async fn tell<T: Telling>(
    mut turns: mpsc::Receiver<Turn<T>>,
    sayings: mpsc::Sender<Saying>,
    is_broken: CancellationToken,
    process_ends: CancellationToken,
) {
    while let Some(mut turn) = turns.recv().await {
        while let Some(told) = turn.telling.next().await {
            let (texts, is_ours) = match told {
                Told::Text(text) => (vec![text], false),
                Told::Failed(failure) => {
                    let by_the_client = turn.cut.is_cancelled() && !process_ends.is_cancelled();
                    let failure =
                        if failure.code == Code::Cut && by_the_client { Failure::cancelled() } else { failure };
                    let is_ours = failure.code == Code::Internal;
                    (turn.telling.failed(failure), is_ours)
                }
            };
            for text in texts {
                let _ = sayings.send(Saying::Text(text.into())).await;
            }
            if is_ours {
                is_broken.cancel();
            }
        }
    }
}

/// Leaves when the client has, or has had its time: what it is still sending would otherwise take the last word from it.
async fn part<I: AsyncRead + AsyncWrite + Unpin>(socket: Option<WebSocketStream<Metered<I>>>) {
    let Some(socket) = socket else { return };
    let mut io = socket.into_inner().into_inner();
    let leaving = async {
        io.shutdown().await?;
        tokio::io::copy(&mut io, &mut tokio::io::sink()).await
    };
    let _ = timeout(FAREWELL, leaving).await;
}

// === impl Ending ===

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => closed(CloseCode::Size, "a message has 100,000,000 bytes at the most"),
            Error::Utf8(_) => closed(CloseCode::Invalid, "the text is not UTF-8"),
            Error::Io(error) if is_for_want_of_room(&error) => {
                closed(CloseCode::Again, "the agent is serving as many as it can")
            }
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            Error::Protocol(_) | Error::AttackAttempt => closed(CloseCode::Protocol, "this is not RFC 6455"),
            _ => Self::Gone,
        }
    }
}

fn is_for_want_of_room(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NoRoom>)
}

/// Something of ours broke; the log says what.
pub(super) fn broken() -> Ending {
    closed(CloseCode::Error, "the agent failed unexpectedly")
}

pub(super) fn closed(code: CloseCode, reason: &'static str) -> Ending {
    Ending::Closed(frame(code, reason))
}

fn frame(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: reason.into() }
}
