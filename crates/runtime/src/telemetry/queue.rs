//! Signals that wait to be handed over, as many as there is room for, and whoever hands them over.
//!
//! OpenTelemetry's own batch processors drop what does not fit and keep to themselves how much; and each has a thread.
//! Here one task a queue waits on the runtime that turns run on, and whatever is lost is counted.

use std::sync::Arc;
use std::time::Duration;

use agentcore_core::signal::attribute;
use futures::future::BoxFuture;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::Span as _;
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{LogExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _, SdkLogRecord};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::trouble::Trouble;

/// How many signals wait at the most: OpenTelemetry's own default.
const ROOM: usize = 2_048;

/// How many are handed over at once: OpenTelemetry's own default.
const BATCH: usize = 512;

/// How long the first of a batch waits for others. A laptop's viewer should be quick, and a batch a second is little.
const GATHER: Duration = Duration::from_secs(1);

/// The way to flush a queue. Clones are the same queue.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::Sender<oneshot::Sender<()>>);

/// Where signals enter.
#[derive(Debug)]
pub(super) struct Entrance<T> {
    signals: mpsc::Sender<T>,
    trouble: Arc<Trouble>,
}

/// Where they leave.
struct Exit<T> {
    signals: mpsc::Receiver<T>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    trouble: Arc<Trouble>,
    hand_over: HandOver<T>,
}

/// Hands a batch over.
type HandOver<T> = Box<dyn Fn(Vec<T>) -> BoxFuture<'static, OTelSdkResult> + Send + Sync>;

/// A line and who wrote it.
pub(super) type Record = (SdkLogRecord, InstrumentationScope);

/// A queue of spans.
pub(super) fn spans(mut exporter: SpanExporter, resource: &Resource, trouble: &Arc<Trouble>) -> (Queue, SpanEntrance) {
    exporter.set_resource(resource);
    let exporter = Arc::new(exporter);
    let (queue, entrance) = open(trouble, move |spans| {
        let exporter = Arc::clone(&exporter);
        Box::pin(async move { exporter.export(spans).await })
    });
    (queue, SpanEntrance(entrance))
}

/// A queue of log records.
pub(super) fn records(
    mut exporter: LogExporter,
    resource: &Resource,
    trouble: &Arc<Trouble>,
) -> (Queue, Entrance<Record>) {
    exporter.set_resource(resource);
    let exporter = Arc::new(exporter);
    open(trouble, move |records: Vec<Record>| {
        let exporter = Arc::clone(&exporter);
        Box::pin(async move {
            let batch: Vec<_> = records.iter().map(|(record, scope)| (record, scope)).collect();
            exporter.export(LogBatch::new(&batch)).await
        })
    })
}

fn open<T: Send + 'static>(
    trouble: &Arc<Trouble>,
    hand_over: impl Fn(Vec<T>) -> BoxFuture<'static, OTelSdkResult> + Send + Sync + 'static,
) -> (Queue, Entrance<T>) {
    let (entrance, signals) = mpsc::channel(ROOM);
    let (flush, flushes) = mpsc::channel(1);
    let exit = Exit { signals, flushes, trouble: Arc::clone(trouble), hand_over: Box::new(hand_over) };
    tokio::spawn(exit.serve());
    (Queue(flush), Entrance { signals: entrance, trouble: Arc::clone(trouble) })
}

// === impl Queue ===

impl Queue {
    /// Waits until everything that waits now has been handed over, or is lost.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.0.send(done).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

// === impl Entrance ===

impl<T> Entrance<T> {
    /// Puts one in, if there is room. Never waits.
    pub(super) fn put(&self, signal: T) {
        if self.signals.try_send(signal).is_err() {
            self.trouble.lost(1);
        }
    }
}

// === impl Exit ===

impl<T: Send> Exit<T> {
    async fn serve(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let flushed = tokio::select! {
                first = self.signals.recv() => match first {
                    Some(first) => {
                        batch.push(first);
                        self.gather(&mut batch).await
                    }
                    None => return,
                },
                Some(flushed) = self.flushes.recv() => Some(flushed),
            };
            self.leave(&mut batch).await;
            if let Some(flushed) = flushed {
                while let Ok(signal) = self.signals.try_recv() {
                    batch.push(signal);
                    if batch.len() == BATCH {
                        self.leave(&mut batch).await;
                    }
                }
                self.leave(&mut batch).await;
                let _ = flushed.send(());
            }
        }
    }

    /// Fills the batch, until it is full, or its first has waited long enough, or somebody asks for it.
    async fn gather(&mut self, batch: &mut Vec<T>) -> Option<oneshot::Sender<()>> {
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH {
            let left = BATCH - batch.len();
            tokio::select! {
                came = timeout_at(until, self.signals.recv_many(batch, left)) => {
                    if !matches!(came, Ok(1..)) {
                        return None;
                    }
                }
                Some(flushed) = self.flushes.recv() => return Some(flushed),
            }
        }
        None
    }

    async fn leave(&self, batch: &mut Vec<T>) {
        if batch.is_empty() {
            return;
        }
        let signals = std::mem::replace(batch, Vec::with_capacity(BATCH));
        let count = signals.len() as u64;
        if (self.hand_over)(signals).await.is_err() {
            self.trouble.lost(count);
        }
    }
}

/// Where spans enter when they end. When they begin, they are told their session.
#[derive(Debug)]
pub(super) struct SpanEntrance(Entrance<SpanData>);

impl SpanProcessor for SpanEntrance {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if let Some(session) = context.baggage().get(attribute::SESSION) {
            span.set_attribute(KeyValue::new(attribute::SESSION, session.to_string()));
        }
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.0.put(span);
        }
    }

    /// Whoever flushes waits at [`Queue::flush`], not on a thread.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _within: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn what_finds_no_room_is_lost_and_counted_and_keeps_nobody_waiting() {
        let trouble = Arc::new(Trouble::default());
        let (_queue, entrance) = open::<usize>(&trouble, |_| Box::pin(std::future::pending()));
        (0..ROOM).for_each(|signal| entrance.put(signal));
        assert_eq!(trouble.not_told(), 0);
        (0..10).for_each(|signal| entrance.put(signal));
        assert_eq!(trouble.not_told(), 9, "the first was told at once, the others wait for their minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_waits_for_no_clock_and_hands_over_all_in_batches() {
        let batches = Arc::new(Mutex::new(Vec::new()));
        let handed = Arc::clone(&batches);
        let (queue, entrance) = open::<usize>(&Arc::default(), move |signals| {
            handed.lock().expect("no panic").push(signals);
            Box::pin(async { Ok(()) })
        });
        (0..1_200).for_each(|signal| entrance.put(signal));
        let began = Instant::now();
        queue.flush().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        let batches = batches.lock().expect("no panic");
        assert!(
            batches.iter().all(|batch| batch.len() <= BATCH),
            "{:?}",
            batches.iter().map(Vec::len).collect::<Vec<_>>()
        );
        assert_eq!(batches.concat(), (0..1_200).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_refused_is_lost_and_those_after_it_are_not() {
        let trouble = Arc::new(Trouble::default());
        let (queue, entrance) = open::<usize>(&trouble, |signals| {
            let refused = opentelemetry_sdk::error::OTelSdkError::InternalFailure("refused".into());
            Box::pin(async move { if signals[0] == 0 { Err(refused) } else { Ok(()) } })
        });
        for batch in [0, 1, 0] {
            entrance.put(batch);
            queue.flush().await;
        }
        assert_eq!(trouble.not_told(), 1, "of two that are lost one was told");
    }
}
