//! One call: what is said, what comes of it, and its end, whoever ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use a2a::{Message, Part, PartContent, SendMessageConfiguration, SendMessageRequest, StreamResponse, Task, TaskState};
use agentcore_core::tool::{ToolCall, ToolFailure};
use futures::StreamExt as _;
use sse_stream::SseStream;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::card::Card;
use crate::door::{Door, DoorError, pieces, whole};
use crate::wire::{AnswerError, Asked};

/// How often a task is asked for whose stream has broken off, or whose agent does not let us wait.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(1);

/// How long telling an agent that its task is given up may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// An agent, and the context in which we talk with it.
#[derive(Clone)]
pub(crate) struct Talk {
    pub(crate) name: String,
    pub(crate) door: Door,
    pub(crate) card: Card,
    /// The id that AgentCore knows the session by.
    pub(crate) session: String,
}

/// What is said.
pub(crate) struct Said {
    pub(crate) words: String,
    pub(crate) context: String,
    /// The task that it answers a question of.
    pub(crate) task: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    task: Option<String>,
    pub(crate) context: Option<String>,
    state: TaskState,
    /// What the agent said with its state.
    said: String,
    artifacts: BTreeMap<String, String>,
    /// An answer without a task.
    message: Option<String>,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
enum TalkError {
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// Cancels the task when it is dropped before the task has ended.
struct Cancelling<'a> {
    talk: &'a Talk,
    task: Option<String>,
}

// === impl Talk ===

impl Talk {
    /// Says it, and waits for what comes of it.
    pub(crate) async fn say(&self, said: Said, call: &ToolCall) -> (Heard, Result<String, ToolFailure>) {
        let mut heard = Heard::default();
        let outcome = self.hear(said, call, &mut heard).await;
        let told = match outcome {
            Ok(()) => heard.told(&self.name),
            Err(error) => Err(self.failed(&error)),
        };
        (heard, told)
    }

    async fn hear(&self, said: Said, call: &ToolCall, heard: &mut Heard) -> Result<(), TalkError> {
        let request = request(said);
        let mut cancelling = Cancelling { talk: self, task: None };
        let streamed = self.card.streams;
        let asked = Asked::Send { request: &request, streamed };
        let response = self.post(&asked).await?;
        let is_stream = response
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/event-stream")));
        if is_stream {
            let pieces = pieces(response).map(|piece| piece.map(std::io::Cursor::new)).boxed();
            let mut events = SseStream::from_bytes_stream(pieces);
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => event,
                    // It has begun a task, which goes on and is asked for.
                    Err(_) if heard.task.is_some() => break,
                    Err(error) => return Err(DoorError::BrokenOff(error.to_string()).into()),
                };
                let Some(data) = event.data.filter(|data| !data.is_empty()) else { continue };
                if let Some(word) = heard.take(self.card.version.read(&asked, data.as_bytes())?) {
                    call.progress(word);
                }
                cancelling.task.clone_from(&heard.task);
                if heard.is_settled() {
                    break;
                }
            }
        } else {
            heard.take(self.card.version.read(&asked, &whole(response).await?)?);
            cancelling.task.clone_from(&heard.task);
        }
        self.wait(heard).await?;
        cancelling.task = None;
        Ok(())
    }

    /// Asks for a task until it has ended, or wants something of us.
    async fn wait(&self, heard: &mut Heard) -> Result<(), TalkError> {
        let mut failures = 0;
        while !heard.is_settled() {
            let Some(task) = heard.task.clone() else {
                return Err(AnswerError::NotOfTheProtocol.into());
            };
            let asked = Asked::Get { task: &task };
            match self.ask(&asked).await {
                Ok(told) => {
                    heard.take(told);
                }
                Err(error @ TalkError::Answer(_)) => return Err(error),
                Err(error) => {
                    failures += 1;
                    if failures == 3 {
                        return Err(error);
                    }
                }
            }
            if !heard.is_settled() {
                sleep(BETWEEN_QUESTIONS).await;
            }
        }
        Ok(())
    }

    async fn ask(&self, asked: &Asked<'_>) -> Result<StreamResponse, TalkError> {
        let answer = whole(self.post(asked).await?).await?;
        Ok(self.card.version.read(asked, &answer)?)
    }

    async fn post(&self, asked: &Asked<'_>) -> Result<reqwest::Response, DoorError> {
        let Card { url, version, .. } = &self.card;
        let accept = match asked {
            Asked::Send { streamed: true, .. } => "text/event-stream, application/json",
            _ => "application/json",
        };
        self.door.post(url, accept, version.as_str(), &self.session, version.written(asked)).await
    }

    fn failed(&self, error: &TalkError) -> ToolFailure {
        let name = &self.name;
        tracing::info!(agent = name, %error, "an agent did not answer");
        match error {
            TalkError::Answer(AnswerError::Refused(why)) => ToolFailure::failed(format!("{name} refused: {why}")),
            TalkError::Answer(AnswerError::NotOfTheProtocol) => {
                ToolFailure::failed(format!("{name} gave an answer that cannot be read. Go on without it."))
            }
            TalkError::Door(DoorError::BrokenOff(_)) => ToolFailure::failed(format!(
                "The connection to {name} broke off during the call. It may have done its work."
            )),
            TalkError::Door(_) => ToolFailure::failed(format!("{name} cannot be reached now. Go on without it.")),
        }
    }
}

