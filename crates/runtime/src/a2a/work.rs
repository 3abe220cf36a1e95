//! The work on a task: from the message to the turn, and from the turn to what is kept of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use a2a::{A2AError, Message, TaskState};
use agentcore_core::agent::{Agent, Context};
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::memory::note::Note;
use axum::http::request::Parts;
use jiff::Timestamp;
use tokio::time::{Instant as Moment, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;
use uuid::Uuid;

use super::Server;
use super::input;
use super::live::Live;
use super::record::Record;
use super::tasks::{Caller, Taken, Tasks, of_failure};
use crate::admission::{Admitted, Room};
use crate::failure::{Code, Failure};
use crate::http::context;
use crate::invocation::Invocation;
use crate::telemetry::invocation;

/// How much longer than its turn a task may be under way: for reading its session, and for storing it.
const SLACK: Duration = Duration::from_mins(1);

/// From when on a task that is under way is kept as such, for who asks another process. AgentCore Memory takes an event
/// in about four seconds for a session, and most tasks have ended by then.
const LONG: Duration = Duration::from_secs(5);

/// A task that is being worked on, and what is kept of it.
struct Work {
    tasks: Tasks,
    live: Arc<Live>,
    key: SessionKey,
    note: Note,
    /// Whether its client has been told its id.
    is_known: bool,
    request_id: String,
    /// Cuts all turns, when the process ends.
    ending: CancellationToken,
}

impl<A: Agent> Server<A> {
    /// Begins to work on what a client says. A task that its client does not know, because it is told of it at the end
    /// only, ends with the guard that is given back.
    pub(super) async fn begin(
        &self,
        head: &Parts,
        caller: &Caller,
        message: &Message,
        room: Room,
        is_told_of: bool,
    ) -> Result<(Arc<Live>, Option<DropGuard>), A2AError> {
        let (record, note) = self.task_of(message, caller).await?;
        let is_known = is_told_of || message.task_id.is_some();
        let mut context = context::read(&head.headers);
        context.session_id.clone_from(&record.session);
        context.request_id.clone_from(&caller.request_id);
        let span = invocation::begin(A::NAME, &head.headers, &context.request_id, &context.session_id);
        let key = caller.key(&record.task.id);
        let note = note.unwrap_or_else(|| Note::new(key.clone()));
        self.begin_turn(record, key, note, message, context, room, is_known).instrument(span).await
    }

    /// The task that a message is of: a new one, or one that waits for it.
    async fn task_of(&self, message: &Message, caller: &Caller) -> Result<(Record, Option<Note>), A2AError> {
        let named = |id: &Option<String>| id.clone().filter(|id| !id.trim().is_empty());
        let context_id = named(&message.context_id);
        let Some(id) = named(&message.task_id) else {
            let context_id =
                context_id.or_else(|| caller.session.clone()).unwrap_or_else(|| Uuid::new_v4().to_string());
            let session = caller.session.clone().unwrap_or_else(|| context_id.clone());
            return Ok((Record::begin(context_id, session), None));
        };
        let Taken::Free(record, note) = self.tasks.take(&id, caller).await? else {
            return Err(under_way());
        };
        if context_id.is_some_and(|context_id| context_id != record.task.context_id) {
            return Err(input::invalid(
                "message.contextId",
                "is not that of the task; leave it out, or send the task's",
            ));
        }
        match record.task.status.state {
            TaskState::InputRequired => Ok((*record, Some(note))),
            _ if record.is_under_way() => Err(under_way()),
            _ => Err(A2AError::unsupported_operation(
                "The task has ended; send the message without its id, in the same context.",
            )),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is used once, and a struct of them would be made here only")]
    async fn begin_turn(
        &self,
        mut record: Record,
        key: SessionKey,
        note: Note,
        message: &Message,
        context: Context,
        room: Room,
        is_known: bool,
    ) -> Result<(Arc<Live>, Option<DropGuard>), A2AError> {
        let (began, request_id, invoker) = (Instant::now(), context.request_id.clone(), &self.http.invoker);
        let refused = |failure: Failure| {
            invocation::refused(&failure, began);
            of_failure(&failure, &request_id)
        };
        let payload = input::payload(message, &record.questions)?;
        let turn = invoker.admission().turn().map_err(refused)?;
        let place = invoker.arrive(&context);
        let admitted = Admitted::new(turn, Arc::new(room));
        let accepted = invoker.accept(payload.into(), context, admitted).await.map_err(refused)?;
        let time = i64::try_from((invoker.time(&accepted) + SLACK).as_millis()).unwrap_or(i64::MAX);
        record.hear(message, Timestamp::now().as_millisecond().saturating_add(time));

        let ending = invoker.ending().clone();
        let cut = ending.child_token();
        let live = Arc::new(Live::new(record, cut.clone()));
        if !self.tasks.begin(key.clone(), &live) {
            return Err(under_way());
        }
        let turn = invoker.clone().cut_by(cut.clone()).begin(accepted, place, is_known);
        let tasks = self.tasks.clone();
        let work = Work { tasks, live: Arc::clone(&live), key, note, is_known, request_id, ending };
        invoker.followers().spawn_on(work.follow(turn).in_current_span(), invoker.work());
        Ok((live, (!is_known).then(|| cut.drop_guard())))
    }
}

fn under_way() -> A2AError {
    A2AError::unsupported_operation("The task is being worked on; wait for its end, or cancel it.")
}

// === impl Work ===

impl Work {
    /// Follows the turn to its end, whoever listens.
    async fn follow(mut self, mut turn: Invocation) {
        self.hear(&mut turn).await;
        match turn.end().await {
            Ok(answered) => self.live.answer(answered),
            Err(failure) if failure.code == Code::Cut && self.live.is_cut() && !self.ending.is_cancelled() => {
                self.live.cancel();
            }
            Err(failure) => self.live.fail(&failure, &self.request_id),
        }
        let Self { tasks, live, key, mut note, is_known, .. } = self;
        let record = live.record();
        if !is_known && record.task.status.state == TaskState::Canceled {
            // Its client has gone, and nobody can name it.
            live.finish(None);
            return tasks.end(&key, &live);
        }
        let mut writing = tasks.keep(&mut note, &record);
        writing.patiently().await;
        live.finish(Some(note));
        writing.ended().await;
        tasks.end(&key, &live);
    }

    async fn hear(&mut self, turn: &mut Invocation) {
        let Some(events) = &mut turn.events else { return };
        let long = Moment::now() + LONG;
        let mut is_kept = false;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.live.hear(event),
                    None => return,
                },
                () = sleep_until(long), if !is_kept => {
                    is_kept = true;
                    drop(self.tasks.keep(&mut self.note, &self.live.record()));
                }
            }
        }
    }
}
