//! What an operator sees of the process: logs, traces, metrics.
//!
//! The log is always written. Traces, and what else OpenTelemetry knows, leave where [`destination`] says: to a
//! collector, to AWS, or nowhere, and then none of it is made. Nothing here keeps a turn or `/ping` waiting: what is
//! handed over goes through bounded [`queue`]s, and what does not fit is counted as lost.
//!
//! | room | job |
//! | --- | --- |
//! | [`logs`], [`embedded`] | lines of JSON; those that are metrics in CloudWatch |
//! | [`instruments`] | the same metrics, and those of calls to models, for OpenTelemetry |
//! | [`model`], [`memory`] | models and memories, watched |
//! | [`invocation`] | the span of an invocation and what became of it |
//! | [`propagation`], [`ids`] | the trace that a caller began; ids of our own |
//! | [`destination`], [`queue`], [`transport`], [`trouble`] | the way out |
//! | [`content`] | what was said, where an operator asks for it by name |

mod content;
mod destination;
mod embedded;
mod ids;
mod instruments;
pub(crate) mod invocation;
pub(crate) mod logs;
pub(crate) mod memory;
pub(crate) mod model;
mod propagation;
mod queue;
mod records;
mod transport;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use agentcore_core::model::residency::Region;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::time::timeout;

use self::content::Content;
use self::destination::{Destination, Exporters};
use self::instruments::Instruments;
use self::queue::Queue;
use self::records::Records;
use self::trouble::Trouble;

/// What this crate is called where signals name who made them.
const SCOPE: &str = "agentcore-runtime";

/// How AWS's console tells an agent from other services.
const SERVICE_TYPE: (&str, &str) = ("aws.service.type", "gen_ai_agent");

/// How often metrics are handed over.
const METRICS_INTERVAL: Duration = Duration::from_mins(1);

/// The way out for a process' signals. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Telemetry {
    instruments: Arc<Instruments>,
    content: Option<Content>,
    queues: Vec<Queue>,
    meters: Option<SdkMeterProvider>,
}

// === impl Telemetry ===

impl Telemetry {
    /// Begins to log, and to hand over what the environment asks for. Nothing is opened or asked for yet.
    pub(crate) fn begin(agent: &'static str, region: &Region, read: impl Fn(&str) -> Option<String>) -> Self {
        let destination = Destination::of(region, &read);
        let trouble = Arc::new(Trouble::default());
        let (exporters, refusal) = match destination.exporters(&trouble) {
            Ok(exporters) => (exporters, None),
            Err(refusal) => (None, Some(refusal)),
        };
        let telemetry = if let Some(exporters) = exporters {
            Self::handing_over(agent, exporters, &trouble, &read)
        } else {
            logs::begin(agent, None, None, Arc::default());
            Self::default()
        };
        if let Some(refusal) = refusal {
            tracing::error!(error_type = "Telemetry", error = %refusal, "traces and metrics cannot be handed over");
        }
        telemetry
    }

    fn handing_over(
        agent: &'static str,
        exporters: Exporters,
        trouble: &Arc<Trouble>,
        read: &impl Fn(&str) -> Option<String>,
    ) -> Self {
        let resource = resource(agent);
        let Exporters { spans, records, metrics, log_lines } = exporters;
        let mut queues = Vec::new();
        let (queue, processor) = queue::spans(spans, &resource, trouble);
        queues.push(queue);
        let tracers = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_id_generator(ids::Drawn)
            .with_span_processor(processor)
            .build();
        let records = records.map(|exporter| {
            let (queue, entrance) = queue::records(exporter, &resource, &records::scope(), trouble);
            queues.push(queue);
            Records::new(entrance)
        });
        let meters = metrics.map(|exporter| {
            use opentelemetry_sdk::metrics::PeriodicReader;
            let reader = PeriodicReader::builder(exporter).with_interval(METRICS_INTERVAL).build();
            SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build()
        });
        let instruments = match &meters {
            Some(meters) => Arc::new(Instruments::new(&meters.meter(SCOPE))),
            None => Arc::default(),
        };
        let content = records.clone().filter(|_| content::is_wanted(read)).map(Content::new);
        let lines = records.filter(|_| log_lines);
        logs::begin(agent, Some(tracers.tracer(SCOPE)), lines, Arc::clone(&instruments));
        Self { instruments, content, queues, meters }
    }

    /// What metrics of calls to models are counted with.
    pub(crate) fn instruments(&self) -> &Arc<Instruments> {
        &self.instruments
    }

    /// Where what was said goes, if anywhere.
    pub(crate) fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }

    /// Hands over what waits, `within` that time; what is not by then stays in its queue.
    pub(crate) async fn flush(&self, within: Duration) {
        let queues = futures::future::join_all(self.queues.iter().map(Queue::flush));
        let meters = self.meters.clone();
        // It waits for its own thread.
        let metrics = tokio::task::spawn_blocking(move || meters.map(|meters| meters.force_flush()));
        let _ = timeout(within, futures::future::join(queues, metrics)).await;
    }
}

/// Who makes the signals: as the environment says, which is the service's word, else by the agent's name.
fn resource(agent: &'static str) -> Resource {
    let by_name = KeyValue::new("service.name", agent);
    let by_type = KeyValue::new(SERVICE_TYPE.0, SERVICE_TYPE.1);
    Resource::builder_empty()
        .with_attributes([by_name, by_type])
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(std::env::var("OTEL_SERVICE_NAME").ok().map(|name| KeyValue::new("service.name", name)))
        .build()
}
