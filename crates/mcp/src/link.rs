//! The way to a server, whether there is a connection or not.
//!
//! ```text
//!          needed                     greeted, listed
//!   Idle ─────────▶ Connecting ───────────────────────▶ Up ──▶ lost: Idle
//!                      ▲    └── failed ──▶ Down               changed: lists again, and stays Up
//!                      └── needed, pause over ──┘
//! ```
//!
//! Connecting and listing are tasks of their own, so that turns wait for them as long as they like and no
//! longer. Nothing is tried that nothing needs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::connection::{ConnectError, Connection, Heard};
use crate::name::Namespace;
use crate::server::{Timeouts, Transport};
use crate::tool::Card;

/// How long a turn waits for a server that was down when it was last tried: enough for one that is back.
const PATIENCE_WHEN_DOWN: Duration = Duration::from_millis(250);

/// The way to a server.
pub(crate) struct Link {
    namespace: Namespace,
    transport: Transport,
    timeouts: Timeouts,
    state: Mutex<State>,
    /// Tells who waits that the state is another.
    changes: watch::Sender<()>,
}

struct State {
    phase: Phase,
    /// As last listed; what remains while the server is down.
    tools: Vec<Arc<Card>>,
    /// Attempts that failed since a connection was made.
    failures: u32,
}

enum Phase {
    /// Nothing has been tried, or a connection was lost: the next who needs one makes it.
    Idle,
    /// A task is at it.
    Connecting,
    /// There is a connection. `listing` says whether a task lists the tools again.
    Up { connection: Arc<Connection>, listing: bool },
    /// It could not be made, and is not tried again before.
    Down { until: Instant },
}

// === impl Link ===

