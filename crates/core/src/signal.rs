//! What a process tells of itself, by name: spans and their attributes, metrics, members of log lines.
//!
//! Whoever logs, exports, draws a dashboard or raises an alarm takes the names from here, so that renaming one
//! renames it everywhere or breaks a test. The names of spans and attributes are OpenTelemetry's [conventions for
//! generative AI](https://opentelemetry.io/docs/specs/semconv/gen-ai/), which are still in development; what they
//! have no name for begins with `agentcore.`.
//!
//! A metric is a member of a log line: a line that has one of [`MEASURES`] counts. What is exported from that, and in
//! which form, is the business of whoever writes the lines.

/// The target of spans that are made for traces and for nothing else. No log line has their fields.
pub const SPANS: &str = "agentcore::span";

/// Names of spans.
pub mod span {
    /// One invocation of the agent.
    pub const INVOKE_AGENT: &str = "invoke_agent";
    /// One question to a model, answered after however many attempts.
    pub const CHAT: &str = "chat";
    /// One call of a tool.
    pub const EXECUTE_TOOL: &str = "execute_tool";
    /// A session is read from its memory.
    pub const READ_MEMORY: &str = "read_memory";
    /// An entry is written to a session's memory.
    pub const WRITE_MEMORY: &str = "write_memory";
    /// The guards read a message.
    pub const GUARD: &str = "guard";
}

/// Names of spans' attributes.
pub mod attribute {
    /// Which of the operations it is: one of [`super::span`]'s names.
    pub const OPERATION: &str = "gen_ai.operation.name";
    /// Who runs the model; [`super::PROVIDER`].
    pub const PROVIDER: &str = "gen_ai.provider.name";
    /// The model that was asked for.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// The longest answer that was asked for, in tokens.
    pub const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    /// The model that answered.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// Why the model stopped, a list of one.
    pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// Tokens read.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens written.
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// Tokens read from the model's cache.
    pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    /// Tokens written to it.
    pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
    /// Whether tokens are those read or those written, of the metric.
    pub const TOKEN_TYPE: &str = "gen_ai.token.type";
    /// The agent's name.
    pub const AGENT: &str = "gen_ai.agent.name";
    /// The session, as the conventions call it.
    pub const CONVERSATION: &str = "gen_ai.conversation.id";
    /// The session, as AgentCore calls it; on every span.
    pub const SESSION: &str = "session.id";
    /// The tool's name.
    pub const TOOL: &str = "gen_ai.tool.name";
    /// The model's name for the call.
    pub const TOOL_CALL: &str = "gen_ai.tool.call.id";
    /// The kind of error, absent where there was none.
    pub const ERROR: &str = "error.type";
    /// From the question to the first token of the answer, in seconds.
    pub const FIRST_TOKEN: &str = "agentcore.first_token_seconds";
    /// How often models were called for one answer; 1 when nothing went wrong.
    pub const ATTEMPTS: &str = "agentcore.attempts";
    /// What the turn cost, in US dollars.
    pub const USD: &str = "agentcore.usd";
    /// Why the answer ends where it ends.
    pub const STOP_REASON: &str = "agentcore.stop_reason";
    /// Whether the answer had been given before and was given again.
    pub const REUSED: &str = "agentcore.answer_reused";
    /// The gravest flag of the guards.
    pub const SAFETY_SEVERITY: &str = "agentcore.safety.severity";
    /// What they did.
    pub const SAFETY_ACTION: &str = "agentcore.safety.action";
    /// How many turns were read.
    pub const TURNS: &str = "agentcore.turns";
}

/// Who runs the models, as the conventions call Bedrock.
pub const PROVIDER: &str = "aws.bedrock";

