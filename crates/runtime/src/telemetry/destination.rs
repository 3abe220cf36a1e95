//! Where signals leave to, as the environment says.
//!
//! | environment | traces | metrics | log records |
//! | --- | --- | --- | --- |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, or one signal's own | there | there | there, every line |
//! | `AGENT_OBSERVABILITY_ENABLED=true`, as AgentCore sets it | X-Ray, signed | by log lines alone | CloudWatch Logs, signed, what was said alone, and only with `OTEL_EXPORTER_OTLP_LOGS_HEADERS` |
//! | neither, or `OTEL_SDK_DISABLED=true` | nowhere | by log lines alone | nowhere |
//!
//! On AgentCore standard error is in CloudWatch Logs already, so its lines are not sent a second time.

use std::sync::Arc;
use std::time::Duration;

use agentcore_core::aws::Aws;
use agentcore_core::aws::sigv4::SigV4;
use agentcore_core::model::residency::Region;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};

use super::transport::Transport;
use super::trouble::Trouble;

/// How long a batch may take to be accepted.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

/// Where signals leave to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// Nowhere.
    Nowhere,
    /// Where OpenTelemetry's own variables say.
    Collector,
    /// Amazon's doors for OpenTelemetry in a region.
    Amazon {
        /// The region.
        region: Region,
        /// Where traces go.
        traces: String,
        /// Where records of what was said go, where there is a place for them.
        records: Option<String>,
    },
}

/// What hands signals over.
pub(super) struct Exporters {
    pub(super) spans: SpanExporter,
    pub(super) records: Option<LogExporter>,
    pub(super) metrics: Option<MetricExporter>,
    /// Whether every line of the log is a record too.
    pub(super) log_lines: bool,
}

// === impl Destination ===

impl Destination {
    /// Reads the environment.
    pub(super) fn of(region: &Region, read: &impl Fn(&str) -> Option<String>) -> Self {
        const COLLECTOR: [&str; 4] = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        ];
        let is = |name: &str| read(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let set = |name: &str| read(name).filter(|value| !value.trim().is_empty());
        if is("OTEL_SDK_DISABLED") {
            Self::Nowhere
        } else if COLLECTOR.iter().any(|name| set(name).is_some()) {
            Self::Collector
        } else if is("AGENT_OBSERVABILITY_ENABLED") {
            let door = |service: &str, variable: &str, path: &str| {
                let host =
                    set(variable).unwrap_or_else(|| format!("https://{service}.{}.amazonaws.com", region.as_str()));
                format!("{}{path}", host.trim_end_matches('/'))
            };
            Self::Amazon {
                region: region.clone(),
                traces: door("xray", "AWS_ENDPOINT_URL_XRAY", "/v1/traces"),
                records: set("OTEL_EXPORTER_OTLP_LOGS_HEADERS")
                    .map(|_group_and_stream| door("logs", "AWS_ENDPOINT_URL_LOGS", "/v1/logs")),
            }
        } else {
            Self::Nowhere
        }
    }

    /// Makes what hands signals over; none where they go nowhere.
    pub(super) fn exporters(&self, trouble: &Arc<Trouble>) -> Result<Option<Exporters>, ExporterBuildError> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Collector => {
                let transport = Transport::unsigned(ACCEPTED_WITHIN, trouble);
                Ok(Some(Exporters {
                    spans: SpanExporter::builder().with_http().with_http_client(transport.clone()).build()?,
                    records: Some(LogExporter::builder().with_http().with_http_client(transport.clone()).build()?),
                    metrics: Some(MetricExporter::builder().with_http().with_http_client(transport).build()?),
                    log_lines: true,
                }))
            }
            Self::Amazon { region, traces, records } => {
                let aws = Arc::new(Aws::new(region.clone()));
                let signed = |service: &str| {
                    let signature = SigV4::new(Arc::clone(&aws)).service(service);
                    Transport::signed(signature, ACCEPTED_WITHIN, trouble)
                };
                let spans = SpanExporter::builder().with_http().with_http_client(signed("xray")).with_endpoint(traces);
                let records = records.as_ref().map(|endpoint| {
                    LogExporter::builder().with_http().with_http_client(signed("logs")).with_endpoint(endpoint).build()
                });
                let (spans, records) = (spans.build()?, records.transpose()?);
                Ok(Some(Exporters { spans, records, metrics: None, log_lines: false }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use agentcore_core::model::residency::Residency;

    use super::*;

    fn destination(set: &[(&str, &str)]) -> Destination {
        let region = Region::parse("eu-west-1", Residency::Eu).expect("a region");
        let read = |name: &str| set.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        Destination::of(&region, &read)
    }

    #[test]
    fn nothing_leaves_unless_somebody_says_where_to() {
        assert_eq!(destination(&[]), Destination::Nowhere);
        assert_eq!(destination(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Destination::Nowhere);
        assert_eq!(destination(&[("AGENT_OBSERVABILITY_ENABLED", "false")]), Destination::Nowhere);
    }

    #[test]
    fn a_collector_that_is_named_comes_before_amazon() {
        let both = [("AGENT_OBSERVABILITY_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")];
        assert_eq!(destination(&both), Destination::Collector);
        assert_eq!(destination(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h/x")]), Destination::Collector);
    }

    #[test]
    fn on_agentcore_traces_go_to_x_ray_and_what_was_said_to_logs_where_there_is_a_place() {
        let region = Region::parse("eu-west-1", Residency::Eu).expect("a region");
        let traces = "https://xray.eu-west-1.amazonaws.com/v1/traces".to_owned();
        let amazon = |records| Destination::Amazon { region: region.clone(), traces: traces.clone(), records };
        assert_eq!(destination(&[("AGENT_OBSERVABILITY_ENABLED", "true")]), amazon(None));
        let logs = ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-aws-log-group=g,x-aws-log-stream=s");
        let records = Some("https://logs.eu-west-1.amazonaws.com/v1/logs".to_owned());
        assert_eq!(destination(&[("AGENT_OBSERVABILITY_ENABLED", "true"), logs]), amazon(records));
    }

    #[test]
    fn what_switches_opentelemetry_off_switches_all_of_it_off() {
        let off = [("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")];
        assert_eq!(destination(&off), Destination::Nowhere);
    }
}
