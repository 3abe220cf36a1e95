//! The engine against a server that speaks OpenAI's protocol as Ollama and vLLM do.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use serde_json::{Value, json};

use super::OpenAi;
use crate::engine::conversation::{Conversation, StopReason, Usage};
use crate::engine::{Engine, EngineError, Piece};

/// A model server that answers every request the same and keeps what it was sent.
#[derive(Clone)]
struct ModelServer {
    status: StatusCode,
    answer: String,
    asked: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

impl ModelServer {
    fn answering(status: StatusCode, answer: impl Into<String>) -> Self {
        Self { status, answer: answer.into(), asked: Arc::default() }
    }

    /// A stream of `chunks`, and `[DONE]`.
    fn streaming(chunks: &[Value]) -> Self {
        let comment = ": a comment, as some servers send to keep alive\n\n";
        let events: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        Self::answering(StatusCode::OK, format!("{comment}{}data: [DONE]\n\n", events.concat()))
    }

    async fn start(&self) -> String {
        let routes = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(|| async { r#"{"data":[{"id":"llama3:8b"},{"id":"other"}]}"# }))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}/v1/")
    }

    fn asked(&self) -> (HeaderMap, Value) {
        self.asked.lock().expect("no panic before").pop().expect("a request")
    }
}

async fn complete(State(server): State<ModelServer>, headers: HeaderMap, body: String) -> Response {
    let body = serde_json::from_str(&body).expect("a JSON request");
    server.asked.lock().expect("no panic before").push((headers, body));
    (server.status, [(header::CONTENT_TYPE, "text/event-stream")], server.answer).into_response()
}

async fn ask(base: &str, request: Value) -> Result<Vec<Piece>, EngineError> {
    let engine = OpenAi::new(base, None, Some("secret".into())).expect("an address");
    let conversation: Conversation = serde_json::from_value(request).expect("a request");
    engine.answer(conversation).collect::<Vec<_>>().await.into_iter().collect()
}

fn hello() -> Value {
    json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] })
}

#[tokio::test]
async fn text_comes_through_delta_by_delta_with_the_servers_own_usage() {
    let server = ModelServer::streaming(&[
        json!({ "choices": [{ "delta": { "role": "assistant", "content": "" } }] }),
        json!({ "choices": [{ "delta": { "content": "Good " } }] }),
        json!({ "choices": [{ "delta": { "content": "day" }, "finish_reason": "stop" }] }),
        json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 2 } }),
    ]);

    let pieces = ask(&server.start().await, hello()).await.expect("an answer");

    let usage = Usage { input_tokens: 7, output_tokens: 2 };
    assert_eq!(
        pieces,
        [Piece::Text("Good ".into()), Piece::Text("day".into()), Piece::End { reason: StopReason::EndTurn, usage },]
    );
    assert_eq!(server.asked().0["authorization"], "Bearer secret");
}

#[tokio::test]
async fn a_tool_call_in_fragments_is_put_together() {
    let call = |part: Value| json!({ "choices": [{ "delta": { "tool_calls": [part] } }] });
    let server = ModelServer::streaming(&[
        call(json!({ "index": 0, "id": "call_1", "function": { "name": "log", "arguments": "" } })),
        call(json!({ "index": 0, "function": { "arguments": "{\"kg\"" } })),
        call(json!({ "index": 0, "function": { "arguments": ": 81}" } })),
        json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
    ]);

    let pieces = ask(&server.start().await, hello()).await.expect("an answer");

    let [Piece::ToolUse(call), Piece::End { reason, .. }] = pieces.as_slice() else {
        panic!("a call and an end, not {pieces:?}");
    };
    assert_eq!((call.tool_use_id.as_str(), call.name.as_str()), ("call_1", "log"));
    assert_eq!(call.input, json!({ "kg": 81 }));
    assert_eq!(*reason, StopReason::ToolUse);
}

/// A request with all that a conversation can have.
fn everything_at_once() -> Value {
    json!({
        "system": [{ "text": "Be kind." }, { "text": "Be brief." }],
        "messages": [
            { "role": "user", "content": [
                { "text": "Log this" },
                { "image": { "format": "png", "source": { "bytes": "aGk=" } } },
            ]},
            { "role": "assistant", "content": [
                { "text": "Yes." },
                { "toolUse": { "toolUseId": "t1", "name": "log", "input": { "kg": 81 } } },
            ]},
            { "role": "user", "content": [
                { "toolResult": { "toolUseId": "t1", "status": "error", "content": [{ "text": "disk full" }] } },
                { "text": "Well?" },
            ]},
        ],
        "inferenceConfig": { "maxTokens": 64, "temperature": 0.7, "stopSequences": ["END"] },
        "toolConfig": {
            "tools": [{ "toolSpec": { "name": "log", "description": "Logs.", "inputSchema": { "json": { "type": "object" } } } }],
            "toolChoice": { "tool": { "name": "log" } },
        },
    })
}

