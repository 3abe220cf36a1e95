//! Metrics for OpenTelemetry: those that lines of the log are, and those of calls to models.

use std::time::Duration;

use agentcore_core::message::Usage;
use agentcore_core::signal::{MEASURES, PROVIDER, Unit, attribute, instrument, span};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use serde_json::{Map, Value};

/// Boundaries of seconds as the conventions for generative AI want them.
const SECONDS: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Boundaries of tokens as they want them.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// What is counted with; nothing where metrics do not leave.
#[derive(Default)]
pub(crate) struct Instruments {
    of_lines: Vec<(&'static str, &'static [&'static str], OfLine)>,
    of_models: Option<OfModels>,
}

/// Counts what a line's member says.
enum OfLine {
    Things(Counter<f64>),
    Time(Histogram<f64>),
}

struct OfModels {
    duration: Histogram<f64>,
    tokens: Histogram<u64>,
    first_token: Histogram<f64>,
}

/// A call to a model that is over.
pub(crate) struct ModelCalled<'a> {
    /// The model that was asked for.
    pub(crate) requested: &'a str,
    /// The model that answered, where one did.
    pub(crate) answered: Option<&'a str>,
    /// How long it took.
    pub(crate) duration: Duration,
    /// How long the first token took, of a streamed answer.
    pub(crate) first_token: Option<Duration>,
    /// Tokens counted.
    pub(crate) usage: Option<Usage>,
    /// The kind of error.
    pub(crate) error: Option<&'static str>,
}

// === impl Instruments ===

impl Instruments {
    /// Instruments of a meter.
    pub(super) fn new(meter: &Meter) -> Self {
        let of_lines = MEASURES.iter().filter_map(|measure| {
            let name = measure.instrument?;
            let instrument = match measure.unit {
                Unit::Count => OfLine::Things(meter.f64_counter(name).with_unit("{count}").build()),
                Unit::Usd => OfLine::Things(meter.f64_counter(name).with_unit("USD").build()),
                Unit::Milliseconds => OfLine::Time(seconds(meter, name)),
            };
            Some((measure.name, measure.dimensions, instrument))
        });
        let tokens = meter.u64_histogram(instrument::TOKENS).with_unit("{token}").with_boundaries(TOKENS.to_vec());
        let of_models = OfModels {
            duration: seconds(meter, instrument::DURATION),
            tokens: tokens.build(),
            first_token: seconds(meter, instrument::FIRST_TOKEN),
        };
        Self { of_lines: of_lines.collect(), of_models: Some(of_models) }
    }

    /// Counts what a line says.
    pub(super) fn count_line(&self, line: &Map<String, Value>) {
        for (name, dimensions, instrument) in &self.of_lines {
            let Some(value) = line.get(*name).and_then(Value::as_f64) else {
                continue;
            };
            let told =
                dimensions.iter().filter_map(|name| Some(KeyValue::new(*name, line.get(*name)?.as_str()?.to_owned())));
            let told: Vec<_> = told.collect();
            match instrument {
                OfLine::Things(counter) => counter.add(value, &told),
                OfLine::Time(histogram) => histogram.record(value / 1000.0, &told),
            }
        }
    }

    /// Counts a call to a model.
    pub(super) fn count_call(&self, call: &ModelCalled<'_>) {
        let Some(of_models) = &self.of_models else {
            return;
        };
        let mut told = vec![
            KeyValue::new(attribute::OPERATION, span::CHAT),
            KeyValue::new(attribute::PROVIDER, PROVIDER),
            KeyValue::new(attribute::REQUEST_MODEL, call.requested.to_owned()),
        ];
        told.extend(call.answered.map(|model| KeyValue::new(attribute::RESPONSE_MODEL, model.to_owned())));
        if let Some(usage) = call.usage {
            for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
                let mut told = told.clone();
                told.push(KeyValue::new(attribute::TOKEN_TYPE, kind));
                of_models.tokens.record(tokens, &told);
            }
        }
        told.extend(call.error.map(|error| KeyValue::new(attribute::ERROR, error)));
        of_models.duration.record(call.duration.as_secs_f64(), &told);
        if let Some(first_token) = call.first_token {
            of_models.first_token.record(first_token.as_secs_f64(), &told);
        }
    }
}

fn seconds(meter: &Meter, name: &'static str) -> Histogram<f64> {
    meter.f64_histogram(name).with_unit("s").with_boundaries(SECONDS.to_vec()).build()
}
