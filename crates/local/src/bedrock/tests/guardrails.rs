//! Guardrails: what they make of prompts and answers, and what they tell.

use super::*;

const DEFINITION: &str = r#"{
    "name": "clinic",
    "version": "1",
    "blockedInputMessaging": "I cannot talk about that.",
    "blockedOutputsMessaging": "I would rather not say.",
    "wordPolicyConfig": { "wordsConfig": [{ "text": "snake oil" }] },
    "topicPolicyConfig": { "topicsConfig": [
        { "name": "Shares", "definition": "Advice on shares", "examples": ["which shares should I buy"], "type": "DENY" }
    ] },
    "sensitiveInformationPolicyConfig": {
        "piiEntitiesConfig": [{ "type": "EMAIL", "action": "ANONYMIZE" }, { "type": "PHONE", "action": "BLOCK" }],
        "regexesConfig": [{ "name": "case", "pattern": "CASE-[0-9]+", "action": "ANONYMIZE" }]
    }
}"#;

async fn guarded(engine: impl Engine) -> Service {
    let guardrail: Guardrail = DEFINITION.parse().expect("a guardrail");
    Service::start(Bedrock::new(Brain::Engine(Arc::new(engine))).with_guardrails([guardrail])).await
}

fn request(text: &str, more: &Value) -> String {
    let mut configuration = json!({ "guardrailIdentifier": "clinic", "guardrailVersion": "1", "trace": "enabled" });
    for (name, value) in more.as_object().expect("members") {
        configuration[name] = value.clone();
    }
    json!({ "messages": [{ "role": "user", "content": [{ "text": text }] }], "guardrailConfig": configuration })
        .to_string()
}

async fn converse(service: &Service, body: String) -> Value {
    let mut answer: Value = service.post("converse", body).await.json().await.expect("JSON");
    without_latency(&mut answer);
    answer
}

fn saying(words: &[&str]) -> Canned {
    let usage = Usage { input_tokens: 5, output_tokens: 9 };
    let words = words.iter().map(|word| Ok(Piece::Text((*word).to_owned())));
    Canned(words.chain([Ok(Piece::End { reason: StopReason::EndTurn, usage })]).collect())
}

async fn streamed(service: &Service, body: String) -> String {
    frames(&service.post("converse-stream", body).await.bytes().await.expect("a body"))
}

