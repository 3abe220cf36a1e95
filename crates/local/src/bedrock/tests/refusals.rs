//! What is refused, and in which words.

use super::*;

/// A conversation of `messages`, with what `more` adds.
fn conversation(messages: &[Value], more: &Value) -> String {
    let mut body = more.clone();
    body["messages"] = json!(messages);
    body.to_string()
}

fn user(content: &[Value]) -> Value {
    json!({ "role": "user", "content": content })
}

fn assistant(content: &[Value]) -> Value {
    json!({ "role": "assistant", "content": content })
}

fn words() -> Value {
    json!({ "text": "Hello" })
}

fn call(id: &str) -> Value {
    json!({ "toolUse": { "toolUseId": id, "name": "log", "input": {} } })
}

fn result(id: &str) -> Value {
    json!({ "toolResult": { "toolUseId": id, "content": [{ "text": "ok" }] } })
}

fn tools() -> Value {
    json!({ "toolConfig": { "tools": [
        { "toolSpec": { "name": "log", "inputSchema": { "json": { "type": "object" } } } },
    ]}})
}

/// The sentences `bodies` are refused with, one a line.
async fn refused(bodies: &[String]) -> String {
    refused_by(MODEL, bodies).await
}

async fn refused_by(model: &str, bodies: &[String]) -> String {
    let service = Service::scripted().await;
    let mut sentences = Vec::new();
    for body in bodies {
        let answer = service.post_to(model, "converse", body.clone()).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.headers()["x-amzn-errortype"], "ValidationException");
        assert!(answer.headers().contains_key("x-amzn-requestid"));
        let body: Value = answer.json().await.expect("JSON");
        sentences.push(body["message"].as_str().expect("a sentence").to_owned());
    }
    sentences.join("\n")
}

