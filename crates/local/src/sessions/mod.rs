//! The sessions of all agents, with AgentCore's semantics: each is a process of its own, started by its
//! first invocation, watched by ping, ended when idle, too old, stopped, or dead; and after that started
//! anew by the next invocation.

mod ping;
mod ports;
mod process;
mod session;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::ping::{IdleClock, ping};
use self::ports::{Port, Ports};
use self::process::{AgentProcess, Launch};
use self::session::Session;
use crate::config::{AgentName, AgentSource, SessionTimes, Traces};
use crate::notice::{Notice, Notices, PingProblem, SessionEnd, SessionName, StartFailure};
use crate::protocol::Protocol;
use crate::traces;

pub(crate) use self::session::Visit;
pub(crate) use self::upstream::{BaseAddressError, Exchange, Upstream};

/// The memory every agent is given. Memory makes any on first use, so it need not be created.
const MEMORY_ID: &str = "local_memory-0000000000";

/// Between pings of a process that starts: an agent of ours is up in a few milliseconds.
const START_POLL: Duration = Duration::from_millis(10);

/// Sessions and what they are made from. Clones are the same sessions.
#[derive(Debug, Clone)]
pub(crate) struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    agents: BTreeMap<AgentName, Hosted>,
    settings: Settings,
    notices: Notices,
    ports: Ports,
    live: Mutex<HashMap<SessionName, Arc<Session>>>,
    keepers: TaskTracker,
    closing: CancellationToken,
    abandoned: CancellationToken,
}

/// What every session's process is started with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The base address of this server.
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) times: SessionTimes,
    pub(crate) traces: Traces,
}

/// An agent, and what it speaks.
#[derive(Debug, Clone)]
pub(crate) struct Hosted {
    pub(crate) host: Host,
    pub(crate) protocol: Protocol,
}

/// What an agent's sessions are hosted by.
#[derive(Debug, Clone)]
pub(crate) enum Host {
    Command(CommandLine),
    Elsewhere(Upstream),
}

/// The program of an agent.
#[derive(Debug, Clone)]
pub(crate) struct CommandLine {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// Who makes a call of Bedrock or Memory: told by the access key that signed it, since every session's
/// process has one of its own.
#[derive(Debug, Clone)]
pub(crate) struct Attribution(Sessions);

// === impl Attribution ===

impl Attribution {
    pub(crate) fn new(sessions: Sessions) -> Self {
        Self(sessions)
    }

    /// The session whose process was given `access_key_id`, as long as that process lives.
    pub(crate) fn session_of(&self, access_key_id: &str) -> Option<SessionName> {
        self.0.holding(access_key_id).map(|session| session.name.clone())
    }

    /// Takes the fault that an invocation armed for the next model call of the session that has
    /// `access_key_id`. Each is given once.
    ///
    /// A header arms one fault for each of its comma-separated items, one a call, in place of what was
    /// left from before. Sessions of an [`AgentSource::Url`] have no key, so theirs are never taken.
    pub(crate) fn take_armed_fault(&self, access_key_id: &str) -> Option<String> {
        self.0.holding(access_key_id)?.take_fault()
    }
}

// === impl Sessions ===

impl Sessions {
    pub(crate) fn new(agents: BTreeMap<AgentName, Hosted>, settings: Settings, notices: Notices) -> Self {
        Self(Arc::new(Inner {
            agents,
            settings,
            notices,
            ports: Ports::default(),
            live: Mutex::default(),
            keepers: TaskTracker::new(),
            closing: CancellationToken::new(),
            abandoned: CancellationToken::new(),
        }))
    }

    pub(crate) fn has(&self, agent: &AgentName) -> bool {
        self.0.agents.contains_key(agent)
    }

    /// What an agent speaks; one that is not here, nothing.
    pub(crate) fn protocol(&self, agent: &AgentName) -> Option<Protocol> {
        self.0.agents.get(agent).map(|hosted| hosted.protocol)
    }

    pub(crate) fn agents(&self) -> impl Iterator<Item = &AgentName> {
        self.0.agents.keys()
    }

    /// Enters the session, which begins if there is none; one that is on its way out is waited for.
    /// Nothing when there is no such agent, or the server shuts down.
    pub(crate) async fn enter(&self, name: &SessionName) -> Option<Visit> {
        loop {
            let session = self.live_or_new(name)?;
            match session.visit() {
                Some(visit) => return Some(visit),
                None => session.ended().await,
            }
        }
    }

    /// Ends the session and waits until its process is gone. Nothing when there is no such session.
    pub(crate) async fn stop(&self, name: &SessionName) -> Option<()> {
        let session = self.0.live().get(name).cloned().filter(|session| !session.is_closed())?;
        session.stop.cancel();
        session.ended().await;
        Some(())
    }