#[tokio::test]
async fn a_blocked_prompt_is_answered_without_the_model() {
    let service = guarded(Canned(Vec::new())).await;
    let body = request("Do you sell Snake Oil? Which shares should I buy?", &json!({}));

    insta::assert_snapshot!(serde_json::to_string_pretty(&converse(&service, body.clone()).await).expect("JSON"), @r#"
    {
      "usage": {
        "inputTokens": 0,
        "outputTokens": 0,
        "totalTokens": 0
      },
      "metrics": {
        "latencyMs": 0
      },
      "trace": {
        "guardrail": {
          "inputAssessment": {
            "clinic": {
              "topicPolicy": {
                "topics": [
                  {
                    "name": "Shares",
                    "type": "DENY",
                    "action": "BLOCKED",
                    "detected": true
                  }
                ]
              },
              "wordPolicy": {
                "customWords": [
                  {
                    "match": "Snake Oil",
                    "action": "BLOCKED",
                    "detected": true
                  }
                ],
                "managedWordLists": []
              },
              "invocationMetrics": {
                "guardrailProcessingLatency": 1,
                "usage": {
                  "topicPolicyUnits": 1,
                  "contentPolicyUnits": 0,
                  "wordPolicyUnits": 1,
                  "sensitiveInformationPolicyUnits": 1,
                  "sensitiveInformationPolicyFreeUnits": 1,
                  "contextualGroundingPolicyUnits": 0
                },
                "guardrailCoverage": {
                  "textCharacters": {
                    "guarded": 49,
                    "total": 49
                  }
                }
              }
            }
          },
          "actionReason": "Guardrail blocked."
        }
      },
      "output": {
        "message": {
          "role": "assistant",
          "content": [
            {
              "text": "I cannot talk about that."
            }
          ]
        }
      },
      "stopReason": "guardrail_intervened"
    }
    "#);
    let frames = streamed(&service, body).await;
    let (events, metadata) = frames.rsplit_once('\n').expect("lines");
    insta::assert_snapshot!(events, @r#"
    messageStart application/json event {"role":"assistant"}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":"I cannot talk about that."}}
    contentBlockStop application/json event {"contentBlockIndex":0}
    messageStop application/json event {"stopReason":"guardrail_intervened"}
    "#);
    assert!(metadata.contains(r#""actionReason":"Guardrail blocked.""#), "{metadata}");
}

#[tokio::test]
async fn a_blocked_answer_is_replaced_before_any_of_it_is_sent() {
    let service = guarded(saying(&["Buy snake", " oil", " today."])).await;
    let body = request("Hello", &json!({}));

    let answer = converse(&service, body.clone()).await;
    assert_eq!(answer["output"]["message"]["content"], json!([{ "text": "I would rather not say." }]));
    assert_eq!(answer["stopReason"], "guardrail_intervened");
    let assessment = &answer["trace"]["guardrail"]["outputAssessments"]["clinic"][0];
    insta::assert_snapshot!(assessment["wordPolicy"], @r#"{"customWords":[{"match":"snake oil","action":"BLOCKED","detected":true}],"managedWordLists":[]}"#);
    let frames = streamed(&service, body).await;
    let (events, _) = frames.rsplit_once('\n').expect("lines");
    insta::assert_snapshot!(events, @r#"
    messageStart application/json event {"role":"assistant"}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":"I would rather"}}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":" not say."}}
    contentBlockStop application/json event {"contentBlockIndex":0}
    messageStop application/json event {"stopReason":"guardrail_intervened"}
    "#);
}

#[tokio::test]
async fn a_stream_that_is_checked_as_it_goes_stops_at_the_match() {
    let service = guarded(saying(&["Buy snake", " oil", " today."])).await;
    let body = request("Hello", &json!({ "streamProcessingMode": "async", "trace": "disabled" }));
    insta::assert_snapshot!(streamed(&service, body).await, @r#"
    messageStart application/json event {"role":"assistant"}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":"Buy snake"}}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":" oil"}}
    contentBlockStop application/json event {"contentBlockIndex":0}
    messageStop application/json event {"stopReason":"guardrail_intervened"}
    metadata application/json event {"usage":{"inputTokens":5,"outputTokens":9,"totalTokens":14},"metrics":{"latencyMs":0}}
    "#);
}

#[tokio::test]
async fn words_are_held_back_until_checked_unless_asked_otherwise() {
    let service = guarded(OneWord).await;
    let asynchronous = request("Hello", &json!({ "streamProcessingMode": "async" }));
    let mut body = service.post("converse-stream", asynchronous).await.bytes_stream();
    tokio::time::timeout(SOON, body.next()).await.expect("the word in time").expect("a frame").expect("no error");

    let held = service.post("converse-stream", request("Hello", &json!({})));
    assert!(tokio::time::timeout(Duration::from_millis(300), held).await.is_err(), "a word passed unchecked");
}

#[tokio::test]
async fn what_is_anonymised_is_masked_for_the_model_and_for_the_caller() {
    let service = guarded(Scripted).await;
    let heard = converse(&service, request("I am at a@b.ie, about CASE-7", &json!({}))).await;
    insta::assert_snapshot!(heard["output"]["message"]["content"][0]["text"], @r#""Thanks, I read you loud and clear: “I am at {EMAIL}, about {case}”""#);
    assert_eq!(
        (&heard["stopReason"], &heard["trace"]["guardrail"]["actionReason"]),
        (&json!("end_turn"), &json!("Guardrail masked."))
    );

    let service = guarded(saying(&["Write to a@", "b.ie."])).await;
    let said = converse(&service, request("Hello", &json!({}))).await;
    assert_eq!(said["output"]["message"]["content"], json!([{ "text": "Write to {EMAIL}." }]));
    assert_eq!(said["stopReason"], "guardrail_intervened");
}

#[tokio::test]
async fn content_that_is_marked_for_the_guardrail_is_all_it_looks_at() {
    let service = guarded(Scripted).await;
    let mut body: Value = serde_json::from_str(&request("snake oil", &json!({}))).expect("JSON");
    let content = body["messages"][0]["content"].as_array_mut().expect("content");
    content.push(json!({ "guardContent": { "text": { "text": "Hello" } } }));
    assert_eq!(converse(&service, body.to_string()).await["stopReason"], "end_turn");
}

#[tokio::test]
async fn a_guardrail_that_does_not_exist_is_refused() {
    let service = guarded(Scripted).await;
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:guardrail/clinic";
    let known = converse(&service, request("Hello", &json!({ "guardrailIdentifier": arn }))).await;
    assert_eq!(known["stopReason"], "end_turn");

    for wrong in [json!({ "guardrailIdentifier": "other" }), json!({ "guardrailVersion": "DRAFT" })] {
        let answer = service.post("converse", request("Hello", &wrong)).await;
        assert_eq!(answer.status(), 400);
        let body = answer.text().await.expect("a body");
        assert_eq!(
            body,
            r#"{"message":"The guardrail identifier or version provided in the request does not exist."}"#
        );
    }
    let answer = service.post("converse", request("Hello", &json!({ "streamProcessingMode": "later" }))).await;
    insta::assert_snapshot!(answer.text().await.expect("a body"), @r#"{"message":"1 validation error detected: Value at 'guardrailConfig.streamProcessingMode' failed to satisfy constraint: unknown variant `later`, expected `sync` or `async`"}"#);
}

#[test]
fn a_definition_that_cannot_be_applied_is_refused() {
    let refused = |definition: &str| definition.parse::<Guardrail>().expect_err("not applicable").to_string();
    let with = |policy: &str| {
        refused(&format!(r#"{{ "name": "g", "blockedInputMessaging": "", "blockedOutputsMessaging": "", {policy} }}"#))
    };
    let told = [
        refused("{}"),
        with(r#""contentPolicyConfig": {}"#),
        with(r#""sensitiveInformationPolicyConfig": { "piiEntitiesConfig": [{ "type": "NAME", "action": "BLOCK" }] }"#),
        with(
            r#""sensitiveInformationPolicyConfig": { "regexesConfig": [{ "name": "x", "pattern": "(", "action": "BLOCK" }] }"#,
        ),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    it is not what CreateGuardrail takes, or more than is applied here: missing field `name` at line 1 column 2; leave out policies that need a model
    it is not what CreateGuardrail takes, or more than is applied here: unknown field `contentPolicyConfig`, expected one of `name`, `version`, `blockedInputMessaging`, `blockedOutputsMessaging`, `wordPolicyConfig`, `topicPolicyConfig`, `sensitiveInformationPolicyConfig`, `description`, `tags`, `kmsKeyId`, `clientRequestToken` at line 1 column 96; leave out policies that need a model
    personal data of type NAME are not found here; give EMAIL, PHONE, or a pattern in regexesConfig
    `(` is not a pattern: found open group without closing ')'
    ");
}