#[tokio::test]
async fn bodies_that_are_no_request() {
    let bodies = [
        "{\"messages\": [".to_owned(),
        hello().replace("Hello", "\\ud83d alone"),
        hello().replace("\"messages\"", "\"ignored\":\"\\udc00\",\"messages\""),
        hello().replace("\"user\"", "\"system\""),
        json!({ "messages": "Hello" }).to_string(),
        json!({ "messages": [{ "content": [words()] }] }).to_string(),
    ];
    insta::assert_snapshot!(refused(&bodies).await, @r#"
    The request body is not valid JSON: EOF while parsing a list at line 1 column 14
    The request body is not valid JSON: unexpected end of hex escape at line 1 column 55
    The request body is not valid JSON: lone leading surrogate in hex escape at line 1 column 18
    1 validation error detected: Value at 'messages.0.role' failed to satisfy constraint: unknown variant `system`, expected `user` or `assistant`
    1 validation error detected: Value at 'messages' failed to satisfy constraint: invalid type: string "Hello", expected a sequence
    1 validation error detected: Value at 'messages.0' failed to satisfy constraint: missing field `role`
    "#);
}

#[tokio::test]
async fn conversations_against_the_grammar() {
    let nothing = json!({});
    let bodies = [
        conversation(&[], &nothing),
        conversation(&[assistant(&[words()])], &nothing),
        conversation(&[user(&[words()]), user(&[words()])], &nothing),
        conversation(&[user(&[])], &nothing),
        conversation(&[user(&[words(), json!({ "text": " \n" })])], &nothing),
        conversation(&[user(&[words()])], &json!({ "system": [{ "text": "" }] })),
    ];
    insta::assert_snapshot!(refused(&bodies).await, @"
    A conversation must start with a user message. Try again with a conversation that starts with a user message.
    A conversation must start with a user message. Try again with a conversation that starts with a user message.
    A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.
    The content field in the Message object at messages.0 is empty. Add a ContentBlock object to the content field and try again.
    The text field in the ContentBlock object at messages.0.content.1 is blank. Add text to the text field, and try again.
    The text field in the SystemContentBlock object at system.0 is blank. Add text to the text field, and try again.
    ");
}

#[tokio::test]
async fn members_out_of_their_bounds() {
    let with = |more: Value| conversation(&[user(&[words()])], &more);
    let bodies = [
        with(json!({ "inferenceConfig": { "maxTokens": 0 } })),
        with(json!({ "inferenceConfig": { "maxTokens": 9000 } })),
        with(json!({ "inferenceConfig": { "temperature": 1.5 } })),
        with(json!({ "inferenceConfig": { "topP": -0.1 } })),
        with(json!({ "inferenceConfig": { "stopSequences": [""] } })),
        with(json!({ "toolConfig": { "tools": [] } })),
        with(json!({ "guardrailConfig": { "guardrailIdentifier": "g" } })),
        conversation(&[user(&[json!({ "text": "word ".repeat(200_001) })])], &json!({})),
    ];
    insta::assert_snapshot!(refused(&bodies).await, @"
    1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1
    The maximum tokens you requested exceeds the model limit of 8192. Try again with a maximum tokens value that is lower than 8192.
    1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to satisfy constraint: Member must have value less than or equal to 1
    1 validation error detected: Value '-0.1' at 'inferenceConfig.topP' failed to satisfy constraint: Member must have value greater than or equal to 0
    1 validation error detected: Value '' at 'inferenceConfig.stopSequences' failed to satisfy constraint: Member must have length greater than or equal to 1
    1 validation error detected: Value '[]' at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1
    The guardrail identifier or version provided in the request does not exist.
    Input is too long for requested model.
    ");
}

#[tokio::test]
async fn tool_rounds_that_are_not_whole() {
    let asked = || user(&[words()]);
    let bodies = [
        conversation(&[asked(), assistant(&[call("a")]), user(&[result("a")])], &json!({})),
        conversation(&[asked(), assistant(&[call("a"), call("b")]), user(&[result("a")])], &tools()),
        conversation(&[asked(), assistant(&[call("a")]), asked()], &tools()),
        conversation(&[asked(), assistant(&[call("a")])], &tools()),
        conversation(&[user(&[result("a")])], &tools()),
        conversation(&[asked(), assistant(&[call("a"), call("a")])], &tools()),
        conversation(&[user(&[call("a")])], &tools()),
    ];
    insta::assert_snapshot!(refused(&bodies).await, @"
    The toolConfig field must be defined when using toolUse and toolResult content blocks.
    Expected toolResult blocks at messages.2.content for the following Ids: b
    Expected toolResult blocks at messages.2.content for the following Ids: a
    Expected toolResult blocks at messages.2.content for the following Ids: a
    The number of toolResult blocks at messages.0.content exceeds the number of toolUse blocks of previous turn.
    The toolUse blocks at messages.1.content contain duplicate Ids: a
    The toolUse block at messages.0.content.0 is in a message with the user role. Move it to a message with the assistant role and try again.
    ");
}

#[tokio::test]
async fn a_conversation_with_whole_tool_rounds_is_taken() {
    let rounds = [
        user(&[json!({ "text": "log it twice" })]),
        assistant(&[words(), call("a"), call("b")]),
        user(&[result("b"), result("a")]),
        assistant(&[call("c")]),
        user(&[result("c"), json!({ "text": "and?" })]),
    ];
    let answer = Service::scripted().await.post("converse", conversation(&rounds, &tools())).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_unknown_model_is_an_invalid_identifier() {
    let service = Service::scripted().await;
    for operation in ["converse", "converse-stream", "count-tokens"] {
        let answer = service.post_to("eu.anthropic.claude-3.5-sonnet-20240620-v1:0", operation, hello()).await;
        assert_eq!(answer.status(), 400, "{operation}");
        let body = answer.text().await.expect("a body");
        assert_eq!(body, r#"{"message":"The provided model identifier is invalid."}"#, "{operation}");
    }
}

#[tokio::test]
async fn an_engines_failure_has_its_exception_in_both_forms() {
    let throttled = || EngineError::Throttled("Slow down.".into());
    let early = Service::with_engine(Canned(vec![Err(throttled())])).await;
    for operation in ["converse", "converse-stream"] {
        let answer = early.post(operation, hello()).await;
        assert_eq!(answer.status(), 429, "{operation}");
        assert_eq!(answer.headers()["x-amzn-errortype"], "ThrottlingException", "{operation}");
    }

    let pieces = vec![Ok(Piece::Text("Good".into())), Err(throttled())];
    let late = Service::with_engine(Canned(pieces)).await.post("converse-stream", hello()).await;
    insta::assert_snapshot!(frames(&late.bytes().await.expect("a body")), @r#"
    messageStart application/json event {"role":"assistant"}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":"Good"}}
    throttlingException application/json exception {"message":"Slow down."}
    "#);

    let unended = Service::with_engine(Canned(vec![Ok(Piece::Text("Good".into()))])).await;
    let body = unended.post("converse-stream", hello()).await.bytes().await.expect("a body");
    assert!(frames(&body).ends_with(r#"{"message":"The model ended its answer without a stop reason."}"#));
}

#[tokio::test]
async fn a_beginning_of_the_answer_that_the_model_does_not_go_on_from() {
    let beginning = |text: &str| conversation(&[user(&[words()]), assistant(&[json!({ "text": text })])], &json!({}));
    insta::assert_snapshot!(refused(&[beginning("Hello! "), beginning("Hello!\n")]).await, @"
    The model returned the following errors: messages: final assistant content cannot end with trailing whitespace
    The model returned the following errors: messages: final assistant content cannot end with trailing whitespace
    ");
    insta::assert_snapshot!(refused_by("eu.anthropic.claude-sonnet-4-6", &[beginning("Hello!")]).await, @"This model does not support assistant message prefill. The conversation must end with a user message.");

    let answer = Service::scripted().await.post("converse", beginning("Hello!")).await;
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["output"]["message"]["content"], json!([{ "text": " How can I help you today?" }]));
}

fn image(format: &str, source: &Value) -> Value {
    json!({ "image": { "format": format, "source": source } })
}

fn document(name: &str, source: &Value) -> Value {
    json!({ "document": { "format": "pdf", "name": name, "source": source } })
}

fn bytes() -> Value {
    json!({ "bytes": "aGk=" })
}

fn encoded(length: usize) -> Value {
    json!({ "bytes": aws_smithy_types::base64::encode(vec![7; length]) })
}

#[tokio::test]
async fn images_that_converse_does_not_take() {
    let with = |block: Value| conversation(&[user(&[words(), block])], &json!({}));
    let in_result = json!({ "toolResult": { "toolUseId": "a", "content": [image("tiff", &bytes())] } });
    let many: Vec<Value> = (0..21).map(|_| image("png", &bytes())).collect();
    let bodies = [
        with(image("bmp", &bytes())),
        with(image("png", &json!({ "bytes": "" }))),
        with(image("png", &json!({ "bytes": "not base64" }))),
        with(image("png", &json!({}))),
        with(image("png", &json!({ "bytes": "aGk=", "s3Location": { "uri": "s3://bucket/key" } }))),
        with(image("png", &json!({ "s3Location": { "uri": "https://bucket/key" } }))),
        with(image("png", &json!({ "s3Location": { "uri": "s3://bucket/key", "bucketOwner": "me" } }))),
        with(json!({ "image": { "source": bytes() } })),
        with(image("png", &encoded(3_932_161))),
        conversation(&[user(&many)], &json!({})),
        conversation(&[user(&[words()]), assistant(&[image("png", &bytes())]), user(&[words()])], &json!({})),
        conversation(&[user(&[words()]), assistant(&[call("a")]), user(&[in_result])], &tools()),
    ];
    insta::assert_snapshot!(refused(&bodies).await, @r"
    1 validation error detected: Value 'bmp' at 'messages.0.content.1.image.format' failed to satisfy constraint: Member must satisfy enum value set: [png, jpeg, gif, webp]
    1 validation error detected: Value '' at 'messages.0.content.1.image.source.bytes' failed to satisfy constraint: Member must have length greater than or equal to 1
    1 validation error detected: Value at 'messages.0.content.1.image.source.bytes' failed to satisfy constraint: Member must be valid base64
    1 validation error detected: Value at 'messages.0.content.1.image.source' failed to satisfy constraint: Member must be exactly one of: [bytes, s3Location]
    1 validation error detected: Value at 'messages.0.content.1.image.source' failed to satisfy constraint: Member must be exactly one of: [bytes, s3Location]
    1 validation error detected: Value 'https://bucket/key' at 'messages.0.content.1.image.source.s3Location.uri' failed to satisfy constraint: Member must satisfy regular expression pattern: s3://[a-z0-9][\.\-a-z0-9]{1,61}[a-z0-9](/.*)?
    1 validation error detected: Value 'me' at 'messages.0.content.1.image.source.s3Location.bucketOwner' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9]{12}
    1 validation error detected: Value null at 'messages.0.content.1.image.format' failed to satisfy constraint: Member must not be null
    The model returned the following errors: messages.0.content.1.image.source.bytes: image exceeds 5 MB maximum: 5242884 bytes > 5242880 bytes
    The number of images in the request exceeds the limit of 20. Reduce the number of images and retry your request.
    The image block at messages.1.content.0 is in a message with the assistant role. Move it to a message with the user role and try again.
    1 validation error detected: Value 'tiff' at 'messages.2.content.0.toolResult.content.0.image.format' failed to satisfy constraint: Member must satisfy enum value set: [png, jpeg, gif, webp]
    ");
}

#[tokio::test]
async fn documents_that_converse_does_not_take() {
    let with = |block: Value| conversation(&[user(&[words(), block])], &json!({}));
    let many: Vec<Value> = std::iter::once(words()).chain((0..6).map(|_| document("plan", &bytes()))).collect();
    let bodies = [
        with(document("plan.pdf", &bytes())),
        with(document("a  plan", &bytes())),
        with(document("", &bytes())),
        with(json!({ "document": { "format": "odt", "name": "plan", "source": bytes() } })),
        with(json!({ "document": { "format": "pdf", "source": bytes() } })),
        with(document("plan", &encoded(4_718_593))),
        conversation(&[user(&many)], &json!({})),
        conversation(&[user(&[document("plan", &bytes())])], &json!({})),
    ];
    insta::assert_snapshot!(refused(&bodies).await, @"
    The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character. Check that the file name conforms to these restrictions and retry your request.
    The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character. Check that the file name conforms to these restrictions and retry your request.
    1 validation error detected: Value '' at 'messages.0.content.1.document.name' failed to satisfy constraint: Member must have length between 1 and 200
    1 validation error detected: Value 'odt' at 'messages.0.content.1.document.format' failed to satisfy constraint: Member must satisfy enum value set: [pdf, csv, doc, docx, xls, xlsx, html, txt, md]
    1 validation error detected: Value null at 'messages.0.content.1.document.name' failed to satisfy constraint: Member must not be null
    The document at messages.0.content.1.document is too large: 4718593 bytes exceed the limit of 4.5 MB. Reduce the size of the document and retry your request.
    The number of documents in the request exceeds the limit of 5. Reduce the number of documents and retry your request.
    A text block must be included when using documents. Add a text block and retry your request.
    ");
}

#[tokio::test]
async fn images_and_documents_within_the_bounds_are_taken() {
    let result = json!({ "toolResult": { "toolUseId": "a", "content": [
        image("png", &bytes()), document("notes", &json!({ "text": "one two" })),
    ]}});
    let rounds = [
        user(&[
            words(),
            image("webp", &encoded(3_932_160)),
            image("gif", &json!({ "s3Location": { "uri": "s3://my-bucket/key", "bucketOwner": "123456789012" } })),
            document("My plan (2) [new]-x", &encoded(4_718_592)),
        ]),
        assistant(&[call("a")]),
        user(&[result]),
    ];
    let answer = Service::scripted().await.post("converse", conversation(&rounds, &tools())).await;
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.expect("JSON");
    let said = body["output"]["message"]["content"][0]["text"].as_str().expect("text");
    assert!(said.ends_with("I have seen a png image and the document notes."), "{said}");
}

#[tokio::test]
async fn a_tool_that_must_be_called_is_one_that_there_is() {
    let choosing = |choice: Value| {
        let mut more = tools();
        more["toolConfig"]["toolChoice"] = choice;
        conversation(&[user(&[words()])], &more)
    };
    let bodies = [
        choosing(json!({ "tool": { "name": "weigh" } })),
        choosing(json!({ "tool": {} })),
        choosing(json!({ "none": {} })),
        choosing(json!({})),
    ];
    insta::assert_snapshot!(refused(&bodies).await, @"
    The tool weigh at toolConfig.toolChoice.tool.name is not defined in toolConfig.tools. Choose a tool that is defined there and try again.
    1 validation error detected: Value at 'toolConfig.toolChoice.tool' failed to satisfy constraint: missing field `name`
    1 validation error detected: Value at 'toolConfig.toolChoice' failed to satisfy constraint: unknown variant `none`, expected one of `auto`, `any`, `tool`
    1 validation error detected: Value at 'toolConfig.toolChoice' failed to satisfy constraint: invalid value: map, expected map with a single key
    ");
}

#[tokio::test]
async fn tools_that_the_model_could_not_be_told_of() {
    let told = |tools: &[Value]| conversation(&[user(&[words()])], &json!({ "toolConfig": { "tools": tools } }));
    let tool = |name: &str, description: &str, schema: Value| {
        let schema = json!({ "json": schema });
        json!({ "toolSpec": { "name": name, "description": description, "inputSchema": schema } })
    };
    let object = || json!({ "type": "object" });
    let log = || tool("log", "Logs.", object());
    let bodies = [
        told(&[log(), tool("weigh", "", object())]),
        told(&[tool("weigh", " ", object())]),
        told(&[tool("weigh", "Weighs.", json!({ "type": "array" }))]),
        told(&[tool("weigh", "Weighs.", json!({ "oneOf": [object()] }))]),
        told(&[tool("weigh", "Weighs.", json!({}))]),
        told(&[log(), log()]),
        told(&[tool("log food", "Logs.", object())]),
    ];
    insta::assert_snapshot!(refused(&bodies).await, @"
    1 validation error detected: Value '' at 'toolConfig.tools.1.toolSpec.description' failed to satisfy constraint: Member must have length greater than or equal to 1
    1 validation error detected: Value ' ' at 'toolConfig.tools.0.toolSpec.description' failed to satisfy constraint: Member must have length greater than or equal to 1
    The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.
    The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.
    The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.
    The tool log is already defined at toolConfig.tools.1.toolSpec. Give each tool a name of its own and try again.
    1 validation error detected: Value 'log food' at 'toolConfig.tools.0.toolSpec.name' failed to satisfy constraint: Member must have length between 1 and 64 and satisfy regular expression pattern: [a-zA-Z0-9_-]+
    ");
    let without_description = json!({ "toolSpec": { "name": "log", "inputSchema": { "json": object() } } });
    let answer = Service::scripted().await.post("converse", told(&[without_description])).await;
    assert_eq!(answer.status(), 200);
}
