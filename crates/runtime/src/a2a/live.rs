//! A task that is worked on: what there is of it so far, for as many as want to be told.
//!
//! Everybody who is told reads from the same words at their own pace, so one who reads slowly, or has gone, holds up
//! neither the turn nor the others, and nothing waits in a queue for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use a2a::{Part, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent};
use agentcore_core::drive::TurnEvent;
use agentcore_core::memory::note::Note;
use agentcore_core::model::{BlockDelta, ModelEvent};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::record::{Record, artifact, data, status};
use crate::failure::Failure;
use crate::invocation::Answered;

/// A task that is worked on.
pub(super) struct Live {
    progress: Mutex<Progress>,
    changes: watch::Sender<()>,
    cut: CancellationToken,
}

/// How far it is.
struct Progress {
    record: Record,
    /// How many messages the model has begun. Of several the last is the answer, and takes the place of those before.
    message: u64,
    /// The words of that message.
    words: String,
    /// The answer as a type.
    output: Option<Value>,
    /// How many words of tools there were, and the last.
    reports: u64,
    report: Option<TaskStatus>,
    is_over: bool,
    /// Where it is kept, for whoever changes it next, once it is over.
    note: Option<Note>,
}

/// What one client has been told of a task.
pub(super) struct Telling {
    live: Arc<Live>,
    changes: watch::Receiver<()>,
    /// The task as it was when the telling began.
    first: Option<Task>,
    message: u64,
    /// How many bytes of the message's words.
    words: usize,
    reports: u64,
    is_over: bool,
}

/// One thing that is told of a task.
pub(super) struct Told {
    pub(super) event: StreamResponse,
    pub(super) last: bool,
}

// === impl Live ===

impl Live {
    /// A task whose turn ends when `cut` is cancelled.
    pub(super) fn new(record: Record, cut: CancellationToken) -> Self {
        let progress = Progress {
            record,
            message: 0,
            words: String::new(),
            output: None,
            reports: 0,
            report: None,
            is_over: false,
            note: None,
        };
        Self { progress: Mutex::new(progress), changes: watch::Sender::default(), cut }
    }

    /// One that nobody here works on.
    pub(super) fn of_the_past(record: Record) -> Self {
        let live = Self::new(record, CancellationToken::new());
        live.finish(None);
        live
    }

