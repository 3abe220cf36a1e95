//! The tools as rmcp serves them: the agent, a call of which becomes a turn, and what it offers beside itself.

use std::sync::Arc;
use std::time::Instant;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::drive::TurnEvent;
use agentcore_core::model::{BlockDelta, ModelEvent};
use agentcore_core::turn::TurnError;
use axum::http::request::Parts;
use futures::future::OptionFuture;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::{Peer, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::calls::{Call, Calls, UnderWay};
use super::offered::{self, Offered};
use crate::admission::{Admitted, Room};
use crate::failure::Failure;
use crate::http::context;
use crate::invocation::{Answered, EVENTS_AHEAD, Invocation, Invoker};
use crate::telemetry::invocation;

/// The agent, and what it offers. Clones are the same.
pub(super) struct Tools<A> {
    invoker: Invoker<A>,
    calls: Calls,
    agent: Arc<Tool>,
    offered: Offered,
}

/// Whom to tell of a call's progress.
struct Listener {
    caller: Peer<RoleServer>,
    token: ProgressToken,
}

// === impl Tools ===

impl<A> Clone for Tools<A> {
    fn clone(&self) -> Self {
        Self {
            invoker: self.invoker.clone(),
            calls: self.calls.clone(),
            agent: Arc::clone(&self.agent),
            offered: self.offered.clone(),
        }
    }
}

impl<A: Agent> Tools<A> {
    pub(super) fn new(invoker: Invoker<A>, calls: Calls) -> Self {
        let description = Some(A::DESCRIPTION).filter(|description| !description.is_empty());
        let agent = Tool::new_with_raw(A::NAME, description.map(Into::into), input_schema(A::payload_schema()));
        let offered = Offered::new(A::NAME, invoker.offered());
        Self { invoker, calls, agent: Arc::new(agent), offered }
    }

    /// The whole way of a call; what goes wrong on it is told as over HTTP.
    async fn answer(&self, call: ReceivedCall, under_way: &UnderWay) -> Result<Answered, Failure> {
        let began = Instant::now();
        let refused = |failure: Failure| {
            invocation::refused(&failure, began);
            failure
        };
        let ReceivedCall { arguments, context, room, listener, .. } = call;
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

impl<A: Agent> Tools<A> {
    /// How clients are told about all of them, the agent first.
    fn told(&self) -> impl Iterator<Item = &Tool> {
        std::iter::once(&*self.agent).chain(self.offered.told())
    }

    fn no_such_tool(&self) -> String {
        let names: Vec<&str> = self.told().map(|tool| &*tool.name).collect();
        match names[..] {
            [only] => format!("There is no such tool here; the only one is {only}."),
            _ => format!("There is no such tool here; there are {}.", names.join(", ")),
        }
    }

    /// The whole way of a call of what is offered beside the agent.
    async fn call(
        &self,
        tool: Arc<dyn agentcore_core::tool::Tool>,
        call: ReceivedCall,
        under_way: &UnderWay,
    ) -> Result<CallToolResult, Failure> {
        let ReceivedCall { arguments, room, listener, .. } = call;
        let began = Instant::now();
        let turn = self.invoker.admission().turn().inspect_err(|failure| invocation::refused(failure, began))?;
        let (events, telling) = match listener {
            Some(listener) => {
                let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
                (Some(sender), Some(tell(receiver, listener)))
            }
            None => (None, None),
        };
        let calling = self.invoker.call(tool, Value::Object(arguments), Admitted::new(turn, room), events);
        let called = async {
            // What is told ends when the call has, which holds the other end of it.
            tokio::join!(calling, OptionFuture::from(telling)).0
        };
        tokio::select! {
            called = called => called.map(offered::result),
            () = under_way.cut() => Err(Failure::from(&TurnError::Cut)),
        }
    }
}

impl<A: Agent> ServerHandler for Tools<A> {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new(A::NAME, env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.told().cloned().collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.told().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        asked: CallToolRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let offered = self.offered.find(&asked.name).cloned();
        if asked.name != A::NAME && offered.is_none() {
            return Err(ErrorData::invalid_params(self.no_such_tool(), None));
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
        let answering = async {
            match offered {
                Some(tool) => self.call(tool, received, &under_way).await,
                None => self.answer(received, &under_way).await.map(|answered| whole(&answered)),
            }
        };
        // Over HTTP a caller who goes away drops what is being awaited; rmcp says so instead.
        let answered = request.ct.run_until_cancelled(answering.instrument(span)).await;
        let answered = answered.unwrap_or_else(|| Err(Failure::from(&TurnError::Cut)));
        Ok(answered.unwrap_or_else(|failure| failed(&failure, &request_id)).into())
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
pub(super) fn input_schema(schema: Value) -> JsonObject {
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
    if let Some(events) = invocation.events.take()
        && let Some(listener) = listener
    {
        tell(events, listener).await;
    }
    invocation.end().await
}

/// Tells a listener what comes, to its end.
async fn tell(mut events: mpsc::Receiver<TurnEvent>, Listener { caller, token }: Listener) {
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
