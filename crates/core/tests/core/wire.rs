//! What goes to Bedrock, as boto3 would have sent it: the call is taken from the wire, and botocore's model of the service,
//! its serializer and its signer say of it what is not theirs. Who answers here refuses everything.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;

use agentcore_core::aws::Aws;
use agentcore_core::history::complete;
use agentcore_core::message::{
    ContentBlock, Document, DocumentFormat, Image, ImageFormat, MediaSource, Message, Role, ToolResult,
    ToolResultContent, ToolResultStatus, ToolSpec, ToolUse,
};
use agentcore_core::model::bedrock::Bedrock;
use agentcore_core::model::{Model as _, ModelRequest, ToolChoice};
use agentcore_core::settings::Settings;
use serde_json::{Value, json};

use crate::foreign::{Script, python_script};

const ARN: &str =
    "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-3-7-sonnet-20250219-v1:0";

/// Refuses every call, and tells what it was.
struct Refusing {
    address: String,
    calls: mpsc::Receiver<Value>,
}

impl Refusing {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, calls) = mpsc::channel();
        let origin = address.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Some(call) = refuse(connection.expect("a connection"), &origin) else { continue };
                if sender.send(call).is_err() {
                    return;
                }
            }
        });
        Self { address, calls }
    }
}

fn refuse(connection: TcpStream, origin: &str) -> Option<Value> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a first line");
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = serde_json::Map::new();
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.into());
    }
    let mut body = vec![0; headers["content-length"].as_str()?.parse().expect("a length")];
    reader.read_exact(&mut body).expect("a body");
    let said = "{\"message\":\"Not today.\"}";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nx-amzn-errortype: ValidationException:http://internal/\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{said}",
        said.len()
    );
    reader.get_mut().write_all(answer.as_bytes()).expect("the caller reads");
    let operation = match path.rsplit('/').next()? {
        "converse" => "Converse",
        "converse-stream" => "ConverseStream",
        "count-tokens" => "CountTokens",
        other => other,
    };
    let body = String::from_utf8(body).expect("JSON is UTF-8");
    Some(json!({ "operation": operation, "url": format!("{origin}{path}"), "headers": headers, "body": body }))
}

fn bedrock(address: &str, variables: &[(&str, &str)]) -> Bedrock {
    let settings = Settings::read(|name| {
        variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
    })
    .expect("good settings");
    let aws = Aws::at(address, settings.model.region.clone());
    Bedrock::new(&settings.model, Arc::new(aws))
}

fn plain() -> ModelRequest {
    ModelRequest::question("Guten Morgen, wie geht's? \u{1f957} \"quoted\" \\ and a\ttab", 300)
}

/// A conversation with everything that a conversation can have.
fn everything() -> ModelRequest {
    let here = MediaSource::Bytes(vec![0, 159, 146, 150, 255].into());
    let in_s3 = |owner: Option<&str>| MediaSource::S3Location {
        uri: "s3://meals/friday.png".into(),
        bucket_owner: owner.map(str::to_owned),
    };
    let image = |source| Image { format: ImageFormat::Jpeg, source };
    let document = |source| Document { format: DocumentFormat::Pdf, name: "Week 3 (plan)".into(), source };
    let call = |id: &str, input| {
        ContentBlock::ToolUse(ToolUse { tool_use_id: id.into(), name: "convert_units".into(), input })
    };
    let result =
        |id: &str, status, content| ContentBlock::ToolResult(ToolResult { tool_use_id: id.into(), content, status });
    let mut request = ModelRequest::question("", 2_000_000_000);
    request.system = "You are kind. ".repeat(800);
    request.parameters.temperature = Some(0.3);
    request.parameters.stop_sequences = vec!["END".into(), "\n\nHuman:".into()];
    let earlier = [Message::user("Hello. ".repeat(2000)), Message::assistant("Hi.")];
    request.history = complete(earlier).into_iter().map(Arc::new).collect();
    request.messages = vec![
        Message {
            role: Role::User,
            content: vec![
                ContentBlock::Image(image(here.clone())),
                ContentBlock::Image(image(in_s3(None))),
                ContentBlock::Document(document(in_s3(Some("123456789012")))),
                ContentBlock::Document(document(here.clone())),
                ContentBlock::Text("What is this in pounds?".into()),
            ],
        },
        Message {
            role: Role::Assistant,
            content: vec![
                ContentBlock::Text("I'll see.".into()),
                call("one", json!({ "kilograms": 81.25, "deep": [{ "null": null, "yes": true, "big": 1e300 }, -4] })),
                call("two", json!({})),
            ],
        },
        Message {
            role: Role::User,
            content: vec![
                result(
                    "one",
                    ToolResultStatus::Success,
                    vec![
                        ToolResultContent::Json(json!({ "pounds": 179.1 })),
                        ToolResultContent::Image(image(here.clone())),
                        ToolResultContent::Document(document(here)),
                    ],
                ),
                result("two", ToolResultStatus::Error, vec![ToolResultContent::Text("no value".into())]),
            ],
        },
    ];
    let tool = |name: &str| ToolSpec {
        name: name.into(),
        description: "Converts weights. ".repeat(300),
        input_schema: json!({ "type": "object", "properties": { "kilograms": { "type": "number" } } }),
    };
    request.tools = Arc::new([tool("convert_units"), tool("another")]);
    request
}

fn must_call(choice: ToolChoice) -> ModelRequest {
    ModelRequest { tool_choice: choice, ..everything() }
}

#[tokio::test]
async fn given_any_conversation_then_the_call_is_the_one_that_boto3_makes() {
    let refusing = Refusing::start();
    let caching = ("MODEL_ID", ARN);
    let guarded = [("GUARDRAIL_ID", "gr-1234567890"), ("GUARDRAIL_VERSION", "DRAFT"), caching];
    let watched = [("GUARDRAIL_STREAM_MODE", "async"), guarded[0], guarded[1]];
    let models = [&[][..], &[caching], &guarded, &watched].map(|variables| bedrock(&refusing.address, variables));
    let choices = [ToolChoice::Auto, ToolChoice::Any, ToolChoice::Tool("another".into())];
    let requests = choices.map(must_call).into_iter().chain([plain()]).collect::<Vec<_>>();

    let mut calls = Vec::new();
    for model in &models {
        for request in &requests {
            let refused = model.converse(request).await.expect_err("a refusal").to_string();
            assert!(refused.contains("refused the request: Not today."), "{refused}");
            model.converse_stream(request).await.err().expect("a refusal");
            model.count_tokens(request).await.expect_err("a refusal");
            calls.extend(refusing.calls.try_iter());
        }
    }

    assert_eq!(calls.len(), models.len() * requests.len() * 3);
    for (part, least) in [("cachePoint", 12), ("guardrailConfig", 16), ("streamProcessingMode", 8), ("toolChoice", 24)]
    {
        let having = calls.iter().filter(|call| call["body"].to_string().contains(part)).count();
        assert!(having >= least, "only {having} calls have a {part}");
    }
    let mut boto3 = Script::start("boto3", python_script("converse_wire.py"), &refusing.address);
    let said = boto3.order(json!({ "do": "check", "calls": calls }));
    for (call, differences) in calls.iter().zip(said["differences"].as_array().expect("a list")) {
        assert_eq!(differences, &json!([]), "{} of {}", call["operation"], call["body"]);
    }
}
