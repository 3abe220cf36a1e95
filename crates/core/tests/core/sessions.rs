//! Sessions at hand: what they read and write, whom they let in, and what they make of paused turns and pictures.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_core::activity::Activity;
use agentcore_core::history::{CompleteTurn, INTERRUPTED, Keepsake, PausedTurn, TurnKept, complete};
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::memory::process::ProcessMemory;
use agentcore_core::memory::sessions::{OpenError, Sessions, Stored};
use agentcore_core::memory::{Loaded, MemoryError, Record, SessionMemory};
use agentcore_core::message::{
    ContentBlock, Image, ImageFormat, MediaSource, Message, Role, ToolResult, ToolResultContent, ToolResultStatus,
    ToolUse,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use proptest::prelude::*;
use uuid::Uuid;

use crate::converse_rules::assert_can_go_on;
use crate::memory::{ALL, first_words, questions, record, session, turn, waiting, whole};

pub(crate) fn kept(turn: CompleteTurn) -> Keepsake {
    Keepsake { turn: TurnKept::Whole(turn), pinned: false, resumed: false }
}

pub(crate) fn said(question: &str, answer: &str) -> Keepsake {
    kept(turn(question, answer))
}

fn words_of(result: &ToolResult) -> String {
    match &result.content[..] {
        [ToolResultContent::Text(text)] => text.clone(),
        other => panic!("one text was expected: {other:?}"),
    }
}

fn asked(paused: PausedTurn) -> Keepsake {
    Keepsake { turn: TurnKept::Paused(paused), pinned: false, resumed: false }
}

/// Counts readings and fails as it is told.
#[derive(Default)]
struct Unreliable {
    kept: ProcessMemory,
    loads: AtomicUsize,
    failing_loads: AtomicUsize,
    failing_appends: AtomicUsize,
    refusing: bool,
    appended: Mutex<Vec<Record>>,
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

    fn append<'a>(&'a self, session: &'a SessionKey, record: &'a Record) -> BoxFuture<'a, Result<(), MemoryError>> {
        if self.refusing {
            return Box::pin(async { Err(MemoryError::Refused { reason: "no rights".into() }) });
        }
        self.appended.lock().expect("the list").push(record.clone());
        if Self::fails(&self.failing_appends) {
            return Box::pin(async { Err(MemoryError::Unavailable { reason: "down".into() }) });
        }
        self.kept.append(session, record)
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
        assert_eq!(open.earlier(ALL).turns_sent().len(), number);
        assert_eq!(open.remember(said("Hi", "Hello")).await, Stored::Already);
    }
    assert_eq!(memory.loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failed_read_is_an_error_and_never_an_empty_history() {
    let memory = Arc::new(Unreliable { failing_loads: AtomicUsize::new(1), ..Unreliable::default() });
    memory.kept.append(&session("mine"), &record(1, whole("one"))).await.expect("stored");
    let sessions = sessions(&memory, &Activity::default());
    assert!(sessions.open(session("mine")).await.is_err());
    let open = sessions.open(session("mine")).await.expect("the memory is back");
    assert_eq!(first_words(&open.earlier(ALL).turns_sent()), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_tried_again_behind_the_answer_while_the_session_is_busy() {
    let memory = Arc::new(Unreliable { failing_appends: AtomicUsize::new(4), ..Unreliable::default() });
    let activity = Activity::default();
    let sessions = sessions(&memory, &activity);
    let open = sessions.open(session("mine")).await.expect("opened");
    assert_eq!(open.remember(said("one", "Noted.")).await, Stored::Soon);
    assert!(activity.is_busy(), "a turn that is not stored keeps the session alive");

    let open = sessions.open(session("mine")).await.expect("the next turn does not wait");
    assert_eq!(first_words(&open.earlier(ALL).turns_sent()), ["one"]);
    open.remember(said("two", "Noted.")).await;
    sessions.close(Duration::from_mins(1)).await;

    assert!(!activity.is_busy());
    let loaded = memory.kept.load(&session("mine"), ALL).await.expect("loaded");
    assert_eq!(questions(&loaded), ["one", "two"]);
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
    assert_eq!(open.remember(said("one", "Noted.")).await, Stored::Lost);
    assert!(!activity.is_busy());
}

#[tokio::test(start_paused = true)]
async fn flushing_waits_until_every_turn_is_stored_and_the_sessions_go_on() {
    let memory = Arc::new(Unreliable { failing_appends: AtomicUsize::new(4), ..Unreliable::default() });
    let sessions = sessions(&memory, &Activity::default());
    for number in 1..=2 {
        let open = sessions.open(session("mine")).await.expect("opened");
        open.remember(said("Hi", "Hello")).await;
        sessions.flush().await;
        assert_eq!(memory.kept.load(&session("mine"), ALL).await.expect("loaded").turns.len(), number);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_shared_with_other_processes_is_read_anew_and_knows_its_own_last_turn() {
    let memory = Arc::new(Unreliable { failing_appends: AtomicUsize::new(4), ..Unreliable::default() });
    let shared = Sessions::shared(Arc::clone(&memory) as Arc<dyn SessionMemory>, 1000, Activity::default());
    let open = shared.open(session("mine")).await.expect("opened");
    assert_eq!(open.remember(said("one", "Noted.")).await, Stored::Soon);
    memory.kept.append(&session("mine"), &record(2, whole("another process's"))).await.expect("stored");

    let open = shared.open(session("mine")).await.expect("opened");

    // Its own turn arrived after four failures, and yet was said first.
    assert_eq!(first_words(&open.earlier(ALL).turns_sent()), ["one", "another process's"]);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_writes_only_so_long() {
    let memory = Arc::new(Unreliable { failing_appends: AtomicUsize::new(1000), ..Unreliable::default() });
    let activity = Activity::default();
    let sessions = sessions(&memory, &activity);
    let open = sessions.open(session("mine")).await.expect("opened");
    assert_eq!(open.remember(said("one", "Noted.")).await, Stored::Soon);
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
                open.remember(said(&number.to_string(), "Noted.")).await;
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
    assert_eq!(first_words(&open.earlier(ALL).turns_sent()), ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[tokio::test]
async fn beyond_a_bound_nobody_waits_and_who_leaves_the_queue_makes_room() {
    let (memory, activity) = (Arc::new(Unreliable::default()), Activity::default());
    let sessions = sessions(&memory, &activity).queue(2);
    let held = sessions.open(session("mine")).await.expect("opened");
    let mut first = Box::pin(sessions.open(session("mine")));
    let mut second = Box::pin(sessions.open(session("mine")));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());

    let refused = sessions.open(session("mine")).now_or_never().expect("at once");
    assert_eq!(refused.err(), Some(OpenError::Crowded { waiting: 2 }));
    sessions.open(session("yours")).now_or_never().expect("at once").expect("another session is free");

    drop(first);
    let mut third = Box::pin(sessions.open(session("mine")));
    assert!(third.as_mut().now_or_never().is_none(), "a place was free");
    drop(held);
    drop(second.await.expect("opened"));
    drop(third.await.expect("opened"));
    sessions.open(session("mine")).now_or_never().expect("at once").expect("nobody is left");
}

/// Many tasks, few sessions, some cut while they wait or while they hold the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_two_turns_of_a_session_are_ever_interleaved_and_none_is_lost() {
    let memory = Arc::new(ProcessMemory::default());
    let sessions = Sessions::new(Arc::clone(&memory) as Arc<dyn SessionMemory>, ALL, Activity::default()).queue(20);
    let inside: Arc<Vec<AtomicUsize>> = Arc::new((0..4).map(|_| AtomicUsize::new(0)).collect());
    let turns: Vec<_> = (0..400_usize)
        .map(|number| {
            let (sessions, inside) = (sessions.clone(), Arc::clone(&inside));
            let one = async move {
                let place = number % 4;
                let open = match sessions.open(session(&place.to_string())).await {
                    Ok(open) => open,
                    Err(error) => return Err(error),
                };
                assert_eq!(inside[place].fetch_add(1, Ordering::SeqCst), 0, "alone in the session");
                let before = open.earlier(ALL).turns_sent().len();
                tokio::task::yield_now().await;
                assert_eq!(open.earlier(ALL).turns_sent().len(), before);
                inside[place].fetch_sub(1, Ordering::SeqCst);
                open.remember(said(&number.to_string(), &before.to_string())).await;
                Ok(())
            };
            let task = tokio::spawn(one);
            if number % 7 == 0 {
                task.abort();
            }
            task
        })
        .collect();
    let (mut served, mut cut) = (0, 0);
    for turn in turns {
        match turn.await {
            Ok(Ok(())) => served += 1,
            Ok(Err(error)) => assert!(matches!(error, OpenError::Crowded { waiting: 20 }), "{error}"),
            Err(error) if error.is_cancelled() => cut += 1,
            Err(error) => panic!("{error}"),
        }
    }
    sessions.flush().await;
    let mut stored = 0;
    for place in 0..4 {
        let loaded = memory.load(&session(&place.to_string()), ALL).await.expect("loaded");
        for (number, kept) in loaded.turns.iter().enumerate() {
            // Each turn saw exactly those before it.
            assert_eq!(kept.messages()[1].text(), number.to_string());
        }
        stored += loaded.turns.len();
        sessions.open(session(&place.to_string())).now_or_never().expect("the queue is empty").expect("opened");
    }
    assert!((served..=served + cut).contains(&stored), "{served} served, {cut} cut, {stored} stored");
}

#[tokio::test]
async fn sessions_long_unused_are_read_again_and_lose_nothing() {
    let (memory, activity) = (Arc::new(Unreliable::default()), Activity::default());
    let sessions = sessions(&memory, &activity);
    for number in 0..4_200 {
        let open = sessions.open(session(&number.to_string())).await.expect("opened");
        open.remember(said(&number.to_string(), "Noted.")).await;
    }
    assert_eq!(memory.loads.load(Ordering::SeqCst), 4_200);
    let newest = sessions.open(session("4199")).await.expect("opened");
    assert_eq!(
        (newest.earlier(ALL).turns_sent().len(), memory.loads.load(Ordering::SeqCst)),
        (1, 4_200),
        "still at hand"
    );
    let oldest = sessions.open(session("0")).await.expect("opened");
    assert_eq!((oldest.earlier(ALL).turns_sent().len(), memory.loads.load(Ordering::SeqCst)), (1, 4_201), "read again");
}

// === paused turns ===

#[tokio::test]
async fn a_paused_turn_waits_in_its_session_in_this_process_and_in_another() {
    let memory = Arc::new(Unreliable::default());
    let here = sessions(&memory, &Activity::default());
    here.open(session("mine")).await.expect("opened").remember(said("one", "Noted.")).await;
    here.open(session("mine")).await.expect("opened").remember(asked(waiting("book"))).await;

    for sessions in [here, sessions(&memory, &Activity::default())] {
        let open = sessions.open(session("mine")).await.expect("opened");
        assert_eq!(open.paused(), Some(&waiting("book")));
        assert_eq!(first_words(&open.earlier_than_paused(ALL).turns_sent()), ["one"]);
        let shown = open.earlier(ALL).turns_sent();
        assert_eq!(first_words(&shown), ["one", "book"], "who goes on without answering sees what was asked");
        assert_can_go_on(shown.iter().flat_map(|turn| turn.messages()));
        let results: Vec<String> = shown[1].messages()[2].tool_results().map(words_of).collect();
        assert_eq!(results, ["sold out", "A person was asked, and has not answered: Pay 20 euros?"]);
        assert_eq!(shown[1].messages()[3].text(), INTERRUPTED);
    }
}

#[tokio::test]
async fn the_rest_of_a_paused_turn_takes_its_place_and_anything_else_does_not() {
    let memory = Arc::new(Unreliable::default());
    let sessions = sessions(&memory, &Activity::default());
    let resumed = |question: &str| Keepsake { resumed: true, ..said(question, "Done.") };
    let after = [
        (asked(waiting("book")), vec!["book"], true),
        (Keepsake { resumed: true, ..asked(waiting("book")) }, vec!["book"], true),
        (resumed("book"), vec!["book"], false),
        (asked(waiting("book again")), vec!["book", "book again"], true),
        (said("never mind", "Fine."), vec!["book", "book again", "never mind"], false),
        (resumed("too late"), vec!["book", "book again", "never mind", "too late"], false),
    ];
    for (keepsake, shown, is_paused) in after {
        sessions.open(session("mine")).await.expect("opened").remember(keepsake).await;
        let open = sessions.open(session("mine")).await.expect("opened");
        assert_eq!(first_words(&open.earlier(ALL).turns_sent()), shown);
        assert_eq!(open.paused().is_some(), is_paused);
        let stored = memory.kept.load(&session("mine"), ALL).await.expect("loaded");
        assert_eq!(questions(&stored), shown, "stored as it is at hand");
        assert_eq!(stored.paused.is_some(), is_paused);
    }
}

#[tokio::test]
async fn what_goes_on_makes_room_for_itself() {
    let memory = Arc::new(Unreliable::default());
    let sessions = sessions(&memory, &Activity::default());
    sessions.open(session("mine")).await.expect("opened").remember(said("one", "Noted.")).await;
    let paused = waiting(&"book ".repeat(100));
    sessions.open(session("mine")).await.expect("opened").remember(asked(paused.clone())).await;
    let open = sessions.open(session("mine")).await.expect("opened");
    assert_eq!(open.earlier_than_paused(paused.estimated_tokens() + 20).turns_sent().len(), 1);
    assert_eq!(open.earlier_than_paused(paused.estimated_tokens() + 5).turns_sent().len(), 0);
}

// === what fits ===

/// A turn in which a tool gave so many bytes.
fn looked_up(question: &str, bytes: usize) -> Keepsake {
    let call = ToolUse { tool_use_id: "call-1".into(), name: "look_up".into(), input: serde_json::json!({}) };
    let result = ToolResult {
        tool_use_id: "call-1".into(),
        content: vec![ToolResultContent::Text("x".repeat(bytes))],
        status: ToolResultStatus::Success,
    };
    let messages = [
        Message::user(question),
        Message { role: Role::Assistant, content: vec![ContentBlock::ToolUse(call)] },
        Message { role: Role::User, content: vec![ContentBlock::ToolResult(result)] },
        Message::assistant("Found it."),
    ];
    kept(complete(messages).remove(0))
}

#[tokio::test]
async fn a_turn_that_is_too_long_by_itself_is_sent_with_its_results_cut_and_others_before_it() {
    let memory = Arc::new(Unreliable::default());
    let here = sessions(&memory, &Activity::default());
    for keepsake in [said("one", "Noted."), said("two", "Noted."), looked_up("look it up", 75_000)] {
        here.open(session("mine")).await.expect("opened").remember(keepsake).await;
    }
    for sessions in [here, sessions(&memory, &Activity::default())] {
        let open = sessions.open(session("mine")).await.expect("opened");
        let sent = open.earlier(ALL).turns_sent();
        assert_eq!(first_words(&sent), ["one", "two", "look it up"]);
        assert!(sent.iter().map(|turn| turn.estimated_tokens()).sum::<usize>() <= 1_000);
        let result = words_of(sent[2].messages()[2].tool_results().next().expect("a result"));
        assert!(
            result.starts_with("xxx") && result.ends_with("[The rest was left out: the conversation is too long.]")
        );
        assert_eq!(sent[2].messages()[3].text(), "Found it.");
        assert_can_go_on(sent.iter().flat_map(|turn| turn.messages()));
    }
}

#[tokio::test]
async fn a_turn_whose_words_are_too_long_is_cut_as_well() {
    let memory = Arc::new(Unreliable::default());
    let sessions = sessions(&memory, &Activity::default());
    let long = said(&"all my notes ".repeat(2_000), "Thank you.");
    sessions.open(session("mine")).await.expect("opened").remember(long).await;
    let sent = sessions.open(session("mine")).await.expect("opened").earlier(ALL).turns_sent();
    assert!(sent[0].user_words().starts_with("all my notes all my notes"));
    assert!(sent[0].estimated_tokens() <= 500);
}

#[tokio::test]
async fn what_is_known_does_not_depend_on_what_fits() {
    let memory = Arc::new(Unreliable::default());
    let sessions = sessions(&memory, &Activity::default());
    let crisis = Keepsake { pinned: true, ..said("I cannot go on", "Please call this number.") };
    for keepsake in [crisis, said("two", "Noted."), asked(waiting("book"))] {
        sessions.open(session("mine")).await.expect("opened").remember(keepsake).await;
    }
    let open = sessions.open(session("mine")).await.expect("opened");
    for earlier in [open.earlier(0), open.earlier_than_paused(0)] {
        assert_eq!(earlier.sent, []);
        assert_eq!(first_words(&earlier.known), ["I cannot go on", "two", "book"]);
    }
    let stays: Vec<bool> = open.earlier(ALL).sent.iter().map(|sent| sent.stays).collect();
    assert_eq!(stays, [true, false, false]);
}

// === pictures ===

#[tokio::test]
async fn bytes_of_a_picture_end_with_their_turn() {
    let memory = Arc::new(Unreliable::default());
    let sessions = sessions(&memory, &Activity::default());
    let picture = Image { format: ImageFormat::Jpeg, source: MediaSource::Bytes(vec![7; 5_000].into()) };
    let content = vec![ContentBlock::Text("What is this?".into()), ContentBlock::Image(picture.clone())];
    let question = Message { role: Role::User, content };
    let whole = complete([question.clone(), Message::assistant("A cat.")]).remove(0);
    let mut paused = waiting("book");
    paused.messages[0] = question;
    for keepsake in [kept(whole), asked(paused)] {
        sessions.open(session("mine")).await.expect("opened").remember(keepsake).await;
    }
    let open = sessions.open(session("mine")).await.expect("opened");
    let line = "What is this?[An image (jpeg, 5000 bytes) was here.]";
    assert_eq!(first_words(&open.earlier(ALL).turns_sent()), [line, line]);
    assert_eq!(open.paused().expect("paused").messages[0].text(), line);
    let appended = memory.appended.lock().expect("the list");
    assert!(appended.iter().all(|record| !format!("{record:?}").contains("Image")), "none is stored");
}

// === pinned turns and the budget ===

proptest! {
    #[test]
    fn a_history_fits_its_budget_keeps_its_order_and_goes_on(
        turns in prop::collection::vec((1_usize..120, prop::bool::weighted(0.2)), 0..20),
        budget in 0_usize..600,
    ) {
        let (memory, activity) = (Arc::new(Unreliable::default()), Activity::default());
        let sessions = Sessions::new(Arc::clone(&memory) as Arc<dyn SessionMemory>, ALL, activity);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let history = runtime.block_on(async {
            for (number, &(length, pinned)) in turns.iter().enumerate() {
                let keepsake = Keepsake { pinned, ..said(&format!("{number:02}{}", "q".repeat(length)), "Noted.") };
                sessions.open(session("mine")).await.expect("opened").remember(keepsake).await;
            }
            sessions.open(session("mine")).await.expect("opened").earlier(budget).turns_sent()
        });
        assert_can_go_on(history.iter().flat_map(|turn| turn.messages()));
        let cost = |turn: &Arc<CompleteTurn>| turn.estimated_tokens();
        prop_assert!(history.iter().map(cost).sum::<usize>() <= budget);
        let sent: Vec<usize> = first_words(&history).iter().map(|words| words[..2].parse().expect("a number")).collect();
        prop_assert!(sent.is_sorted());
        // The newest pinned turn is there where it fits half the budget.
        if let Some((number, &(length, _))) = turns.iter().enumerate().rev().find(|(_, (_, pinned))| *pinned) {
            let tokens = turn(&"q".repeat(length + 2), "Noted.").estimated_tokens();
            prop_assert!(tokens > budget / 2 || sent.contains(&number), "{} of {:?}", number, sent);
        }
        // Whatever is not pinned is a whole end of what is not pinned.
        let others: Vec<usize> = (0..turns.len()).filter(|number| !turns[*number].1).collect();
        let sent_others: Vec<usize> = sent.iter().copied().filter(|number| !turns[*number].1).collect();
        prop_assert!(others.ends_with(&sent_others));
    }
}