impl Link {
    pub(crate) fn new(namespace: Namespace, transport: Transport, timeouts: Timeouts) -> Self {
        let state = State { phase: Phase::Idle, tools: Vec::new(), failures: 0 };
        Self { namespace, transport, timeouts, state: Mutex::new(state), changes: watch::Sender::new(()) }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The tools as last listed.
    pub(crate) fn tools(&self) -> Vec<Arc<Card>> {
        self.state().tools.clone()
    }

    /// Begins to connect where there is no connection, unless it is too early to try again. Outside of a
    /// runtime there is nobody who could.
    pub(crate) fn wake(self: &Arc<Self>) {
        let mut state = self.state();
        if let Phase::Up { connection, .. } = &state.phase
            && connection.is_closed()
        {
            state.phase = Phase::Idle;
        }
        let due = match &state.phase {
            Phase::Idle => true,
            Phase::Down { until } => *until <= Instant::now(),
            Phase::Connecting | Phase::Up { .. } => false,
        };
        if let (true, Ok(runtime)) = (due, Handle::try_current()) {
            state.phase = Phase::Connecting;
            runtime.spawn(Attempt::new(Arc::clone(self)).make());
        }
    }

    /// Waits until nothing is under way, for as long as a turn may be held up.
    pub(crate) async fn settle(self: &Arc<Self>) {
        let patience = match &*self.state() {
            State { phase: Phase::Connecting, failures: 1.., .. } => PATIENCE_WHEN_DOWN.min(self.timeouts.turn),
            _ => self.timeouts.turn,
        };
        let settled = self.wait_for(|state| {
            let busy = matches!(state.phase, Phase::Connecting | Phase::Up { listing: true, .. });
            (!busy).then_some(())
        });
        let _ = timeout(patience, settled).await;
    }

    /// A connection: the one there is, or a new one where one may be tried now.
    pub(crate) async fn connection(self: &Arc<Self>) -> Option<Arc<Connection>> {
        self.wake();
        self.wait_for(|state| match &state.phase {
            Phase::Up { connection, .. } => Some(Some(Arc::clone(connection))),
            Phase::Connecting => None,
            Phase::Idle | Phase::Down { .. } => Some(None),
        })
        .await
    }

    /// A connection is of no use any more.
    pub(crate) fn lost(&self, connection: &Arc<Connection>) {
        self.change(|state| {
            if matches!(&state.phase, Phase::Up { connection: current, .. } if Arc::ptr_eq(current, connection)) {
                tracing::info!(server = self.namespace.as_str(), "the connection to an MCP server is lost");
                state.phase = Phase::Idle;
            }
        });
    }

    /// The server does not tell of changes any more, although the connection may be well.
    pub(crate) fn stream_ended(&self, heard: &Weak<Heard>) {
        let current = match &self.state().phase {
            Phase::Up { connection, .. } if connection.hears(heard) => Some(Arc::clone(connection)),
            _ => None,
        };
        if let Some(connection) = current {
            self.lost(&connection);
        }
    }

    /// Lists the tools again, in the background.
    pub(crate) fn list_again(self: &Arc<Self>) {
        let mut state = self.state();
        if let Phase::Up { connection, listing } = &mut state.phase
            && !*listing
        {
            *listing = true;
            tokio::spawn(Arc::clone(self).list(Arc::clone(connection)));
        }
    }

    async fn list(self: Arc<Self>, connection: Arc<Connection>) {
        loop {
            match connection.list(&self.timeouts).await {
                Ok(tools) => {
                    let tools = Card::all(&self.namespace, tools);
                    if self.change(|state| state.take_list(&connection, tools)) {
                        return;
                    }
                }
                Err(error) => {
                    tracing::info!(server = self.namespace.as_str(), %error, "tools that changed cannot be listed");
                    self.lost(&connection);
                    return;
                }
            }
        }
    }

    async fn wait_for<T>(&self, found: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = found(&self.state()) {
                return found;
            }
            if changes.changed().await.is_err() {
                // The sender is ours and lives as long as we do.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Changes the state and tells who waits.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changes.send_replace(());
        changed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Takes a new list; false when it is out of date already.
    fn take_list(&mut self, of: &Arc<Connection>, tools: Vec<Arc<Card>>) -> bool {
        let Phase::Up { connection, listing } = &mut self.phase else {
            return true;
        };
        if !Arc::ptr_eq(connection, of) {
            return true;
        }
        self.tools = tools;
        *listing = connection.has_changed();
        !*listing
    }
}

/// An attempt to connect. One that is dropped half-way, because its runtime ends, was none.
struct Attempt {
    link: Arc<Link>,
    ended: bool,
}

// === impl Attempt ===

impl Attempt {
    fn new(link: Arc<Link>) -> Self {
        Self { link, ended: false }
    }

    async fn make(mut self) {
        let result = self.connect().await;
        self.ended = true;
        match result {
            Ok((connection, tools)) => self.succeeded(&connection, tools),
            Err(error) => self.failed(&error),
        }
    }

    async fn connect(&self) -> Result<(Arc<Connection>, Vec<Arc<Card>>), ConnectError> {
        let Link { namespace, transport, timeouts, .. } = &*self.link;
        let connection = Connection::open(namespace.as_str(), transport, timeouts, Arc::downgrade(&self.link)).await?;
        // Before the list, so that no change falls between the two.
        connection.listen_for_changes();
        let tools = connection.list(timeouts).await?;
        Ok((Arc::new(connection), Card::all(namespace, tools)))
    }

    fn succeeded(&self, connection: &Arc<Connection>, tools: Vec<Arc<Card>>) {
        let link = &self.link;
        let count = tools.len();
        let failures = link.change(|state| {
            state.tools = tools;
            state.phase = Phase::Up { connection: Arc::clone(connection), listing: false };
            std::mem::take(&mut state.failures)
        });
        let server = link.namespace.as_str();
        if failures == 0 {
            tracing::debug!(server, tools = count, "an MCP server is connected");
        } else {
            tracing::info!(server, tools = count, failures, "an MCP server is reached again");
        }
        if connection.has_changed() {
            link.list_again();
        }
    }

    fn failed(&self, error: &ConnectError) {
        let link = &self.link;
        let (failures, pause) = link.change(|state| {
            state.failures = state.failures.saturating_add(1);
            let pause = link.timeouts.backoff.pause(state.failures);
            state.phase = Phase::Down { until: Instant::now() + pause };
            (state.failures, pause)
        });
        let server = link.namespace.as_str();
        if failures == 1 {
            tracing::warn!(
                server, %error,
                "an MCP server cannot be reached; turns go on without its tools, and it is tried again when needed"
            );
        } else {
            tracing::debug!(server, %error, failures, ?pause, "an MCP server still cannot be reached");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            self.link.change(|state| state.phase = Phase::Idle);
        }
    }
}