/// Members of log lines that are metrics, as CloudWatch knows them.
pub mod measure {
    /// One for each invocation that reached the agent.
    pub const INVOCATIONS: &str = "InvocationCount";
    /// One for each invocation that got no answer through no fault of its caller's, 0 for the others.
    pub const ERRORS: &str = "ErrorCount";
    /// From the payload to the turn's end, in milliseconds.
    pub const LATENCY: &str = "InvocationLatency";
    /// From the payload to the first token that left, in milliseconds; of streamed answers only.
    pub const FIRST_TOKEN: &str = "FirstTokenLatency";
    /// Tokens read by models.
    pub const INPUT_TOKENS: &str = "InputTokens";
    /// Tokens written by models.
    pub const OUTPUT_TOKENS: &str = "OutputTokens";
    /// What models cost, in US dollars.
    pub const USD: &str = "CostUsd";
    /// One for each time that a model is asked again.
    pub const RETRIES: &str = "Retries";
    /// One for each time that another model is asked instead.
    pub const FAILOVERS: &str = "Failovers";
    /// One for each refusal of a model because too much was asked of it.
    pub const THROTTLES: &str = "Throttles";
    /// How long reading or writing a session took, in milliseconds.
    pub const MEMORY: &str = "MemoryLatency";
    /// One for each flag of a guard.
    pub const SAFETY_FLAGS: &str = "SafetyFlags";
    /// Spans, log records and metrics that could not be handed over and are lost.
    pub const LOST: &str = "SignalsLost";
}

/// Members of log lines by which metrics are told apart.
pub mod dimension {
    /// What went wrong, in a word.
    pub const ERROR: &str = "errorType";
    /// The model.
    pub const MODEL: &str = "model";
    /// What was done to the memory: `read` or `write`.
    pub const OPERATION: &str = "operation";
    /// A flag's kind.
    pub const KIND: &str = "kind";
    /// A flag's severity.
    pub const SEVERITY: &str = "severity";
}

/// What a metric counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// US dollars.
    Usd,
}

/// A metric: how it is known in logs and CloudWatch, and to OpenTelemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// The member of log lines, and the metric's name in CloudWatch.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// By which members of its line it is told apart, each by itself; it is counted in all as well.
    pub dimensions: &'static [&'static str],
    /// The name of OpenTelemetry's instrument: a counter where things are counted or paid, a histogram of seconds
    /// where time passes. None where others of OpenTelemetry's own tell the same.
    pub instrument: Option<&'static str>,
}

/// All metrics that lines of the log are.
pub const MEASURES: [Measure; 13] = {
    use Unit::{Count, Milliseconds, Usd};
    use dimension::{ERROR, KIND, MODEL, OPERATION, SEVERITY};
    const fn of(
        name: &'static str,
        unit: Unit,
        dimensions: &'static [&'static str],
        instrument: Option<&'static str>,
    ) -> Measure {
        Measure { name, unit, dimensions, instrument }
    }
    [
        of(measure::INVOCATIONS, Count, &[], Some("agentcore.invocations")),
        of(measure::ERRORS, Count, &[ERROR], Some("agentcore.errors")),
        of(measure::LATENCY, Milliseconds, &[], Some("agentcore.invocation.duration")),
        of(measure::FIRST_TOKEN, Milliseconds, &[], Some("agentcore.invocation.time_to_first_token")),
        // `gen_ai.client.token.usage` has them.
        of(measure::INPUT_TOKENS, Count, &[], None),
        of(measure::OUTPUT_TOKENS, Count, &[], None),
        of(measure::USD, Usd, &[], Some("agentcore.cost")),
        of(measure::RETRIES, Count, &[MODEL], Some("agentcore.model.retries")),
        of(measure::FAILOVERS, Count, &[MODEL], Some("agentcore.model.failovers")),
        of(measure::THROTTLES, Count, &[MODEL], Some("agentcore.model.throttles")),
        of(measure::MEMORY, Milliseconds, &[OPERATION], Some("agentcore.memory.duration")),
        of(measure::SAFETY_FLAGS, Count, &[KIND, SEVERITY], Some("agentcore.safety.flags")),
        of(measure::LOST, Count, &[], Some("agentcore.signals.lost")),
    ]
};

/// OpenTelemetry's own metrics of calls to models.
pub mod instrument {
    /// How long a call took, in seconds.
    pub const DURATION: &str = "gen_ai.client.operation.duration";
    /// Tokens read and written.
    pub const TOKENS: &str = "gen_ai.client.token.usage";
    /// From the question to the first token of a streamed answer, in seconds.
    pub const FIRST_TOKEN: &str = "gen_ai.client.operation.time_to_first_chunk";
}

/// Where CloudWatch keeps an agent's metrics.
pub fn namespace(agent: &str) -> String {
    format!("AgentCore/{agent}")
}

/// The metric of that name.
pub fn measure_named(name: &str) -> Option<&'static Measure> {
    MEASURES.iter().find(|measure| measure.name == name)
}