    /// Ends every session, waits until all processes are gone, and begins none any more.
    pub(crate) async fn shut_down(&self) {
        self.0.closing.cancel();
        self.0.keepers.close();
        self.0.keepers.wait().await;
    }

    /// Kills every process when dropped, and begins none any more.
    pub(crate) fn killed_on_drop(&self) -> DropGuard {
        self.0.abandoned.clone().drop_guard()
    }

    fn holding(&self, access_key_id: &str) -> Option<Arc<Session>> {
        self.0.live().values().find(|session| session.access_key_id == access_key_id).cloned()
    }

    fn live_or_new(&self, name: &SessionName) -> Option<Arc<Session>> {
        let hosted = self.0.agents.get(&name.agent)?;
        let mut live = self.0.live();
        if let Some(session) = live.get(name) {
            return Some(Arc::clone(session));
        }
        if self.0.closing.is_cancelled() || self.0.abandoned.is_cancelled() {
            return None;
        }
        let session = Arc::new(Session::new(name.clone(), access_key_id()));
        live.insert(name.clone(), Arc::clone(&session));
        let keeper = Keeper { sessions: Arc::clone(&self.0), session: Arc::clone(&session), hosted: hosted.clone() };
        self.0.keepers.spawn(keeper.keep());
        Some(session)
    }
}

// === impl Inner ===

impl Inner {
    fn live(&self) -> MutexGuard<'_, HashMap<SessionName, Arc<Session>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps one session from its first invocation to its end.
struct Keeper {
    sessions: Arc<Inner>,
    session: Arc<Session>,
    hosted: Hosted,
}

// === impl Keeper ===

impl Keeper {
    async fn keep(self) {
        // Not polled to its end, it drops the process, which kills it.
        let kept = self.sessions.abandoned.run_until_cancelled(self.until_its_end()).await;
        let why = kept.unwrap_or(SessionEnd::ShutDown);
        self.session.close();
        self.sessions.live().remove(&self.session.name);
        self.sessions.notices.announce(Notice::SessionEnded { session: self.session.name.clone(), why: why.clone() });
        self.session.has_ended(why);
    }

    async fn until_its_end(&self) -> SessionEnd {
        match &self.hosted.host {
            Host::Elsewhere(upstream) => {
                self.session.is_ready(upstream.clone());
                self.until_its_time(None).await
            }
            Host::Command(command) => self.keep_process(command).await.unwrap_or_else(SessionEnd::NotStarted),
        }
    }

    async fn keep_process(&self, command: &CommandLine) -> Result<SessionEnd, StartFailure> {
        let times = self.sessions.settings.times;
        let port = self.sessions.ports.free().map_err(|error| StartFailure::NotRunnable {
            program: command.program.clone(),
            reason: format!("there is no free port for it: {error}"),
        })?;
        let mut process = self.start(command, &port)?;
        let upstream = Upstream::on_loopback(port.number());
        let failure = tokio::select! {
            status = process.ended() => {
                let last_line = process.clear_up().await;
                return Err(StartFailure::Exited { status, last_line });
            }
            started = self.until_healthy(&upstream, port.number()) => started.err(),
            () = self.told_to_end() => Some(StartFailure::Stopped),
        };
        if let Some(failure) = failure {
            self.session.close();
            process.stop(times.stop_grace).await;
            return Err(failure);
        }
        self.session.is_ready(upstream.clone());
        let why = tokio::select! {
            status = process.ended() => {
                self.session.close();
                process.clear_up().await;
                return Ok(SessionEnd::Exited(status));
            }
            why = self.until_its_time(Some(&upstream)) => why,
        };
        self.session.close();
        process.stop(times.stop_grace).await;
        Ok(why)
    }

    fn start(&self, command: &CommandLine, port: &Port) -> Result<AgentProcess, StartFailure> {
        let mut environment = self.environment(port.number());
        environment.extend(command.environment.clone());
        let launch = Launch {
            program: &command.program,
            arguments: &command.arguments,
            environment,
            stop_grace: self.sessions.settings.times.stop_grace,
        };
        AgentProcess::start(&launch, &self.session.name, &self.sessions.notices)
    }