fn request(Said { words, context, task }: Said) -> SendMessageRequest {
    let message =
        Message { context_id: Some(context), task_id: task, ..Message::new(a2a::Role::User, vec![Part::text(words)]) };
    let configuration = SendMessageConfiguration {
        accepted_output_modes: Some(vec!["text/plain".to_owned(), "application/json".to_owned()]),
        task_push_notification_config: None,
        history_length: Some(0),
        return_immediately: None,
    };
    SendMessageRequest { message, configuration: Some(configuration), metadata: None, tenant: None }
}

// === impl Cancelling ===

impl Drop for Cancelling<'_> {
    fn drop(&mut self) {
        let (Some(task), Ok(runtime)) = (self.task.take(), Handle::try_current()) else {
            return;
        };
        let to = self.talk.clone();
        runtime.spawn(async move {
            let asked = Asked::Cancel { task: &task };
            if !matches!(timeout(FAREWELL, to.ask(&asked)).await, Ok(Ok(_))) {
                tracing::debug!(agent = to.name, "a task that is given up could not be cancelled");
            }
        });
    }
}

// === impl Heard ===

impl Heard {
    /// Takes in what the agent tells; gives what a person would read of it meanwhile.
    fn take(&mut self, told: StreamResponse) -> Option<String> {
        match told {
            StreamResponse::Message(message) => {
                self.message = Some(words(&message.parts));
                self.context = message.context_id;
                None
            }
            StreamResponse::Task(task) => {
                self.take_task(task);
                None
            }
            StreamResponse::StatusUpdate(update) => {
                self.take_ids(update.task_id, update.context_id);
                self.state = update.status.state;
                self.said = update.status.message.map(|message| words(&message.parts)).unwrap_or_default();
                let is_word = !self.is_settled() && !self.said.is_empty();
                is_word.then(|| self.said.clone())
            }
            StreamResponse::ArtifactUpdate(update) => {
                self.take_ids(update.task_id, update.context_id);
                let words = words(&update.artifact.parts);
                let artifact = self.artifacts.entry(update.artifact.artifact_id).or_default();
                if !update.append.unwrap_or(false) {
                    artifact.clear();
                }
                artifact.push_str(&words);
                Some(words).filter(|words| !words.is_empty())
            }
        }
    }

    fn take_task(&mut self, task: Task) {
        self.take_ids(task.id, task.context_id);
        self.state = task.status.state;
        self.said = task.status.message.map(|message| words(&message.parts)).unwrap_or_default();
        let artifacts = task.artifacts.unwrap_or_default();
        let artifacts = artifacts.into_iter().map(|artifact| (artifact.artifact_id, words(&artifact.parts)));
        self.artifacts.extend(artifacts);
    }

    fn take_ids(&mut self, task: String, context: String) {
        self.task = Some(task);
        self.context = Some(context).filter(|context| !context.is_empty());
    }

    /// Whether nothing more comes by itself.
    fn is_settled(&self) -> bool {
        self.message.is_some()
            || self.state.is_terminal()
            || matches!(self.state, TaskState::InputRequired | TaskState::AuthRequired)
    }

    /// What the model is told.
    fn told(&self, name: &str) -> Result<String, ToolFailure> {
        if let Some(message) = &self.message {
            return Ok(message.clone());
        }
        let answer =
            self.artifacts.values().filter(|words| !words.is_empty()).cloned().collect::<Vec<_>>().join("\n\n");
        let said = if self.said.is_empty() { "It does not say why." } else { &self.said };
        match self.state {
            TaskState::Completed if answer.is_empty() => Ok(self.said.clone()),
            TaskState::Completed => Ok(answer),
            TaskState::InputRequired => {
                let task = self.task.as_deref().unwrap_or_default();
                Ok(format!(
                    "{name} asks something before it goes on: {said}\n\
                     To answer, call {name} again with the answer as the message and \"reply_to\": \"{task}\". Ask the \
                     user where you do not know the answer."
                ))
            }
            TaskState::AuthRequired => {
                Err(ToolFailure::failed(format!("{name} wants credentials that we do not have: {said}")))
            }
            TaskState::Rejected => Err(ToolFailure::failed(format!("{name} does not do this: {said}"))),
            TaskState::Canceled => Err(ToolFailure::failed(format!("The task of {name} was cancelled. {said}"))),
            _ => Err(ToolFailure::failed(format!("{name} failed: {said}"))),
        }
    }
}

/// The words of parts. Data is told as JSON, and of files that there are some.
fn words(parts: &[Part]) -> String {
    let words = parts.iter().map(|part| match &part.content {
        PartContent::Text(text) => text.clone(),
        PartContent::Data(data) => format!("\n{data}\n"),
        PartContent::Url(_) | PartContent::Raw(_) => {
            let name = part.filename.as_deref().or(part.media_type.as_deref()).unwrap_or("unnamed");
            format!("\n[a file: {name}]\n")
        }
    });
    words.collect::<String>()
}
