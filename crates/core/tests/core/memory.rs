use std::sync::Arc;

use agentcore_core::activity::Activity;
use agentcore_core::history::{CompleteTurn, PausedTurn, complete};
use agentcore_core::memory::file::{FileMemory, OpenError};
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::memory::process::ProcessMemory;
use agentcore_core::memory::sessions::{Sessions, Stored};
use agentcore_core::memory::{Entry, KeptTurn, Loaded, Record, SessionMemory, Summary};
use agentcore_core::message::{ContentBlock, Message, Role, ToolResult, ToolUse};
use agentcore_core::tool::Question;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

pub(crate) const ALL: usize = usize::MAX / 2;

pub(crate) fn turn(question: &str, answer: &str) -> CompleteTurn {
    complete([Message::user(question), Message::assistant(answer)]).remove(0)
}

pub(crate) fn whole(question: &str) -> Entry {
    Entry::Whole { turn: Arc::new(turn(question, "Noted.")), pinned: false, resumed: false }
}

fn pinned(question: &str) -> Entry {
    Entry::Whole { turn: Arc::new(turn(question, "Noted.")), pinned: true, resumed: false }
}

fn resumed(question: &str) -> Entry {
    Entry::Whole { turn: Arc::new(turn(question, "Done.")), pinned: false, resumed: true }
}

/// A turn that waits for an answer to one call, and knows the result of another.
pub(crate) fn waiting(question: &str) -> PausedTurn {
    let call = |id: &str| {
        let (tool_use_id, name) = (id.to_owned(), "book".to_owned());
        ContentBlock::ToolUse(ToolUse { tool_use_id, name, input: serde_json::json!({ "seats": 2 }) })
    };
    let calls = vec![ContentBlock::Text("I will book both.".into()), call("call-1"), call("call-2")];
    let (id, tool, asked) = ("call-2".to_owned(), "book".to_owned(), "Pay 20 euros?".to_owned());
    PausedTurn {
        messages: vec![Message::user(question), Message { role: Role::Assistant, content: calls }],
        results: vec![ToolResult::error("call-1", "sold out")],
        questions: vec![Question { id, tool, question: asked, details: serde_json::json!({ "choices": [1, 2] }) }],
        broken_off: None,
        route: Some("travel_agent".into()),
    }
}

fn paused(question: &str) -> Entry {
    Entry::Paused { turn: Arc::new(waiting(question)), pinned: false, resumed: false }
}

fn summary(covers: u64, text: &str, pinned: Vec<KeptTurn>) -> Entry {
    Entry::Summary(Summary { text: text.into(), covers, pinned })
}

fn at(sequence: u64) -> Timestamp {
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).expect("a moment");
    now + SignedDuration::from_millis(i64::try_from(sequence).expect("small"))
}

pub(crate) fn record(sequence: u64, entry: Entry) -> Record {
    Record { token: Uuid::new_v4(), at: at(sequence), sequence, entry }
}

pub(crate) fn session(id: &str) -> SessionKey {
    SessionKey::new(None, id)
}

pub(crate) fn first_words(turns: &[Arc<CompleteTurn>]) -> Vec<String> {
    turns.iter().map(|turn| turn.messages()[0].text()).collect()
}

pub(crate) fn questions(loaded: &Loaded) -> Vec<String> {
    loaded.turns.iter().map(|kept| kept.messages()[0].text()).collect()
}

fn file() -> (tempfile::TempDir, FileMemory) {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = FileMemory::open(&folder.path().join("sessions.redb")).expect("opened");
    (folder, memory)
}

// === every store ===

async fn keeps_sessions_apart_in_order_and_each_turn_once(memory: &dyn SessionMemory) {
    let (mine, yours) = (session("mine"), session("yours"));
    let first = record(1, whole("one"));
    memory.append(&mine, &first).await.expect("stored");
    memory.append(&yours, &record(1, whole("other"))).await.expect("stored");
    memory.append(&mine, &record(2, whole("two"))).await.expect("stored");
    memory.append(&mine, &first).await.expect("stored already");
    let loaded = memory.load(&mine, ALL).await.expect("loaded");
    assert_eq!(questions(&loaded), ["one", "two"]);
    assert_eq!(loaded.newest.expect("a newest turn").1, 2);
    assert_eq!(memory.load(&session("nobody"), ALL).await.expect("loaded"), Loaded::default());
}