    fn environment(&self, port: u16) -> BTreeMap<String, String> {
        let settings = &self.sessions.settings;
        let direct = "localhost,127.0.0.1,::1";
        let given = [
            ("PORT", port.to_string()),
            ("HOST", "127.0.0.1".to_owned()),
            ("AGENTCORE_PROTOCOL", self.hosted.protocol.to_string()),
            ("AWS_ENDPOINT_URL", settings.endpoint.clone()),
            ("AWS_REGION", settings.region.clone()),
            // The only name that boto3 reads.
            ("AWS_DEFAULT_REGION", settings.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.session.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret-signatures-are-not-verified".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("BEDROCK_AGENTCORE_MEMORY_ID", MEMORY_ID.to_owned()),
            // A proxy of this machine's must not get what is meant for the local AWS.
            ("NO_PROXY", direct.to_owned()),
            ("no_proxy", direct.to_owned()),
        ];
        let reached = match self.hosted.protocol {
            // It tells callers by its card where they reach it.
            Protocol::A2a => {
                let url = format!("{}/runtimes/{}/invocations/", settings.endpoint, self.session.name.agent);
                Some(("AGENTCORE_RUNTIME_URL", url))
            }
            Protocol::Http | Protocol::Mcp | Protocol::AgUi => None,
        };
        let traced = match settings.traces {
            Traces::LeftAlone => Vec::new(),
            Traces::Told => traces::environment(&settings.endpoint, |name| std::env::var(name).ok()),
        };
        given.into_iter().chain(reached).chain(traced).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    async fn until_healthy(&self, upstream: &Upstream, port: u16) -> Result<(), StartFailure> {
        let began = Instant::now();
        let within = self.sessions.settings.times.start_timeout;
        let mut last_answer = "nothing listened there".to_owned();
        let polling = async {
            loop {
                match ping(upstream, self.hosted.protocol).await {
                    Ok(_healthy) => break,
                    Err(answer) => last_answer = answer,
                }
                sleep(START_POLL).await;
            }
        };
        if timeout_at(began + within, polling).await.is_err() {
            return Err(StartFailure::NotHealthy { port, within, last_answer });
        }
        let session = self.session.name.clone();
        self.sessions.notices.announce(Notice::SessionStarted { session, after: began.elapsed() });
        Ok(())
    }

    /// Waits until the session has to end, for whatever reason but its process's own end. Only an agent
    /// whose process is ours is pinged: elsewhere the answer would be about all sessions together.
    async fn until_its_time(&self, pinged: Option<&Upstream>) -> SessionEnd {
        let lifetime = sleep_until(Instant::now() + self.sessions.settings.times.maximum_lifetime);
        tokio::select! {
            biased;
            () = self.sessions.closing.cancelled() => SessionEnd::ShutDown,
            () = self.session.stop.cancelled() => SessionEnd::Stopped,
            () = lifetime => SessionEnd::Lifetime,
            () = self.until_idle(pinged) => SessionEnd::Idle,
        }
    }

    async fn until_idle(&self, pinged: Option<&Upstream>) {
        let times = self.sessions.settings.times;
        let mut clock = IdleClock::starting(Instant::now());
        let mut told = Vec::new();
        let mut ticks = interval(times.ping_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(upstream) = pinged {
                let problem = self.ask(upstream, &mut clock).await;
                self.tell_once(problem, &mut told);
            }
            clock.invoked(self.session.quiet_since().unwrap_or_else(Instant::now));
            if clock.idle(Instant::now()) >= times.idle_timeout && self.session.close_if_quiet() {
                return;
            }
        }
    }

    async fn ask(&self, upstream: &Upstream, clock: &mut IdleClock) -> Option<PingProblem> {
        match ping(upstream, self.hosted.protocol).await {
            Ok(ping) => clock.pinged(&ping, self.session.quiet_since().is_none(), Instant::now()),
            Err(reason) => Some(PingProblem::Unreadable(reason)),
        }
    }

    fn tell_once(&self, problem: Option<PingProblem>, told: &mut Vec<PingProblem>) {
        let Some(problem) = problem else { return };
        let is_like = |other: &PingProblem| std::mem::discriminant(other) == std::mem::discriminant(&problem);
        if !told.iter().any(is_like) {
            told.push(problem.clone());
            self.sessions.notices.announce(Notice::PingProblem { session: self.session.name.clone(), problem });
        }
    }

    async fn told_to_end(&self) {
        tokio::select! {
            () = self.sessions.closing.cancelled() => {}
            () = self.session.stop.cancelled() => {}
        }
    }
}

// === impl Host ===

impl TryFrom<AgentSource> for Host {
    type Error = BaseAddressError;

    fn try_from(source: AgentSource) -> Result<Self, Self::Error> {
        match source {
            AgentSource::Command { program, arguments, environment } => {
                Ok(Self::Command(CommandLine { program, arguments, environment }))
            }
            AgentSource::Url(base) => Upstream::at(&base).map(Self::Elsewhere),
        }
    }
}

/// A key id that looks like none of AWS's and is as unique as a UUID.
fn access_key_id() -> String {
    format!("LOCAL{:016X}", Uuid::new_v4().as_u64_pair().0)
}
