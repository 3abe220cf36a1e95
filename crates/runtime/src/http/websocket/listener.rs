//! Takes in what a client says, and looks whether it is still there.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::memory::sessions::OpenError;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::SplitStream;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::super::events::Telling as _;
use super::conversation::{Conversation, Ending, FAREWELL, Turn, UNTOLD, broken, closed};
use super::meter::Meter;
use super::speaker::Saying;
use super::{Language, Limits};
use crate::admission::{Admitted, Room};
use crate::failure::{Code, Failure};
use crate::telemetry::invocation;

/// The longest message that can be a [`Cancel`].
const LONGEST_CANCEL: usize = 64;

/// Takes in what the client says.
pub(super) struct Listener<'a, A, L: Language> {
    conversation: &'a Conversation<A>,
    meter: Meter,
    limits: Limits,
    turns: mpsc::Sender<Turn<L::Telling>>,
    sayings: mpsc::Sender<Saying>,
    /// What cuts the turns that are not told to their end, the oldest first.
    untold: VecDeque<Weak<CancellationToken>>,
    /// How many invocations there were.
    invocations: u64,
    signs: Signs<'a>,
}

/// The signs that somebody is there.
struct Signs<'a> {
    said: &'a AtomicU64,
    said_before: u64,
    has_spoken: bool,
    /// How often in a row nothing was noticed.
    unanswered: u32,
    /// When an invocation came, or was still under way.
    invoked: Instant,
}

/// Ends the turn that is being told. With none there is nothing to do: its end and this have met on their way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    cancel: bool,
}

// === impl Listener ===

impl<'a, A: Agent, L: Language> Listener<'a, A, L> {
    pub(super) fn new(
        conversation: &'a Conversation<A>,
        meter: Meter,
        limits: Limits,
        turns: mpsc::Sender<Turn<L::Telling>>,
        sayings: mpsc::Sender<Saying>,
        said: &'a AtomicU64,
    ) -> Self {
        let signs = Signs { said, said_before: 0, has_spoken: false, unanswered: 0, invoked: Instant::now() };
        Self { conversation, meter, limits, turns, sayings, untold: VecDeque::new(), invocations: 0, signs }
    }