/// Used for AgentCore Memory by the system's tests as well, in words of their own.
async fn keeps_paused_turns_pins_and_summaries(memory: &dyn SessionMemory) {
    let mine = session("of every kind");
    let two = record(2, pinned("two"));
    let kept = KeptTurn { number: 2, at: two.at, pinned: true, turn: Arc::new(turn("two", "Noted.")) };
    let records = [
        record(1, whole("one")),
        two,
        record(3, whole("three")),
        record(4, whole("four")),
        record(5, summary(3, "They said one, two and three.", vec![kept.clone()])),
        record(6, paused("book")),
        record(7, resumed("book")),
        record(8, paused("book again")),
    ];
    for _ in 0..2 {
        for record in &records {
            memory.append(&mine, record).await.expect("stored");
        }
    }
    let loaded = memory.load(&mine, ALL).await.expect("loaded");
    assert_eq!(questions(&loaded), ["two", "four", "book", "book again"]);
    assert_eq!(loaded.turns[0], kept);
    assert_eq!(loaded.turns[2].messages()[1].text(), "Done.", "the resumed turn took the paused one's place");
    assert_eq!(*loaded.paused.expect("the paused turn").turn, waiting("book again"));
    let summary = loaded.summary.expect("the summary");
    assert_eq!((summary.text.as_str(), summary.covers), ("They said one, two and three.", 3));
    assert_eq!(loaded.newest, Some((records[7].at, 8)));

    memory.append(&mine, &record(9, whole("never mind"))).await.expect("stored");
    let loaded = memory.load(&mine, ALL).await.expect("loaded");
    assert_eq!(questions(&loaded), ["two", "four", "book", "book again", "never mind"]);
    assert_eq!(loaded.paused, None, "somebody went on without answering");
}

/// However little is asked for, what the summary carries is there.
async fn finds_the_pins_that_a_summary_covers(memory: &dyn SessionMemory) {
    let mine = session("long");
    let allergy = KeptTurn { number: 1, at: at(1), pinned: true, turn: Arc::new(turn("No nuts!", "Noted.")) };
    memory.append(&mine, &record(1, pinned("No nuts!"))).await.expect("stored");
    for number in 2..=40 {
        memory.append(&mine, &record(number, whole(&format!("question {number}")))).await.expect("stored");
    }
    memory.append(&mine, &record(41, summary(38, "Much was asked.", vec![allergy]))).await.expect("stored");
    let loaded = memory.load(&mine, 40).await.expect("loaded");
    assert_eq!(questions(&loaded), ["No nuts!", "question 39", "question 40"]);
}

#[tokio::test]
async fn the_process_keeps_sessions() {
    let memory = ProcessMemory::default();
    keeps_sessions_apart_in_order_and_each_turn_once(&memory).await;
    keeps_paused_turns_pins_and_summaries(&memory).await;
    finds_the_pins_that_a_summary_covers(&memory).await;
}

#[tokio::test]
async fn a_file_keeps_sessions() {
    let (_folder, memory) = file();
    keeps_sessions_apart_in_order_and_each_turn_once(&memory).await;
    keeps_paused_turns_pins_and_summaries(&memory).await;
    finds_the_pins_that_a_summary_covers(&memory).await;
}

#[tokio::test]
async fn a_file_keeps_sessions_from_one_process_to_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let before = FileMemory::open(&path).expect("opened");
    before.append(&session("mine"), &record(1, whole("one"))).await.expect("stored");
    drop(before);
    let after = FileMemory::open(&path).expect("opened again");
    let loaded = after.load(&session("mine"), ALL).await.expect("loaded");
    assert_eq!(questions(&loaded), ["one"]);
}

