//! Signals that wait to be handed over, as many as there is room for, and whoever hands them over.
//!
//! OpenTelemetry's own batch processors drop what does not fit and keep to themselves how much; and each has a thread.
//! Here one task a queue waits on the runtime that turns run on, and whatever is lost is counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep;

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
    waiting: Arc<Waiting<T>>,
    trouble: Arc<Trouble>,
}

/// What waits. Whoever hands it over is woken when there is something at all and when there is a batch, not by each
/// signal: waking a thread costs more than making a span.
#[derive(Debug)]
struct Waiting<T> {
    signals: Mutex<Vec<T>>,
    something: Notify,
    a_batch: Notify,
}

/// Where they leave.
struct Exit<T> {
    waiting: Arc<Waiting<T>>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    trouble: Arc<Trouble>,
    hand_over: HandOver<T>,
}

/// Hands a batch over.
type HandOver<T> = Box<dyn Fn(Vec<T>) -> BoxFuture<'static, OTelSdkResult> + Send + Sync>;

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

/// A queue of log records, which are all of one scope.
pub(super) fn records(
    mut exporter: LogExporter,
    resource: &Resource,
    scope: &InstrumentationScope,
    trouble: &Arc<Trouble>,
) -> (Queue, Entrance<SdkLogRecord>) {
    exporter.set_resource(resource);
    let (exporter, scope) = (Arc::new(exporter), Arc::new(scope.clone()));
    open(trouble, move |records: Vec<SdkLogRecord>| {
        let (exporter, scope) = (Arc::clone(&exporter), Arc::clone(&scope));
        Box::pin(async move {
            let batch: Vec<_> = records.iter().map(|record| (record, &*scope)).collect();
            exporter.export(LogBatch::new(&batch)).await
        })
    })
}

fn open<T: Send + 'static>(
    trouble: &Arc<Trouble>,
    hand_over: impl Fn(Vec<T>) -> BoxFuture<'static, OTelSdkResult> + Send + Sync + 'static,
) -> (Queue, Entrance<T>) {
    let (flush, flushes) = mpsc::channel(1);
    let waiting = Arc::new(Waiting { signals: Mutex::default(), something: Notify::new(), a_batch: Notify::new() });
    let exit =
        Exit { waiting: Arc::clone(&waiting), flushes, trouble: Arc::clone(trouble), hand_over: Box::new(hand_over) };
    tokio::spawn(exit.serve());
    (Queue(flush), Entrance { waiting, trouble: Arc::clone(trouble) })
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
        if !self.waiting.put(signal) {
            self.trouble.lost(1);
        }
    }
}

// === impl Waiting ===

impl<T> Waiting<T> {
    /// Whether there was room for it.
    fn put(&self, signal: T) -> bool {
        let mut signals = self.signals();
        if signals.len() >= ROOM {
            return false;
        }
        signals.push(signal);
        match signals.len() {
            1 => self.something.notify_one(),
            BATCH => self.a_batch.notify_one(),
            _ => {}
        }
        true
    }

    /// The first that wait, a batch at the most; none where nothing waits.
    fn take(&self) -> Option<Vec<T>> {
        let mut signals = self.signals();
        let until = signals.len().min(BATCH);
        let later = signals.split_off(until);
        let batch = std::mem::replace(&mut *signals, later);
        (!batch.is_empty()).then_some(batch)
    }

    fn signals(&self) -> MutexGuard<'_, Vec<T>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Exit ===

impl<T: Send> Exit<T> {
    async fn serve(mut self) {
        loop {
            let asked = tokio::select! {
                () = self.waiting.something.notified() => self.gather().await,
                Some(asked) = self.flushes.recv() => Some(asked),
            };
            while let Some(batch) = self.waiting.take() {
                let count = batch.len() as u64;
                if (self.hand_over)(batch).await.is_err() {
                    self.trouble.lost(count);
                }
            }
            if let Some(asked) = asked {
                let _ = asked.send(());
            }
        }
    }

    /// Waits until there is a batch, or the first of it has waited long enough, or somebody asks for it.
    async fn gather(&mut self) -> Option<oneshot::Sender<()>> {
        tokio::select! {
            () = sleep(GATHER) => None,
            () = self.waiting.a_batch.notified() => None,
            Some(asked) = self.flushes.recv() => Some(asked),
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
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tokio::time::Instant;

    use super::super::transport::Transport;
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

    /// The library that hands over tries a few times, and waits in between: on the clock of this runtime, which stands
    /// still here but for those who wait, and not by putting the thread to sleep that turns run on.
    #[tokio::test(start_paused = true)]
    async fn pauses_between_attempts_hold_up_nobody() {
        let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("its address");
        let trouble = Arc::new(Trouble::default());
        let transport = Transport::unsigned(Duration::from_secs(10), &trouble);
        let exporter = SpanExporter::builder().with_http().with_http_client(transport);
        let exporter = exporter.with_endpoint(format!("http://{nobody}/v1/traces")).build().expect("an exporter");
        let (queue, entrance) = spans(exporter, &Resource::builder_empty().build(), &trouble);
        let tracers = SdkTracerProvider::builder().with_span_processor(entrance).build();
        tracers.tracer("a turn").start("a span").end();

        let (began, really_began) = (Instant::now(), std::time::Instant::now());
        queue.flush().await;

        let (waited, slept) = (began.elapsed(), really_began.elapsed());
        assert!(waited >= Duration::from_millis(700), "three pauses were to come, and it took {waited:?}");
        assert!(slept < Duration::from_millis(700), "a thread slept through pauses of {waited:?}");
    }
}
