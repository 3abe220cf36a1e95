//! A model made of models: it asks again, goes on where an answer broke off, and moves on to the next.
//!
//! [`Resilient`] asks its models in their order. Trouble that passes is waited out for a moment
//! ([`RetryPolicy`]); a model that keeps failing is left alone for a while ([`Breaker`]), and one that is
//! retired, unknown or denied at once, with one line in the log. An answer that breaks off in the middle
//! is gone on with from its own words, by the same model or the next, where that model can; the caller
//! sees one answer without a seam. Where it cannot be done, the answer ends with the error that broke it.
//!
//! Everything under way lives in the future or the stream that is returned: whoever drops it ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use tokio::time::sleep;

use super::bedrock::Bedrock;
use super::breaker::{Breaker, Failure, Permit};
use super::capabilities::Capabilities;
use super::retry::{Effort, RetryPolicy};
use super::seam::Seam;
use super::{
    Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest, ModelSize, Remedy, Served,
};
use crate::aws::Aws;
use crate::message::Usage;
use crate::settings::{ModelPlace, ModelSettings};
use crate::signal::measure;

/// Models in the order they are asked.
#[derive(Clone)]
pub struct Resilient {
    policy: RetryPolicy,
    /// The agent's own model and, after it, those that stand in.
    full: Vec<Arc<Candidate>>,
    /// Asked first for turns that need no more.
    small: Option<Arc<Candidate>>,
}

/// One of the models, and what is known of it.
pub struct Candidate {
    name: String,
    model: Arc<dyn Model>,
    breaker: Breaker,
    goes_on: AtomicBool,
    /// Whether the log has been told that it is retired, unknown or denied.
    reported: AtomicBool,
}

/// The way from model to model for one answer.
struct Search {
    order: Vec<Arc<Candidate>>,
    /// Whose turn it is, in `order`.
    at: usize,
    /// Where the model stands that the request is made for; those beside it only stand in.
    main: usize,
    effort: Effort,
    /// Why there is no answer yet.
    blame: Option<ModelError>,
}

/// A streamed answer while it is sought and passed on.
struct Answering {
    search: Search,
    request: ModelRequest,
    seam: Seam,
    attempt: Attempt,
}

/// How far the newest attempt is.
enum Attempt {
    /// The model may be asked.
    Due(Permit),
    /// It answers.
    Answering(Permit, ModelEvents),
    /// There will be no more: the answer is whole, or given up.
    Ended,
}

// === impl Resilient ===

impl Resilient {
    /// One model, asked again by `policy`.
    pub fn new(policy: RetryPolicy, model: Candidate) -> Self {
        Self { policy, full: vec![Arc::new(model)], small: None }
    }

    /// One more model that stands in when those before it fail.
    #[must_use]
    pub fn fallback(mut self, model: Candidate) -> Self {
        self.full.push(Arc::new(model));
        self
    }

    /// The model for [`ModelSize::Small`]; when it fails, the others stand in.
    #[must_use]
    pub fn small(mut self, model: Candidate) -> Self {
        self.small = Some(Arc::new(model));
        self
    }

    /// Bedrock's models as the settings name them. Nothing is connected yet. `aws` is the one of
    /// `AWS_REGION`; where a model is asked elsewhere, another is made of it.
    pub fn from_settings(settings: &ModelSettings, aws: &Arc<Aws>) -> Self {
        let candidate = |place: &ModelPlace| {
            let aws = if place.region == settings.region {
                Arc::clone(aws)
            } else {
                Arc::new(aws.in_region(place.region.clone()))
            };
            let name = place.name_beside(&settings.region);
            let goes_on = Capabilities::of(place.model_id.as_str()).goes_on;
            Candidate::new(name, Arc::new(Bedrock::of(&place.model_id, settings, aws)), goes_on)
        };
        let main = ModelPlace { model_id: settings.model_id.clone(), region: settings.region.clone() };
        let model = Self::new(settings.retry, candidate(&main));
        let model = settings.fallbacks.iter().fold(model, |model, place| model.fallback(candidate(place)));
        match &settings.small {
            Some(place) => model.small(candidate(place)),
            None => model,
        }
    }

    fn order(&self, size: ModelSize) -> (Vec<Arc<Candidate>>, usize) {
        let small = self.small.iter().filter(|_| size == ModelSize::Small);
        let order: Vec<_> = small.chain(&self.full).cloned().collect();
        let main = order.len() - self.full.len();
        (order, main)
    }