    /// Listens until there is nothing more to hear.
    pub(super) async fn listen<I>(mut self, incoming: &mut SplitStream<WebSocketStream<I>>) -> Ending
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let mut looks = interval(self.limits.ping);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        loop {
            let heard = tokio::select! {
                heard = incoming.next() => heard,
                _ = looks.tick() => match self.look() {
                    Some(ending) => return ending,
                    None => continue,
                },
            };
            self.signs.has_spoken = true;
            match heard {
                Some(Ok(Message::Text(payload))) => {
                    if let Some(ending) = self.take(payload.into()).await {
                        return ending;
                    }
                }
                Some(Ok(Message::Binary(_))) => return closed(CloseCode::Unsupported, "send JSON in text messages"),
                Some(Ok(Message::Close(_))) => {
                    // Read on, and the answer to it leaves.
                    let _ = timeout(FAREWELL, incoming.next()).await;
                    return Ending::Gone;
                }
                Some(Ok(Message::Ping(content) | Message::Pong(content))) => self.meter.forget_control_frame(&content),
                Some(Ok(Message::Frame(_))) => {} // Is never read, only written.
                Some(Err(error)) => return error.into(),
                None => return Ending::Gone,
            }
        }
    }

    /// Looks whether the client is there, and still wants something.
    fn look(&mut self) -> Option<Ending> {
        if self.has_untold_turns() {
            self.signs.invoked = Instant::now();
        }
        if self.signs.invoked.elapsed() >= self.limits.idle {
            return Some(closed(CloseCode::Normal, "nothing was asked for a long time"));
        }
        match self.signs.unanswered() {
            0 => None,
            1 | 2 => {
                // Where there is something to say, that is as good a question.
                let _ = self.sayings.try_send(Saying::Ping);
                None
            }
            _ => Some(Ending::Gone),
        }
    }

    fn has_untold_turns(&mut self) -> bool {
        self.untold.retain(|cut| cut.strong_count() > 0);
        !self.untold.is_empty()
    }

    async fn take(&mut self, payload: Bytes) -> Option<Ending> {
        let room = self.meter.take();
        if is_cancel(&payload) {
            self.cancel();
            return None;
        }
        self.signs.invoked = Instant::now();
        self.invocations += 1;
        let mut context = self.conversation.context.clone();
        context.request_id = format!("{}-{}", context.request_id, self.invocations);
        let request_id = context.request_id.clone();
        let span = invocation::begin(A::NAME, &self.conversation.headers, &request_id, &context.session_id);
        match self.begin(payload, room, context).instrument(span).await {
            Ok(answer) => self.say(answer).await,
            Err(failure) => {
                let ending = (failure.code == Code::Internal).then(broken);
                self.say(vec![L::refused(failure, &request_id)]).await.or(ending)
            }
        }
    }

    async fn say(&self, texts: Vec<Vec<u8>>) -> Option<Ending> {
        for text in texts {
            if self.sayings.send(Saying::Text(text.into())).await.is_err() {
                return Some(Ending::Gone);
            }
        }
        None
    }

    /// Begins a turn, which is told when those before it are. Where too many are before it, only the guards are heard,
    /// at once: somebody in danger is not told to try again. The texts that are to be told at once come back.
    async fn begin(&mut self, payload: Bytes, room: Room, context: Context) -> Result<Vec<Vec<u8>>, Failure> {
        let invoker = &self.conversation.http.invoker;
        let (began, _busy) = (Instant::now(), invoker.activity().begin("reading a payload"));
        let refused = |failure: Failure| {
            invocation::refused(&failure, began);
            failure
        };
        let slot = self.turns.try_reserve().map_err(|_| OpenError::Crowded { waiting: UNTOLD });
        let place = slot.and_then(|slot| Ok((slot, invoker.arrive(&context)?)));
        let admitted = Admitted::new(invoker.admission().turn().map_err(refused)?, Arc::new(room));
        let (accepted, mut telling) = L::accept(invoker, payload, context, admitted).await.map_err(refused)?;
        let cut = Arc::new(invoker.ending().child_token());
        let invoker = invoker.clone().cut_by(CancellationToken::clone(&cut));
        match place {
            Ok((slot, place)) => {
                self.untold.push_back(Arc::downgrade(&cut));
                telling.follow(invoker.begin(accepted, Ok(place), true));
                slot.send(Turn { telling, cut });
                Ok(Vec::new())
            }
            Err(crowded) => {
                let answered = invoker.begin(accepted, Err(crowded), false).end().await?;
                Ok(telling.whole(answered))
            }
        }
    }

    fn cancel(&mut self) {
        if self.has_untold_turns()
            && let Some(cut) = self.untold.front().and_then(Weak::upgrade)
        {
            cut.cancel();
        }
    }
}

fn is_cancel(payload: &[u8]) -> bool {
    payload.len() <= LONGEST_CANCEL && serde_json::from_slice(payload).is_ok_and(|Cancel { cancel }| cancel)
}

// === impl Signs ===

impl Signs<'_> {
    /// How often in a row the client gave no sign, this time included: it said nothing and accepted nothing.
    fn unanswered(&mut self) -> u32 {
        let said = self.said.load(Ordering::Relaxed);
        let is_there = std::mem::take(&mut self.has_spoken) || said != self.said_before;
        self.said_before = said;
        self.unanswered = if is_there { 0 } else { self.unanswered + 1 };
        self.unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_whole_object_cancels() {
        assert!(is_cancel(br#"{"cancel": true}"#));
        for other in
            [r#"{"cancel": false}"#, r#"{"cancel": true, "prompt": "Hello!"}"#, r#"{"cancel": "true"}"#, "true"]
        {
            assert!(!is_cancel(other.as_bytes()), "{other}");
        }
    }
}
