use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_core::activity::Activity;
use agentcore_core::history::{CompleteTurn, complete};
use agentcore_core::memory::file::{FileMemory, OpenError};
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::memory::process::ProcessMemory;
use agentcore_core::memory::sessions::{Sessions, Stored};
use agentcore_core::memory::{Loaded, MemoryError, SessionMemory, TurnRecord};
use agentcore_core::message::Message;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

const ALL: usize = usize::MAX / 2;

fn turn(question: &str, answer: &str) -> CompleteTurn {
    complete([Message::user(question), Message::assistant(answer)]).remove(0)
}

fn record(sequence: u64, question: &str) -> TurnRecord {
    TurnRecord {
        token: Uuid::new_v4(),
        at: Timestamp::now() + SignedDuration::from_millis(i64::try_from(sequence).expect("small")),
        sequence,
        turn: Arc::new(turn(question, "Noted.")),
    }
}

fn session(id: &str) -> SessionKey {
    SessionKey::new(None, id)
}

fn questions(turns: &[Arc<CompleteTurn>]) -> Vec<String> {
    turns.iter().map(|turn| turn.messages()[0].text()).collect()
}

// === every store ===

async fn keeps_sessions_apart_in_order_and_each_turn_once(memory: &dyn SessionMemory) {
    let (mine, yours) = (session("mine"), session("yours"));
    let first = record(1, "one");
    memory.append(&mine, &first).await.expect("stored");
    memory.append(&yours, &record(1, "other")).await.expect("stored");
    memory.append(&mine, &record(2, "two")).await.expect("stored");
    memory.append(&mine, &first).await.expect("stored already");
    let loaded = memory.load(&mine, ALL).await.expect("loaded");
    assert_eq!(questions(&loaded.turns), ["one", "two"]);
    assert_eq!(loaded.newest.expect("a newest turn").1, 2);
    assert_eq!(memory.load(&session("nobody"), ALL).await.expect("loaded"), Loaded::default());
}

#[tokio::test]
async fn the_process_keeps_sessions() {
    keeps_sessions_apart_in_order_and_each_turn_once(&ProcessMemory::default()).await;
}

#[tokio::test]
async fn a_file_keeps_sessions() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = FileMemory::open(&folder.path().join("sessions.redb")).expect("opened");
    keeps_sessions_apart_in_order_and_each_turn_once(&memory).await;
}

#[tokio::test]
async fn a_file_keeps_sessions_from_one_process_to_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let before = FileMemory::open(&path).expect("opened");
    before.append(&session("mine"), &record(1, "one")).await.expect("stored");
    drop(before);
    let after = FileMemory::open(&path).expect("opened again");
    let loaded = after.load(&session("mine"), ALL).await.expect("loaded");
    assert_eq!(questions(&loaded.turns), ["one"]);
}

#[tokio::test]
async fn a_file_forgets_after_thirty_days() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = FileMemory::open(&folder.path().join("sessions.redb")).expect("opened");
    let days_ago = |days: i64, sequence| TurnRecord {
        at: Timestamp::now() - SignedDuration::from_hours(24 * days),
        ..record(sequence, &format!("{days} days ago"))
    };
    memory.append(&session("mine"), &days_ago(31, 1)).await.expect("stored");
    memory.append(&session("mine"), &days_ago(29, 2)).await.expect("stored");
    let loaded = memory.load(&session("mine"), ALL).await.expect("loaded");
    assert_eq!(questions(&loaded.turns), ["29 days ago"]);
}

#[tokio::test]
async fn a_file_reads_no_more_than_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = FileMemory::open(&folder.path().join("sessions.redb")).expect("opened");
    for number in 1..=50 {
        memory.append(&session("mine"), &record(number, &format!("question {number}"))).await.expect("stored");
    }
    let loaded = memory.load(&session("mine"), 60).await.expect("loaded");
    assert!(loaded.turns.len() < 10, "{} turns", loaded.turns.len());
    assert_eq!(loaded.newest.expect("a newest turn").1, 50);
    assert_eq!(questions(&loaded.turns).last().expect("the newest"), "question 50");
}

#[test]
fn a_file_in_use_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let _open = FileMemory::open(&path).expect("opened");
    assert!(matches!(FileMemory::open(&path), Err(OpenError::InUse { .. })));
    assert!(matches!(FileMemory::open(folder.path()), Err(OpenError::Unusable { .. })));
}

