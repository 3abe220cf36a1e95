//! The tool that is the agent: how it is told about, and how a call of it becomes a turn.

use std::sync::Arc;
use std::time::Instant;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::drive::TurnEvent;
use agentcore_core::model::{BlockDelta, ModelEvent};
use agentcore_core::turn::TurnError;
use axum::http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::{Peer, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::Value;
use tracing::Instrument as _;

use super::calls::{Call, Calls, UnderWay};
use crate::admission::{Admitted, Room};
use crate::failure::Failure;
use crate::http::context;
use crate::invocation::{Answered, Invocation, Invoker};
use crate::telemetry::invocation;

/// The agent, as rmcp serves it. Clones are the same.
pub(super) struct AgentTool<A> {
    invoker: Invoker<A>,
    calls: Calls,
    tool: Arc<Tool>,
}

/// Whom to tell of a call's progress.
struct Listener {
    caller: Peer<RoleServer>,
    token: ProgressToken,
}

// === impl AgentTool ===

impl<A> Clone for AgentTool<A> {
    fn clone(&self) -> Self {
        Self { invoker: self.invoker.clone(), calls: self.calls.clone(), tool: Arc::clone(&self.tool) }
    }
}

impl<A: Agent> AgentTool<A> {
    pub(super) fn new(invoker: Invoker<A>, calls: Calls) -> Self {
        let description = Some(A::DESCRIPTION).filter(|description| !description.is_empty());
        let tool = Tool::new_with_raw(A::NAME, description.map(Into::into), input_schema(A::payload_schema()));
        Self { invoker, calls, tool: Arc::new(tool) }
    }

    /// The whole way of a call; what goes wrong on it is told as over HTTP.
    async fn answer(&self, call: ReceivedCall, under_way: &UnderWay) -> Result<Answered, Failure> {
        let began = Instant::now();
        let refused = |failure: Failure| {
            invocation::refused(&failure, began);
            failure
        };
        let ReceivedCall { arguments, context, room, listener } = call;
        let turn = self.invoker.admission().turn().map_err(refused)?;
        let place = self.invoker.arrive(&context);
        // The agent's payload is read as it is over HTTP, and what is wrong with it is told in the same words.
        let payload = serde_json::to_vec(&arguments).map_err(|_| refused(Failure::internal()))?;
        drop(arguments);
        let admitted = Admitted::new(turn, room);
        let accepted = self.invoker.accept(payload.into(), context, admitted).await.map_err(refused)?;
        let invocation = self.invoker.begin(accepted, place, listener.is_some());
        tokio::select! {
            answered = told(invocation, listener) => answered,
            // A request over HTTP has to be answered with something, though its sender does not listen any more.
            () = under_way.cut() => Err(Failure::from(&TurnError::Cut)),
        }
    }
}

impl<A: Agent> ServerHandler for AgentTool<A> {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new(A::NAME, env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![Tool::clone(&self.tool)]))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == A::NAME).then(|| Tool::clone(&self.tool))
    }

    async fn call_tool(
        &self,
        asked: CallToolRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if asked.name != A::NAME {
            let sentence = format!("There is no such tool here; the only one is {}.", A::NAME);
            return Err(ErrorData::invalid_params(sentence, None));
        }
        let (Some(head), Some(room)) = (request.extensions.get::<Parts>(), room_of(&request)) else {
            return Err(ErrorData::internal_error(Failure::internal().sentence, None));
        };
        let context = context::read(&head.headers);
        let request_id = context.request_id.clone();
        let call = Call { session_id: context.session_id.clone(), request_id: request.id.clone() };
        let under_way = self.calls.begin(call);
        let span = invocation::begin(A::NAME, &head.headers, &request_id, &context.session_id);
        let listener = request.meta.get_progress_token().map(|token| Listener { caller: request.peer.clone(), token });
        let received = ReceivedCall { arguments: asked.arguments.unwrap_or_default(), context, room, listener };
        // Over HTTP a caller who goes away drops what is being awaited; rmcp says so instead.
        let answering = request.ct.run_until_cancelled(self.answer(received, &under_way).instrument(span));
        let answered = answering.await.unwrap_or_else(|| Err(Failure::from(&TurnError::Cut)));
        Ok(answered.map_or_else(|failure| failed(&failure, &request_id), |answered| whole(&answered)).into())
    }
}

/// A call of the tool, as it came.
struct ReceivedCall {
    arguments: JsonObject,
    context: Context,
    room: Arc<Room>,
    listener: Option<Listener>,
}

/// MCP takes objects only; a schema that is a choice between several does not say that it is one.
fn input_schema(schema: Value) -> JsonObject {
    let mut schema = match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    };
    schema.entry("type").or_insert_with(|| "object".into());
    schema
}

fn room_of(request: &RequestContext<RoleServer>) -> Option<Arc<Room>> {
    request.extensions.get::<Parts>()?.extensions.get::<Arc<Room>>().cloned()
}

/// Waits for the end of a turn, and tells its listener meanwhile.
async fn told(mut invocation: Invocation, listener: Option<Listener>) -> Result<Answered, Failure> {
    if let Some(mut events) = invocation.events.take()
        && let Some(Listener { caller, token }) = listener
    {
        let mut progress = ProgressNotificationParam::new(token, 0.0);
        while let Some(event) = events.recv().await {
            let Some(said) = words(event) else {
                continue;
            };
            progress.progress += 1.0;
            progress.message = Some(said);
            // Who cannot be told any more has gone, and what is awaited here is dropped.
            let _ = caller.notify_progress(progress.clone()).await;
        }
    }
    invocation.end().await
}

/// What a person would read of an event: the answer as it comes, and what tools say of their progress.
fn words(event: TurnEvent) -> Option<String> {
    match event {
        TurnEvent::Model(ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(text), .. }) => Some(text),
        TurnEvent::Progress(progress) => Some(format!("{}: {}", progress.name, progress.message)),
        TurnEvent::Model(_) => None,
    }
}

/// The answer in words, and the whole of it as JSON. A question is a part of the words: a caller who reads no more must
/// see that something is asked.
fn whole(answered: &Answered) -> CallToolResult {
    let questions = answered.questions.iter().map(|question| question.question.clone());
    let words = std::iter::once(answered.message.text()).chain(questions).filter(|words| !words.is_empty());
    let mut result = CallToolResult::success(words.map(ContentBlock::text).collect());
    result.structured_content = serde_json::to_value(answered.whole()).ok();
    result
}

fn failed(failure: &Failure, request_id: &str) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(failure.sentence.clone())]);
    let mut told = failure.told(request_id);
    if let Some(wait) = failure.retry_after {
        told["retry_after"] = crate::http::whole_seconds(wait).into();
    }
    result.structured_content = Some(told);
    result
}