#[tokio::test]
async fn a_request_is_said_in_the_servers_words() {
    let server = ModelServer::streaming(&[json!({ "choices": [{ "delta": {}, "finish_reason": "length" }] })]);
    ask(&server.start().await, everything_at_once()).await.expect("an answer");

    insta::assert_snapshot!(serde_json::to_string_pretty(&server.asked().1).expect("JSON"), @r#"
    {
      "model": "llama3:8b",
      "messages": [
        {
          "role": "system",
          "content": "Be kind.\n\nBe brief."
        },
        {
          "role": "user",
          "content": [
            {
              "type": "text",
              "text": "Log this"
            },
            {
              "type": "image_url",
              "image_url": {
                "url": "data:image/png;base64,aGk="
              }
            }
          ]
        },
        {
          "role": "assistant",
          "content": "Yes.",
          "tool_calls": [
            {
              "id": "t1",
              "type": "function",
              "function": {
                "name": "log",
                "arguments": "{\"kg\":81}"
              }
            }
          ]
        },
        {
          "role": "tool",
          "tool_call_id": "t1",
          "content": "The tool failed: disk full"
        },
        {
          "role": "user",
          "content": "Well?"
        }
      ],
      "stream": true,
      "stream_options": {
        "include_usage": true
      },
      "max_tokens": 64,
      "temperature": 0.7,
      "stop": [
        "END"
      ],
      "tools": [
        {
          "type": "function",
          "function": {
            "name": "log",
            "parameters": {
              "type": "object"
            },
            "description": "Logs."
          }
        }
      ],
      "tool_choice": {
        "type": "function",
        "function": {
          "name": "log"
        }
      }
    }
    "#);
}

#[tokio::test]
async fn the_servers_errors_become_the_ones_bedrock_has() {
    let mut told = Vec::new();
    for (status, body) in [
        (401, r#"{"error":{"message":"bad key"}}"#),
        (404, r#"{"error":"model 'x' not found"}"#),
        (429, r#"{"error":{"message":"slow down"}}"#),
        (400, r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#),
        (400, r#"{"error":{"message":"no such parameter"}}"#),
        (504, "gateway time-out"),
        (503, r#"{"error":{"message":"loading model"}}"#),
        (500, ""),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        let server = ModelServer::answering(status, body);
        let error = ask(&server.start().await, hello()).await.expect_err("an error");
        told.push(crate::AwsError::from(error).to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    AccessDeniedException: The model server answered 401: bad key
    ValidationException: The model server answered 404: model 'x' not found
    ThrottlingException: The model server answered 429: slow down
    ValidationException: Input is too long for requested model.
    ValidationException: The model server answered 400: no such parameter
    ModelTimeoutException: The model server answered 504: gateway time-out
    ServiceUnavailableException: The model server answered 503: loading model
    ModelErrorException: The model server answered 500: ""
    "#);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_after_what_arrived() {
    let server = ModelServer::answering(StatusCode::OK, "data: {\"choices\":[{\"delta\":{\"content\":\"Good\"}}]}\n\n");
    let engine = OpenAi::new(&server.start().await, Some("m".into()), None).expect("an address");
    let conversation: Conversation = serde_json::from_value(hello()).expect("a request");

    let pieces: Vec<_> = engine.answer(conversation).collect().await;

    assert_eq!(pieces[0], Ok(Piece::Text("Good".into())));
    assert!(matches!(pieces[1], Err(EngineError::Failed(_))), "{pieces:?}");
    assert_eq!(pieces.len(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);

    let error = ask(&format!("http://{address}/v1"), hello()).await.expect_err("nobody there");

    assert!(matches!(error, EngineError::Unavailable(_)));
    assert!(error.to_string().contains(&format!("No model server answers at http://{address}/v1")), "{error}");
}

#[test]
fn an_address_that_is_none_is_refused_at_once() {
    let Err(error) = OpenAi::new("127.0.0.1:11434", None, None) else {
        panic!("an address without a scheme was accepted");
    };
    insta::assert_snapshot!(error, @"`127.0.0.1:11434` is not the address of a model server: give one like http://127.0.0.1:11434/v1");
}

#[tokio::test]
async fn a_beginning_of_the_answer_is_to_be_continued() {
    let server = ModelServer::streaming(&[json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] })]);
    let conversation = json!({ "messages": [
        { "role": "user", "content": [{ "text": "Hello" }] },
        { "role": "assistant", "content": [{ "text": "Good" }] },
    ]});
    ask(&server.start().await, conversation).await.expect("an answer");

    let body = server.asked().1;
    assert_eq!(body["messages"][1], json!({ "role": "assistant", "content": "Good" }));
    assert_eq!((&body["continue_final_message"], &body["add_generation_prompt"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn documents_of_words_are_said_and_others_refused() {
    let with = |document: Value| json!({ "messages": [{ "role": "user", "content": [{ "text": "Read" }, { "document": document }] }] });
    let server = ModelServer::streaming(&[json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] })]);
    let notes = with(json!({ "format": "md", "name": "notes", "source": { "bytes": "aGk=" } }));
    ask(&server.start().await, notes).await.expect("an answer");
    assert_eq!(server.asked().1["messages"][0]["content"][1]["text"], "Document \"notes\":\nhi");

    let plan = with(json!({ "format": "pdf", "name": "plan", "source": { "bytes": "aGk=" } }));
    let error = ask("http://127.0.0.1:1/v1", plan).await.expect_err("refused before it is sent");
    insta::assert_snapshot!(error, @"The model server takes words and images, not a document of format pdf. Send the words of it, or use another model.");
}