    fn search(&self, size: ModelSize) -> (Search, Permit) {
        let (order, main) = self.order(size);
        let effort = Effort::new(self.policy);
        let mut search = Search { order, at: 0, main, effort, blame: None };
        let permit = search.begin();
        (search, permit)
    }

    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let (mut search, mut permit) = self.search(request.size);
        loop {
            search.effort.begin_attempt();
            match search.candidate().model.converse(request).await {
                Ok(mut answer) => {
                    permit.succeeded();
                    answer.served = Some(search.served());
                    return Ok(answer);
                }
                Err(error) => permit = search.failed(permit, error, false).await?,
            }
        }
    }

    async fn ask_streaming(&self, request: &ModelRequest) -> Result<ModelEvents, ModelError> {
        let (search, permit) = self.search(request.size);
        let mut answering =
            Answering { search, request: request.clone(), seam: Seam::default(), attempt: Attempt::Due(permit) };
        answering.begin().await?;
        Ok(stream::unfold(answering, |mut answering| async move {
            let event = answering.next().await?;
            Some((event, answering))
        })
        .boxed())
    }
}

impl Model for Resilient {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(self.ask(request))
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(self.ask_streaming(request))
    }

    fn count_tokens<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        let first = self.small.as_ref().filter(|_| request.size == ModelSize::Small).unwrap_or(&self.full[0]);
        first.model.count_tokens(request)
    }
}

// === impl Candidate ===

impl Candidate {
    /// A model under the name it has in logs; `goes_on` is whether it can go on from the assistant's own
    /// words.
    pub fn new(name: impl Into<String>, model: Arc<dyn Model>, goes_on: bool) -> Self {
        Self {
            name: name.into(),
            model,
            breaker: Breaker::new(),
            goes_on: AtomicBool::new(goes_on),
            reported: AtomicBool::new(false),
        }
    }

    fn goes_on(&self) -> bool {
        self.goes_on.load(Ordering::Relaxed)
    }

    /// Tells the log, once, what somebody must mend.
    fn report(&self, error: &ModelError) {
        if !self.reported.swap(true, Ordering::Relaxed) {
            tracing::error!(error_type = error.name(), model = self.name, error = %error, "a model cannot be used");
        }
    }
}

// === impl Search ===

impl Search {
    fn candidate(&self) -> &Candidate {
        &self.order[self.at]
    }

    fn served(&self) -> Served {
        Served { model: self.candidate().name.clone(), attempts: self.effort.made() }
    }

    /// Goes to the first model that may be asked; when none may, to the one that is left alone for the
    /// shortest time still.
    fn begin(&mut self) -> Permit {
        self.enter(0, false).unwrap_or_else(|| {
            let soonest = self.order.iter().enumerate().min_by_key(|(_, model)| model.breaker.closed_until());
            self.at = soonest.map_or(self.main, |(place, _)| place);
            self.candidate().breaker.admit_anyway()
        })
    }

    /// Goes to the first model from that place on that may be asked and, where it must, can go on.
    fn enter(&mut self, from: usize, must_go_on: bool) -> Option<Permit> {
        let entered = self.order.iter().enumerate().skip(from).find_map(|(place, model)| {
            let can = !must_go_on || model.goes_on();
            can.then(|| model.breaker.admit()).flatten().map(|permit| (place, permit))
        });
        let (place, permit) = entered?;
        if place != self.at {
            self.at = place;
            self.effort.moved_on();
        }
        Some(permit)
    }

    /// Decides what follows a failure, and waits where it has to be waited; `must_go_on` says that words
    /// of the answer have been passed on. Gives leave to ask the model whose turn it is now.
    async fn failed(&mut self, permit: Permit, error: ModelError, must_go_on: bool) -> Result<Permit, ModelError> {
        self.effort.failed();
        let remedy = error.remedy();
        self.tell_breaker(permit, remedy, &error);
        if must_go_on && error.refuses_prefill() {
            // The model would not go on, whatever its table says: what broke the answer stays the reason.
            self.candidate().goes_on.store(false, Ordering::Relaxed);
        }
        let next = self.next(remedy, &error, must_go_on).await;
        let throttles = throttles(&error);
        let blame = worth_telling(self.blame.take(), error);
        if let Some(permit) = next {
            self.blame = Some(blame);
            return Ok(permit);
        }
        tracing::warn!(
            model = self.candidate().name,
            attempt = self.effort.made(),
            error_type = blame.name(),
            { measure::THROTTLES } = throttles,
            "no model answers"
        );
        Err(blame)
    }

    fn tell_breaker(&self, permit: Permit, remedy: Remedy, error: &ModelError) {
        match remedy {
            Remedy::AskAgain => permit.failed(Failure::Passing),
            Remedy::AskAnother => {
                self.candidate().report(error);
                permit.failed(Failure::Lasting);
            }
            // It says nothing about the model.
            Remedy::AskOtherwise | Remedy::Nothing => drop(permit),
        }
    }

    /// Whom to ask next, once it is time; none when the answer is given up.
    async fn next(&mut self, remedy: Remedy, error: &ModelError, must_go_on: bool) -> Option<Permit> {
        if !self.effort.has_time() {
            return None;
        }
        match remedy {
            Remedy::AskAgain => {
                // Another silence is more than anybody waits for, where there is another model.
                let silent = matches!(error, ModelError::Silent { .. });
                if silent && let Some(permit) = self.move_on(error, must_go_on) {
                    return Some(permit);
                }
                match self.ask_again(error, must_go_on).await {
                    Some(permit) => Some(permit),
                    None => self.move_on(error, must_go_on),
                }
            }
            Remedy::AskAnother => self.move_on(error, must_go_on),
            // A model that stands in may be too small for what its better was asked.
            Remedy::AskOtherwise if self.at != self.main || must_go_on => self.move_on(error, must_go_on),
            Remedy::AskOtherwise | Remedy::Nothing => None,
        }
    }