    /// Cuts its turn.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Takes in what happens in its turn.
    pub(super) fn hear(&self, event: TurnEvent) {
        self.change(|progress| match event {
            TurnEvent::Model(ModelEvent::MessageStart { .. }) => progress.begin_message(),
            TurnEvent::Model(ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(words), .. }) => {
                progress.words.push_str(&words);
            }
            TurnEvent::Model(_) => {}
            TurnEvent::Progress(word) => {
                let said = progress.record.said(vec![Part::text(format!("{}: {}", word.name, word.message))]);
                progress.reports += 1;
                progress.report = Some(status(TaskState::Working, Some(said)));
            }
        });
    }

    /// Takes in the answer, which is told when the task is [over](Self::finish).
    pub(super) fn answer(&self, answered: Answered) {
        self.change(|progress| {
            progress.settle(&answered.message.text());
            progress.output.clone_from(&answered.output);
            progress.record.task.artifacts = progress.artifact();
            progress.record.answer(answered);
        });
    }

    /// Takes in that there is none.
    pub(super) fn fail(&self, failure: &Failure, request_id: &str) {
        self.change(|progress| {
            progress.record.task.artifacts = progress.artifact();
            progress.record.fail(failure, request_id);
        });
    }

    /// Takes in that its client has ended it.
    pub(super) fn cancel(&self) {
        self.change(|progress| {
            progress.record.task.artifacts = progress.artifact();
            progress.record.end(TaskState::Canceled, None);
        });
    }

    /// Nothing more is to come: it is stored, or will be.
    pub(super) fn finish(&self, note: Option<Note>) {
        self.change(|progress| {
            progress.is_over = true;
            progress.note = note;
        });
    }

    /// The note of a task that is over, once.
    pub(super) fn take_note(&self) -> Option<Note> {
        self.progress().note.take()
    }

    pub(super) fn is_over(&self) -> bool {
        self.progress().is_over
    }

    /// Whether its turn was cut.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// The task as it stands.
    pub(super) fn record(&self) -> Record {
        self.progress().shown()
    }

    /// Waits until it is over, one way or another.
    pub(super) async fn over(&self) {
        let mut changes = self.changes.subscribe();
        // The sender is ours and lives as long as we do.
        while !self.progress().is_over && changes.changed().await.is_ok() {}
    }

    /// Tells of it from now on, after how it stands.
    pub(super) fn tell(self: &Arc<Self>, history_length: Option<i32>) -> Telling {
        let changes = self.changes.subscribe();
        let progress = self.progress();
        Telling {
            live: Arc::clone(self),
            changes,
            first: Some(progress.shown().shown(history_length)),
            message: progress.message,
            words: progress.words.len(),
            reports: progress.reports,
            is_over: progress.is_over,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress());
        self.changes.send_replace(());
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Progress ===

impl Progress {
    fn begin_message(&mut self) {
        self.message += 1;
        self.words.clear();
    }

    /// Makes the words those of the answer, which are others where it was not streamed.
    fn settle(&mut self, answer: &str) {
        let rest = answer.strip_prefix(self.words.as_str());
        if rest.is_none() {
            self.begin_message();
        }
        self.words.push_str(rest.unwrap_or(answer));
    }

    /// The answer so far.
    fn artifact(&self) -> Option<Vec<a2a::Artifact>> {
        let words = (!self.words.is_empty()).then(|| Part::text(&self.words));
        let parts: Vec<Part> = words.into_iter().chain(self.output.clone().map(data)).collect();
        (!parts.is_empty()).then(|| vec![artifact(parts)])
    }

    fn shown(&self) -> Record {
        let mut record = self.record.clone();
        if record.is_under_way() {
            record.task.artifacts = self.artifact();
            if let Some(report) = &self.report {
                record.task.status = report.clone();
            }
        }
        record
    }
}

// === impl Telling ===

impl Telling {
    /// What comes next; nothing after the end.
    pub(super) async fn next(&mut self) -> Option<Told> {
        if let Some(task) = self.first.take() {
            return Some(Told { event: StreamResponse::Task(task), last: self.is_over });
        }
        while !self.is_over {
            if let Some(told) = self.news() {
                return Some(told);
            }
            self.changes.changed().await.ok()?;
        }
        None
    }

    fn news(&mut self) -> Option<Told> {
        let live = Arc::clone(&self.live);
        let progress = live.progress();
        if progress.message != self.message && !(progress.words.is_empty() && progress.is_over) {
            self.message = progress.message;
            self.words = 0;
        }
        if progress.words.len() > self.words {
            return Some(self.said(&progress));
        }
        if progress.reports > self.reports
            && let Some(report) = &progress.report
        {
            self.reports = progress.reports;
            return Some(status_update(&progress.record, report.clone(), false));
        }
        self.is_over = progress.is_over;
        progress.is_over.then(|| status_update(&progress.record, progress.record.task.status.clone(), true))
    }

    /// The words that are new.
    fn said(&mut self, progress: &Progress) -> Told {
        let append = self.words > 0;
        let mut parts = vec![Part::text(&progress.words[self.words..])];
        self.words = progress.words.len();
        if progress.is_over {
            parts.extend(progress.output.clone().map(data));
        }
        let Task { id, context_id, .. } = &progress.record.task;
        let event = StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
            task_id: id.clone(),
            context_id: context_id.clone(),
            artifact: artifact(parts),
            append: Some(append),
            last_chunk: Some(progress.is_over),
            metadata: None,
        });
        Told { event, last: false }
    }
}

fn status_update(record: &Record, status: TaskStatus, last: bool) -> Told {
    let Task { id, context_id, metadata, .. } = &record.task;
    let metadata = metadata.clone().filter(|_| last);
    let (task_id, context_id) = (id.clone(), context_id.clone());
    Told { event: StreamResponse::StatusUpdate(TaskStatusUpdateEvent { task_id, context_id, status, metadata }), last }
}

#[cfg(test)]
mod tests {
    use agentcore_core::guard::Safety;
    use agentcore_core::message::{Message, Role, StopReason, Usage};
    use agentcore_core::tool::ToolProgress;
    use futures::FutureExt as _;

    use super::super::version::Version;
    use super::*;

    fn live() -> Arc<Live> {
        let mut record = Record::begin("context".to_owned(), "session".to_owned());
        record.task.id = "task".to_owned();
        Arc::new(Live::new(record, CancellationToken::new()))
    }

    fn begins() -> TurnEvent {
        TurnEvent::Model(ModelEvent::MessageStart { role: Role::Assistant })
    }

    fn says(words: &str) -> TurnEvent {
        let delta = BlockDelta::Text(words.to_owned());
        TurnEvent::Model(ModelEvent::ContentBlockDelta { content_block_index: 0, delta })
    }