#[tokio::test]
async fn a_file_forgets_after_thirty_days() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = FileMemory::open(&folder.path().join("sessions.redb")).expect("opened");
    let days_ago = |days: i64, sequence| Record {
        at: Timestamp::now() - SignedDuration::from_hours(24 * days),
        ..record(sequence, whole(&format!("{days} days ago")))
    };
    memory.append(&session("mine"), &days_ago(31, 1)).await.expect("stored");
    memory.append(&session("mine"), &days_ago(29, 2)).await.expect("stored");
    let loaded = memory.load(&session("mine"), ALL).await.expect("loaded");
    assert_eq!(questions(&loaded), ["29 days ago"]);
}

#[tokio::test]
async fn a_file_reads_no_more_than_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = FileMemory::open(&folder.path().join("sessions.redb")).expect("opened");
    for number in 1..=50 {
        memory.append(&session("mine"), &record(number, whole(&format!("question {number}")))).await.expect("stored");
    }
    let loaded = memory.load(&session("mine"), 60).await.expect("loaded");
    assert!(loaded.turns.len() < 10, "{} turns", loaded.turns.len());
    assert_eq!(loaded.newest.expect("a newest turn").1, 50);
    assert_eq!(questions(&loaded).last().expect("the newest"), "question 50");
}

#[tokio::test]
async fn a_summary_does_not_make_pinned_turns_younger() {
    let (_folder, memory) = file();
    let days_ago = |days: i64| KeptTurn {
        number: 1,
        at: Timestamp::now() - SignedDuration::from_hours(24 * days),
        pinned: true,
        turn: Arc::new(turn(&format!("{days} days ago"), "Noted.")),
    };
    let carried = summary(1, "Long ago.", vec![days_ago(31), days_ago(29)]);
    memory.append(&session("mine"), &record(2, carried)).await.expect("stored");
    assert_eq!(questions(&memory.load(&session("mine"), ALL).await.expect("loaded")), ["29 days ago"]);
}

#[tokio::test]
async fn a_file_never_writes_over_an_entry() {
    let (_folder, memory) = file();
    let twins = [record(1, whole("one")), record(1, whole("the other"))];
    for twin in twins.iter().chain(&twins) {
        memory.append(&session("mine"), twin).await.expect("stored");
    }
    let loaded = memory.load(&session("mine"), ALL).await.expect("loaded");
    assert_eq!(questions(&loaded), ["one", "the other"]);
    assert_eq!(loaded.newest.expect("the newest").1, 2);
}

/// What a file of the first release holds.
#[tokio::test]
async fn a_file_from_before_there_were_kinds_is_whole_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let turns: redb::TableDefinition<'_, (&str, &str, u64), &[u8]> = redb::TableDefinition::new("turns");
    let database = redb::Database::create(&path).expect("a database");
    let writing = database.begin_write().expect("a transaction");
    let said = r#"[{"role":"user","content":[{"text":"Hi"}]},{"role":"assistant","content":[{"text":"Hello"}]}]"#;
    let json = format!(r#"{{"at_ms":{},"messages":{said}}}"#, at(0).as_millisecond());
    let key = session("mine");
    writing.open_table(turns).expect("a table").insert((key.actor(), key.session(), 1), json.as_bytes()).expect("in");
    writing.commit().expect("committed");
    drop(database);
    let loaded = FileMemory::open(&path).expect("opened").load(&key, ALL).await.expect("loaded");
    assert_eq!(loaded.turns.len(), 1);
    assert_eq!(*loaded.turns[0].turn, turn("Hi", "Hello"));
    assert!(!loaded.turns[0].pinned && loaded.paused.is_none() && loaded.summary.is_none());
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

// === what takes the place of what ===

fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = prop_oneof![
        4 => (any::<bool>(), any::<bool>()).prop_map(|(pinned, resumed)| (0_u8, pinned, resumed)),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(pinned, resumed)| (1, pinned, resumed)),
        1 => Just((2, false, false)),
    ];
    prop::collection::vec(entry, 0..16).prop_map(|kinds| {
        let entries = (1_u64..).zip(kinds).map(|(number, (kind, pinned, resumed))| match kind {
            0 => Entry::Whole { turn: Arc::new(turn(&format!("turn {number}"), "Noted.")), pinned, resumed },
            1 => Entry::Paused { turn: Arc::new(waiting(&format!("turn {number}"))), pinned, resumed },
            _ => summary(number / 2, &format!("up to {}", number / 2), Vec::new()),
        });
        entries.collect()
    })
}