// === ids ===

#[test]
fn ids_that_fit_are_used_as_they_are() {
    let key = SessionKey::new(Some("user/7"), "4f0c1d8e-8b57-4b39-9c0f-1e0c2f6f8a11");
    assert_eq!((key.actor(), key.session()), ("user/7", "4f0c1d8e-8b57-4b39-9c0f-1e0c2f6f8a11"));
    assert_eq!(SessionKey::new(None, "abc").actor(), "session/abc");
}

proptest! {
    #[test]
    fn any_two_ids_stay_two_and_fit(one in "\\PC{0,120}", other in "\\PC{0,120}") {
        let (key, different) = (SessionKey::new(Some(&one), &one), SessionKey::new(Some(&other), &other));
        prop_assert_eq!(key == different, one == other);
        let fits = |id: &str, longest: usize, extra: &str| {
            id.len() <= longest
                && id.starts_with(|c: char| c.is_ascii_alphanumeric())
                && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || extra.contains(c))
        };
        prop_assert!(fits(key.session(), 100, "") && fits(key.actor(), 255, "/"), "{:?}", key);
    }

    #[test]
    fn an_id_that_looks_replaced_does_not_meet_the_one_it_looks_like(id in "[^a-zA-Z0-9]{1,20}") {
        let replaced = SessionKey::new(Some(&id), &id);
        let imitation = SessionKey::new(Some(replaced.actor()), replaced.session());
        prop_assert_ne!(imitation.session(), replaced.session());
        prop_assert_ne!(imitation.actor(), replaced.actor());
    }
}

// === sessions ===

/// Counts readings and fails as it is told.
#[derive(Default)]
struct Unreliable {
    kept: ProcessMemory,
    loads: AtomicUsize,
    failing_loads: AtomicUsize,
    failing_appends: AtomicUsize,
    refusing: bool,
    appended: Mutex<Vec<TurnRecord>>,
}

impl Unreliable {
    fn fails(count: &AtomicUsize) -> bool {
        count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

impl SessionMemory for Unreliable {
    fn load<'a>(&'a self, session: &'a SessionKey, budget: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if Self::fails(&self.failing_loads) {
            return Box::pin(async { Err(MemoryError::Unavailable { reason: "down".into() }) });
        }
        self.kept.load(session, budget)
    }

    fn append<'a>(&'a self, session: &'a SessionKey, turn: &'a TurnRecord) -> BoxFuture<'a, Result<(), MemoryError>> {
        if self.refusing {
            return Box::pin(async { Err(MemoryError::Refused { reason: "no rights".into() }) });
        }
        self.appended.lock().expect("the list").push(turn.clone());
        if Self::fails(&self.failing_appends) {
            return Box::pin(async { Err(MemoryError::Unavailable { reason: "down".into() }) });
        }
        self.kept.append(session, turn)
    }
}

fn sessions(memory: &Arc<Unreliable>, activity: &Activity) -> Sessions {
    Sessions::new(Arc::clone(memory) as Arc<dyn SessionMemory>, 1000, activity.clone())
}

