//! Faults as clients meet them.

use aws_sdk_bedrockruntime::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::*;

/// The name of an error enum's variant: `Unhandled` for what the SDK has no type for.
fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn each_refusing_fault_raises_the_sdks_own_exception_in_both_forms() {
    let mut raised = Vec::new();
    for fault in ["throttle", "unavailable", "server-error", "model-timeout", "model-not-ready", "access-denied"] {
        let sdk = Service::with_faults(&format!("{fault}*2")).await.sdk();
        let whole = sdk.converse().model_id(MODEL).messages(hello_message()).send().await;
        let stream = sdk.converse_stream().model_id(MODEL).messages(hello_message()).send().await;
        let whole = whole.expect_err("a fault").into_service_error();
        let stream = stream.expect_err("a fault").into_service_error();
        assert_eq!(whole.code(), stream.code());
        raised.push(format!("{fault}: {}", variant(&whole)));
    }
    insta::assert_snapshot!(raised.join("\n"), @"
    throttle: ThrottlingException
    unavailable: ServiceUnavailableException
    server-error: InternalServerException
    model-timeout: ModelTimeoutException
    model-not-ready: ModelNotReadyException
    access-denied: AccessDeniedException
    ");
}

#[tokio::test]
async fn a_refusal_says_when_to_ask_again_where_it_is_told_to() {
    for (fault, says) in [("throttle", None), ("throttle=3", Some("3")), ("unavailable=0", Some("0"))] {
        for form in ["converse", "converse-stream"] {
            let refused = Service::with_faults(fault).await.post(form, hello()).await;
            let told = refused.headers().get("retry-after").map(|value| value.to_str().expect("ASCII"));
            assert_eq!(told, says, "{fault}");
        }
    }
}

#[tokio::test]
async fn a_fault_in_a_stream_shows_after_the_events_it_counts() {
    let mut seen = Vec::new();
    for fault in ["stream-error@2", "throttle-stream@2", "cut@2", "corrupt@3", "cut@0", "stream-error@0"] {
        let sdk = Service::with_faults(fault).await.sdk();
        let answer = sdk.converse_stream().model_id(MODEL).messages(hello_message()).send().await;
        let mut stream = answer.expect("the stream begins well").stream;
        let mut events = 0;
        let error = loop {
            match stream.recv().await {
                Ok(Some(_)) => events += 1,
                Ok(None) => panic!("{fault}: the stream ended as if nothing were wrong"),
                Err(error) => break error,
            }
        };
        let kind = match error {
            SdkError::ServiceError(error) => variant(error.err()),
            other => DisplayErrorContext(other).to_string(),
        };
        let kind = kind.split(':').next().unwrap_or_default();
        seen.push(format!("{fault}: {events} events, then {kind}"));
    }
    insta::assert_snapshot!(seen.join("\n"), @"
    stream-error@2: 2 events, then ModelStreamErrorException
    throttle-stream@2: 2 events, then ThrottlingException
    cut@2: 2 events, then dispatch failure
    corrupt@3: 2 events, then response error
    cut@0: 0 events, then dispatch failure
    stream-error@0: 0 events, then ModelStreamErrorException
    ");
}

#[tokio::test]
async fn a_corrupt_event_fails_its_checksum_and_no_other() {
    let service = Service::with_faults("corrupt@2").await;
    let body = service.post("converse-stream", hello()).await.bytes().await.expect("a body");
    let mut buffer = BytesMut::from(&body[..]);
    let mut decoder = MessageFrameDecoder::new();

    decoder.decode_frame(&mut buffer).expect("the first event is good");
    let error = decoder.decode_frame(&mut buffer).expect_err("the second is not");

    assert!(error.to_string().contains("checksum"), "{error}");
}

#[tokio::test]
async fn silence_keeps_the_connection_open_and_says_nothing() {
    let service = Service::with_faults("silence@3*").await;
    let mut body = service.post("converse-stream", hello()).await.bytes_stream();
    let mut received = BytesMut::new();
    let mut decoder = MessageFrameDecoder::new();
    for _ in 0..3 {
        while let DecodedFrame::Incomplete = decoder.decode_frame(&mut received).expect("frames") {
            let chunk = tokio::time::timeout(SOON, body.next()).await.expect("an event");
            received.extend_from_slice(&chunk.expect("more").expect("no error"));
        }
    }
    let more = tokio::time::timeout(Duration::from_millis(100), body.next()).await;
    assert!(more.is_err(), "not silent: {more:?}");
    assert!(received.is_empty());
}

#[tokio::test]
async fn a_whole_answer_has_the_stream_faults_in_its_own_form() {
    let whole = |fault: &'static str| async move {
        let answer = Service::with_faults(fault).await.post("converse", hello()).await;
        let status = answer.status().as_u16();
        let error = answer.headers().get("x-amzn-errortype").cloned();
        let body = tokio::time::timeout(Duration::from_millis(500), answer.bytes()).await;
        (status, error, body)
    };

    let (status, error, _) = whole("stream-error@1").await;
    assert_eq!((status, error.expect("an error")), (424, "ModelErrorException".parse().expect("a value")));
    let (status, error, _) = whole("throttle-stream@1").await;
    assert_eq!((status, error.expect("an error")), (429, "ThrottlingException".parse().expect("a value")));
    let (status, _, body) = whole("corrupt@1").await;
    assert_eq!(status, 200);
    serde_json::from_slice::<Value>(&body.expect("in time").expect("a body")).expect_err("half an answer");
    let (_, _, body) = whole("cut@1").await;
    body.expect("in time").expect_err("a broken connection");
    let (_, _, body) = whole("silence@1").await;
    body.expect_err("nothing in time");
}

#[tokio::test]
async fn slow_pauses_before_every_delta() {
    let service = Service::with_faults("slow=20").await;
    let began = Instant::now();
    let body = service.post("converse-stream", hello()).await.bytes().await.expect("a body");
    let deltas = frames(&body).matches("contentBlockDelta").count();
    let least = Duration::from_millis(20) * u32::try_from(deltas).expect("few deltas");
    assert!(deltas > 1);
    assert!(began.elapsed() >= least, "{deltas} deltas in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_call_asks_for_its_own_fault_by_header_and_only_for_itself() {
    let service = Service::scripted().await;
    let ask = |fault: Option<&'static str>| {
        let mut request = http_client().post(format!("{}/model/{MODEL}/converse", service.base)).body(hello());
        if let Some(fault) = fault {
            request = request.header("x-local-fault", fault);
        }
        async move { request.send().await.expect("an answer") }
    };
    assert_eq!(ask(Some("unavailable")).await.status(), 503);
    assert_eq!(ask(None).await.status(), 200);
    let refused = ask(Some("typhoon")).await;
    assert_eq!(refused.status(), 400);
    insta::assert_snapshot!(refused.text().await.expect("a body"), @r#"{"message":"Header x-local-fault: `typhoon` is not a fault: there is none of that name. Faults are throttle, unavailable, server-error, model-timeout, model-not-ready, access-denied (each with =SECONDS for a retry-after), cut@N, stream-error@N, throttle-stream@N, corrupt@N (N counts stream events), silence@N and slow=MILLIS; FAULT*COUNT arms one for the next COUNT calls, FAULT* for every call, and commas separate several."}"#);
}

/// AWS's SDK for JavaScript reaches an endpoint without TLS so.
#[tokio::test]
async fn a_cut_over_http2_comes_after_the_events_it_counts_too() {
    let service = Service::with_faults("cut@2").await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
    let answer = client.post(format!("{}/model/{MODEL}/converse-stream", service.base)).body(hello()).send().await;
    let answer = answer.expect("the answer begins well");
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);

    let mut received = BytesMut::new();
    let mut body = answer.bytes_stream();
    let broken = loop {
        match body.next().await.expect("an error before the end") {
            Ok(chunk) => received.extend_from_slice(&chunk),
            Err(error) => break error,
        }
    };

    assert!(broken.is_body() || broken.is_decode(), "{broken:?}");
    assert_eq!(frames(&received).lines().count(), 2);
}