    fn hears<const COUNT: usize>(live: &Live, events: [TurnEvent; COUNT]) {
        for event in events {
            live.hear(event);
        }
    }

    fn answered(words: &str) -> Answered {
        Answered {
            message: Message::assistant(words.to_owned()),
            session_id: "session".to_owned(),
            stop_reason: StopReason::EndTurn,
            usage: Usage::default(),
            safety: Safety::default(),
            output: None,
            questions: Vec::new(),
        }
    }

    /// What there is to tell by now, in few words.
    fn told(telling: &mut Telling) -> String {
        let mut lines = Vec::new();
        while let Some(Some(Told { event, last })) = telling.next().now_or_never() {
            let mut told = Version::Older.told(&event, last);
            for member in ["taskId", "contextId", "metadata"] {
                told.as_object_mut().expect("members").remove(member);
            }
            let state = told["status"]["state"].clone();
            let said = told["status"]["message"]["parts"][0]["text"].clone();
            lines.push(match told["kind"].as_str() {
                Some("artifact-update") => {
                    format!("{} append={} last={}", told["artifact"]["parts"], told["append"], told["lastChunk"])
                }
                Some("status-update") => format!("{state} {said} final={}", told["final"]),
                _ => format!("task {state} {}", told["artifacts"][0]["parts"]),
            });
        }
        lines.join("\n")
    }

    #[test]
    fn words_are_told_as_they_come_and_the_state_at_the_end() {
        let live = live();
        let mut telling = live.tell(None);
        hears(&live, [begins(), says("Good "), says("morning")]);
        insta::assert_snapshot!(told(&mut telling), @r#"
        task "working" null
        [{"kind":"text","text":"Good morning"}] append=false last=false
        "#);
        live.hear(says("."));
        live.answer(answered("Good morning."));
        live.finish(None);
        insta::assert_snapshot!(told(&mut telling), @r#"
        [{"kind":"text","text":"."}] append=true last=true
        "completed" null final=true
        "#);
    }

    #[test]
    fn who_comes_later_is_told_how_it_stands_and_then_the_rest() {
        let live = live();
        hears(&live, [begins(), says("Good ")]);
        let mut telling = live.tell(None);
        live.hear(says("morning."));
        live.answer(answered("Good morning."));
        live.finish(None);
        insta::assert_snapshot!(told(&mut telling), @r#"
        task "working" [{"kind":"text","text":"Good "}]
        [{"kind":"text","text":"morning."}] append=true last=true
        "completed" null final=true
        "#);
        insta::assert_snapshot!(told(&mut live.tell(None)), @r#"task "completed" [{"kind":"text","text":"Good morning."}]"#);
    }

    #[test]
    fn the_last_message_is_the_answer_whatever_was_said_before_a_tool() {
        let live = live();
        let mut telling = live.tell(None);
        hears(&live, [begins(), says("Let me see.")]);
        told(&mut telling);
        let word = ToolProgress { tool_use_id: "1".into(), name: "look_up".into(), message: "looking".into() };
        live.hear(TurnEvent::Progress(word));
        hears(&live, [begins(), says("An apple.")]);
        live.answer(answered("An apple."));
        live.finish(None);
        insta::assert_snapshot!(told(&mut telling), @r#"
        [{"kind":"text","text":"An apple."}] append=false last=true
        "working" "look_up: looking" final=false
        "completed" null final=true
        "#);
    }

    #[test]
    fn an_answer_that_was_not_streamed_is_told_at_the_end() {
        let live = live();
        let mut telling = live.tell(None);
        let output = Some(serde_json::json!({ "kcal": 52 }));
        live.answer(Answered { output, ..answered(r#"{"kcal":52}"#) });
        live.finish(None);
        insta::assert_snapshot!(told(&mut telling), @r#"
        task "working" null
        [{"kind":"text","text":"{\"kcal\":52}"},{"kind":"data","data":{"kcal":52}}] append=false last=true
        "completed" null final=true
        "#);
    }

    #[test]
    fn a_failure_ends_it_with_the_sentence() {
        let live = live();
        let mut telling = live.tell(None);
        hears(&live, [begins(), says("Good ")]);
        live.fail(&Failure::internal(), "request");
        live.finish(None);
        insta::assert_snapshot!(told(&mut telling), @r#"
        task "working" null
        [{"kind":"text","text":"Good "}] append=false last=true
        "failed" "The agent failed unexpectedly. Please try again." final=true
        "#);
    }
}