#[tokio::test]
async fn a_warm_session_reads_nothing_again() {
    let (memory, activity) = (Arc::new(Unreliable::default()), Activity::default());
    let sessions = sessions(&memory, &activity);
    for number in 0..3 {
        let open = sessions.open(session("mine")).await.expect("opened");
        assert_eq!(open.history(ALL).len(), number);
        assert_eq!(open.remember(turn("Hi", "Hello")).await, Stored::Already);
    }
    assert_eq!(memory.loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failed_read_is_an_error_and_never_an_empty_history() {
    let memory = Arc::new(Unreliable { failing_loads: AtomicUsize::new(1), ..Unreliable::default() });
    memory.kept.append(&session("mine"), &record(1, "one")).await.expect("stored");
    let sessions = sessions(&memory, &Activity::default());
    assert!(sessions.open(session("mine")).await.is_err());
    let open = sessions.open(session("mine")).await.expect("the memory is back");
    assert_eq!(questions(&open.history(ALL)), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_tried_again_behind_the_answer_while_the_session_is_busy() {
    let memory = Arc::new(Unreliable { failing_appends: AtomicUsize::new(4), ..Unreliable::default() });
    let activity = Activity::default();
    let sessions = sessions(&memory, &activity);
    let open = sessions.open(session("mine")).await.expect("opened");
    assert_eq!(open.remember(turn("one", "Noted.")).await, Stored::Soon);
    assert!(activity.is_busy(), "a turn that is not stored keeps the session alive");

    let open = sessions.open(session("mine")).await.expect("the next turn does not wait");
    assert_eq!(questions(&open.history(ALL)), ["one"]);
    open.remember(turn("two", "Noted.")).await;
    sessions.close(Duration::from_mins(1)).await;

    assert!(!activity.is_busy());
    let loaded = memory.kept.load(&session("mine"), ALL).await.expect("loaded");
    assert_eq!(questions(&loaded.turns), ["one", "two"]);
    let appended = memory.appended.lock().expect("the list");
    let tokens: Vec<Uuid> = appended.iter().map(|record| record.token).collect();
    assert!(tokens[..5].iter().all(|token| *token == tokens[0]), "every try carries the same token");
    assert!(appended[0].at < appended[5].at && appended[0].sequence < appended[5].sequence);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_cannot_succeed_is_given_up_and_the_session_goes_idle() {
    let memory = Arc::new(Unreliable { refusing: true, ..Unreliable::default() });
    let activity = Activity::default();
    let open = sessions(&memory, &activity).open(session("mine")).await.expect("opened");
    assert_eq!(open.remember(turn("one", "Noted.")).await, Stored::Lost);
    assert!(!activity.is_busy());
}

#[tokio::test(start_paused = true)]
async fn flushing_waits_until_every_turn_is_stored_and_the_sessions_go_on() {
    let memory = Arc::new(Unreliable { failing_appends: AtomicUsize::new(4), ..Unreliable::default() });
    let sessions = sessions(&memory, &Activity::default());
    for number in 1..=2 {
        let open = sessions.open(session("mine")).await.expect("opened");
        open.remember(turn("Hi", "Hello")).await;
        sessions.flush().await;
        assert_eq!(memory.kept.load(&session("mine"), ALL).await.expect("loaded").turns.len(), number);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_shared_with_other_processes_is_read_anew_and_knows_its_own_last_turn() {
    let memory = Arc::new(Unreliable { failing_appends: AtomicUsize::new(4), ..Unreliable::default() });
    let shared = Sessions::shared(Arc::clone(&memory) as Arc<dyn SessionMemory>, 1000, Activity::default());
    let open = shared.open(session("mine")).await.expect("opened");
    assert_eq!(open.remember(turn("one", "Noted.")).await, Stored::Soon);
    memory.kept.append(&session("mine"), &record(2, "another process's")).await.expect("stored");

    let open = shared.open(session("mine")).await.expect("opened");

    // This memory keeps the order of arrival, and its own turn came after four failures.
    assert_eq!(questions(&open.history(ALL)), ["another process's", "one"]);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_writes_only_so_long() {
    let memory = Arc::new(Unreliable { failing_appends: AtomicUsize::new(1000), ..Unreliable::default() });
    let activity = Activity::default();
    let sessions = sessions(&memory, &activity);
    let open = sessions.open(session("mine")).await.expect("opened");
    assert_eq!(open.remember(turn("one", "Noted.")).await, Stored::Soon);
    sessions.close(Duration::from_secs(3)).await;
    assert!(!activity.is_busy());
}

#[tokio::test]
async fn those_who_open_a_session_wait_in_the_order_they_came() {
    let (memory, activity) = (Arc::new(Unreliable::default()), Activity::default());
    let sessions = sessions(&memory, &activity);
    let held = sessions.open(session("mine")).await.expect("opened");
    let waiting: Vec<_> = (0..8)
        .map(|number| {
            let sessions = sessions.clone();
            Box::pin(async move {
                let open = sessions.open(session("mine")).await.expect("opened");
                open.remember(turn(&number.to_string(), "Noted.")).await;
            })
        })
        .map(|mut turn| {
            // Polled once, it stands in the queue.
            assert!(turn.as_mut().now_or_never().is_none());
            turn
        })
        .collect();
    drop(held);
    futures::future::join_all(waiting).await;
    let open = sessions.open(session("mine")).await.expect("opened");
    assert_eq!(questions(&open.history(ALL)), ["0", "1", "2", "3", "4", "5", "6", "7"]);
}