/// Which turns a session shows, by number, told apart from the code that decides it: by looking at each and at what
/// comes after it.
fn expected(entries: &[Entry]) -> Vec<u64> {
    let covers = covered(entries);
    let is_summary = |entry: &Entry| matches!(entry, Entry::Summary(_));
    let numbered: Vec<(u64, &Entry)> = (1..).zip(entries).filter(|(_, entry)| !is_summary(entry)).collect();
    let shown = numbered.iter().enumerate().filter(|(place, (number, entry))| {
        let next_resumes = match numbered.get(place + 1) {
            Some((_, Entry::Whole { resumed, .. } | Entry::Paused { resumed, .. })) => *resumed,
            _ => false,
        };
        let (is_paused, pinned) = match entry {
            Entry::Paused { pinned, .. } => (true, *pinned),
            Entry::Whole { pinned, .. } => (false, *pinned),
            Entry::Summary(_) | Entry::Note(_) => (false, false),
        };
        !(is_paused && next_resumes) && (pinned || *number > covers)
    });
    shown.map(|(_, (number, _))| *number).collect()
}

fn covered(entries: &[Entry]) -> u64 {
    let covers = entries.iter().map(|entry| match entry {
        Entry::Summary(summary) => summary.covers,
        _ => 0,
    });
    covers.max().unwrap_or(0)
}

#[tokio::test]
async fn a_note_is_read_as_it_was_written_last_and_is_no_conversation() {
    let (_folder, file) = file();
    let memories: [Arc<dyn SessionMemory>; 2] = [Arc::new(ProcessMemory::default()), Arc::new(file)];
    for memory in memories {
        let key = SessionKey::of_note(None, "task");
        let sessions = Sessions::new(Arc::clone(&memory), ALL, Activity::default());
        let mut note = sessions.note(key.clone()).await.expect("read");
        assert_eq!(note.text(), None);
        // Nobody waits for the first, and it comes first all the same.
        drop(sessions.keep(&mut note, "working".to_owned()));
        let mut writing = sessions.keep(&mut note, "done".to_owned());
        assert_eq!(writing.patiently().await, Stored::Already);
        // The end has been told, and can be waited for all the same.
        writing.ended().await;

        let others = Sessions::new(memory, ALL, Activity::default());
        let read = async |key| others.note(key).await.expect("read").text().map(str::to_owned);
        assert_eq!(read(key.clone()).await.as_deref(), Some("done"));
        assert_eq!(read(SessionKey::of_note(Some("somebody"), "task")).await, None, "it is another's");
        let session = others.open(key).await.expect("opened");
        assert!(session.earlier(ALL).known.is_empty() && session.paused().is_none());
    }
}

proptest! {
    #[test]
    fn whatever_was_kept_is_read_back_by_the_same_rules(entries in any_entries()) {
        use futures::FutureExt as _;
        let (memory, covers) = (ProcessMemory::default(), covered(&entries));
        for (number, entry) in (1..).zip(&entries) {
            let record = record(number, entry.clone());
            memory.append(&session("mine"), &record).now_or_never().expect("at once").expect("stored");
        }
        let loaded = memory.load(&session("mine"), ALL).now_or_never().expect("at once").expect("loaded");
        let read: Vec<u64> = loaded.turns.iter().map(|kept| kept.number).collect();
        // Where a summary tells all before, reading goes no further back, not even for a pin that the summary
        // should have carried.
        let mut expected = expected(&entries);
        expected.retain(|number| *number > covers || read.contains(number));
        prop_assert_eq!(&read, &expected);
        let last = (1..).zip(&entries).filter(|(_, entry)| !matches!(entry, Entry::Summary(_))).last();
        if let Some((number, last)) = last && number > covers {
            prop_assert_eq!(loaded.paused.is_some(), matches!(last, Entry::Paused { .. }));
        }
        crate::converse_rules::assert_can_go_on(loaded.turns.iter().flat_map(KeptTurn::messages));
    }
}