    async fn ask_again(&mut self, error: &ModelError, must_go_on: bool) -> Option<Permit> {
        if must_go_on && !self.candidate().goes_on() {
            return None;
        }
        let pause = self.effort.pause(error)?;
        if self.candidate().breaker.closed_until().is_some() && self.another_could(must_go_on) {
            return None;
        }
        tracing::warn!(
            model = self.candidate().name,
            attempt = self.effort.made(),
            wait_ms = milliseconds(pause),
            error_type = error.name(),
            error = %error,
            continuing = must_go_on,
            { measure::RETRIES } = 1,
            { measure::THROTTLES } = throttles(error),
            "asking the model again"
        );
        sleep(pause).await;
        Some(self.candidate().breaker.admit_anyway())
    }

    fn another_could(&self, must_go_on: bool) -> bool {
        let others = self.order.iter().skip(self.at + 1);
        others.into_iter().any(|model| model.breaker.closed_until().is_none() && (!must_go_on || model.goes_on()))
    }

    fn move_on(&mut self, error: &ModelError, must_go_on: bool) -> Option<Permit> {
        let from = self.at;
        let permit = self.enter(self.at + 1, must_go_on)?;
        tracing::warn!(
            model = self.candidate().name,
            instead_of = self.order[from].name,
            attempt = self.effort.made(),
            error_type = error.name(),
            continuing = must_go_on,
            { measure::FAILOVERS } = 1,
            { measure::THROTTLES } = throttles(error),
            "asking another model"
        );
        Some(permit)
    }
}

/// Which of two errors says more to who has to act: one that passes means "later", and a stand-in's own
/// trouble nothing beside it.
fn worth_telling(before: Option<ModelError>, now: ModelError) -> ModelError {
    match before {
        Some(before) if now.remedy() != Remedy::AskAgain => before,
        _ => now,
    }
}

/// What counts as a throttled call in the line that tells of it; none where it was something else.
fn throttles(error: &ModelError) -> Option<u32> {
    matches!(error, ModelError::Throttled { .. }).then_some(1)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// === impl Answering ===

impl Answering {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(event) = self.seam.next() {
                self.search.effort.progressed();
                return Some(Ok(event));
            }
            let went_on = match std::mem::replace(&mut self.attempt, Attempt::Ended) {
                Attempt::Due(permit) => self.ask(permit).await,
                Attempt::Answering(permit, events) => self.read(permit, events).await,
                Attempt::Ended => return None,
            };
            if let Err(error) = went_on {
                return Some(Err(error));
            }
        }
    }

    /// Asks until somebody begins to answer.
    async fn begin(&mut self) -> Result<(), ModelError> {
        loop {
            match std::mem::replace(&mut self.attempt, Attempt::Ended) {
                Attempt::Due(permit) => self.ask(permit).await?,
                begun => {
                    self.attempt = begun;
                    return Ok(());
                }
            }
        }
    }

    async fn ask(&mut self, permit: Permit) -> Result<(), ModelError> {
        self.search.effort.begin_attempt();
        let request = self.seam.ask(&self.request);
        let asked = self.search.candidate().model.converse_stream(&request).await;
        match asked {
            Ok(events) => {
                self.attempt = Attempt::Answering(permit, events);
                Ok(())
            }
            Err(error) => self.broke_off(permit, error).await,
        }
    }

    /// Takes the attempt's next event.
    async fn read(&mut self, permit: Permit, mut events: ModelEvents) -> Result<(), ModelError> {
        match events.next().await {
            Some(Ok(event)) => {
                let search = &self.search;
                self.seam.take(event, || search.served());
                if self.seam.is_over() {
                    permit.succeeded();
                } else {
                    self.attempt = Attempt::Answering(permit, events);
                }
                Ok(())
            }
            // The answer is whole; only the count of its tokens is lost.
            Some(Err(_)) | None if self.seam.has_stopped() => {
                self.seam.finish(Usage::UNKNOWN, Metrics::default(), None, self.search.served());
                permit.succeeded();
                Ok(())
            }
            Some(Err(error)) => {
                // The connection is of no more use while the next attempt waits.
                drop(events);
                self.broke_off(permit, error).await
            }
            None => {
                let reason = "it ended without a stop reason".to_owned();
                self.broke_off(permit, ModelError::BrokenStream { reason }).await
            }
        }
    }

    async fn broke_off(&mut self, permit: Permit, error: ModelError) -> Result<(), ModelError> {
        self.seam.broke_off();
        let permit = self.search.failed(permit, error, self.seam.has_words()).await?;
        self.attempt = Attempt::Due(permit);
        Ok(())
    }
}
