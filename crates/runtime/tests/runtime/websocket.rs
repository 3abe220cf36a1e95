use crate::played::Served;

#[cfg(not(feature = "websocket"))]
#[tokio::test]
async fn an_agent_without_it_refuses_the_handshake_and_says_what_to_build() {
    let served = Served::start();
    let answer = served.answer(served.client.get(served.url("/ws")).header("upgrade", "websocket")).await;
    insta::assert_snapshot!(answer, @r"
    403
    this agent has no WebSocket; build it with `--features websocket`, or send POST /invocations
    ");
}

#[cfg(feature = "websocket")]
mod open {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use agentcore_runtime::Server;
    use agentcore_runtime::core::memory::process::ProcessMemory;
    use agentcore_runtime::core::message::{Role, StopReason};
    use agentcore_runtime::core::model::{
        BlockDelta, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest,
    };
    use futures::SinkExt as _;
    use futures::future::BoxFuture;
    use futures::stream::{self, StreamExt as _};
    use serde_json::{Value, json};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpSocket, TcpStream};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::{WebSocketStream, client_async};
    use tokio_util::sync::CancellationToken;

    use super::Served;
    use crate::played::Obedient;

    /// How much a client takes in that reads nothing, in bytes.
    const LITTLE: u32 = 4_096;

    async fn connected(address: SocketAddr, session: &str) -> WebSocketStream<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(LITTLE).expect("a size");
        let stream = socket.connect(address).await.expect("it listens");
        let url = format!("ws://{address}/ws?X-Amzn-Bedrock-AgentCore-Runtime-Session-Id={session}");
        client_async(url, stream).await.expect("a handshake").0
    }

    async fn prompt(socket: &mut WebSocketStream<TcpStream>, prompt: &str) {
        socket.send(Message::text(json!({ "prompt": prompt }).to_string())).await.expect("it reads");
    }

    /// The next message that is no event, or how the connection was closed.
    async fn end(socket: &mut WebSocketStream<TcpStream>) -> Result<Value, u16> {
        loop {
            match socket.next().await.expect("a message").expect("a message") {
                Message::Text(text) => {
                    let told: Value = serde_json::from_str(&text).expect("JSON");
                    if told.get("event").is_none() {
                        return Ok(told);
                    }
                }
                Message::Close(frame) => return Err(frame.expect("a code").code.into()),
                _ => {}
            }
        }
    }

    /// The content of the next frame, whether it is the message's last, and how long it is with its head.
    async fn frame(stream: &mut TcpStream) -> (Vec<u8>, bool, usize) {
        let (kind, length) = (stream.read_u8().await.expect("a frame"), stream.read_u8().await.expect("a frame"));
        let (length, head) = match length {
            126 => (usize::from(stream.read_u16().await.expect("a length")), 4),
            127 => panic!("a frame above 64 KB"),
            length => (usize::from(length), 2),
        };
        let mut content = vec![0; length];
        stream.read_exact(&mut content).await.expect("a content");
        (content, kind & 0x80 != 0, head + length)
    }

    #[tokio::test]
    async fn no_frame_has_32_kb_however_long_the_message_is() {
        let served = Served::start();
        let mut socket = connected(served.address, "one").await;
        let long = "x".repeat(100_000);
        prompt(&mut socket, &long).await;
        // What the client's library puts together is looked at before it does.
        let mut stream = socket.into_inner();
        let (mut longest, mut said) = (0, String::new());
        while !said.contains(&long) {
            let mut message = Vec::new();
            loop {
                let (content, is_last, length) = frame(&mut stream).await;
                message.extend(content);
                longest = longest.max(length);
                if is_last {
                    break;
                }
            }
            let told: Value = serde_json::from_slice(&message).expect("a whole message is JSON");
            said += told["event"]["contentBlockDelta"]["delta"]["text"].as_str().unwrap_or_default();
        }
        assert!((16_000..32_000).contains(&longest), "{longest}");
    }

    #[tokio::test]
    async fn a_failure_of_ours_is_told_and_closes_the_connection() {
        let served = Served::start();
        let mut socket = connected(served.address, "one").await;
        prompt(&mut socket, "panic").await;
        let mut told = end(&mut socket).await.expect("the failure is told");
        told["request_id"] = "<id>".into();
        insta::assert_snapshot!(told, @r#"{"error":"The agent failed unexpectedly. Please try again.","error_type":"internal_error","message":"An error occurred during streaming","code":"internal_error","request_id":"<id>"}"#);
        assert_eq!(end(&mut socket).await, Err(1011));
        assert_eq!(served.ping().await["status"], "Healthy");
    }

    #[tokio::test]
    async fn a_failure_of_the_models_is_told_and_the_next_message_is_answered() {
        let served = Served::start();
        let mut socket = connected(served.address, "one").await;
        prompt(&mut socket, "throttled").await;
        let told = end(&mut socket).await.expect("the failure is told");
        assert_eq!((&told["code"], &told["retry_after"]), (&json!("model_throttled"), &json!(7)));
        prompt(&mut socket, "Hello!").await;
        assert_eq!(end(&mut socket).await.expect("an answer")["stop_reason"], "end_turn");
    }

    #[tokio::test]
    async fn a_process_that_is_full_says_so_and_the_connection_stays() {
        let served = Served::of(Arc::new(ProcessMemory::default()), |server| server.admitting(0, 1_000_000));
        let mut socket = connected(served.address, "one").await;
        for _ in 0..2 {
            prompt(&mut socket, "Hello!").await;
            let told = end(&mut socket).await.expect("the refusal is told");
            assert_eq!((&told["code"], &told["retry_after"]), (&json!("overloaded"), &json!(1)));
        }
    }

    #[tokio::test]
    async fn given_the_end_then_a_turn_beyond_the_bound_is_cut_and_told_before_goodbye() {
        let memory = Arc::new(ProcessMemory::default());
        let served = Served::of(memory, |server| server.drain(Duration::from_millis(50)));
        let mut socket = connected(served.address, "one").await;
        prompt(&mut socket, "slow story").await;
        served.until(async || served.model.asked() > 0).await;
        served.begin_to_end();
        assert_eq!(end(&mut socket).await.expect("the cut is told")["code"], "cut");
        assert_eq!(end(&mut socket).await, Err(1001));
        served.end().await.expect("a quiet end");
    }

    /// Says `brief` things briefly, and of all others never an end.
    #[derive(Default)]
    struct Chatterer {
        words: Arc<AtomicUsize>,
    }

    impl Model for Chatterer {
        fn converse<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
            Box::pin(std::future::pending())
        }

        fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
            let delta =
                |text: String| ModelEvent::ContentBlockDelta { content_block_index: 0, delta: BlockDelta::Text(text) };
            let is_brief = request.messages[0].text() == "brief";
            let words = Arc::clone(&self.words);
            Box::pin(async move {
                let start = stream::iter([ModelEvent::MessageStart { role: Role::Assistant }]);
                if is_brief {
                    let stop = ModelEvent::MessageStop { stop_reason: StopReason::EndTurn };
                    return Ok(start.chain(stream::iter([delta("Yes.".to_owned()), stop])).map(Ok).boxed());
                }
                let endless = stream::repeat_with(move || {
                    words.fetch_add(1, Ordering::SeqCst);
                    delta("x".repeat(20_000))
                });
                Ok(start.chain(endless).map(Ok).boxed())
            })
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_makes_its_own_model_wait_and_can_still_cancel() {
        let model = Chatterer::default();
        let words = Arc::clone(&model.words);
        let server = Server::new(Obedient, Arc::new(model), Arc::new(ProcessMemory::default()));
        let listening = server.listen().expect("a free port");
        let (address, served_until) = (listening.address(), CancellationToken::new());
        let ended = tokio::spawn(listening.serve_until(served_until.clone()));

        let mut deaf = connected(address, "deaf").await;
        prompt(&mut deaf, "Tell me everything").await;
        let mut other = connected(address, "other").await;
        let given = async || words.load(Ordering::SeqCst);
        // Others are served meanwhile; how long the model goes on is up to the buffers of the system.
        let waits = async {
            loop {
                let before = given().await;
                for _ in 0..20 {
                    prompt(&mut other, "brief").await;
                    assert_eq!(end(&mut other).await.expect("an answer")["message"]["content"][0]["text"], "Yes.");
                }
                if before > 0 && given().await == before {
                    return before;
                }
            }
        };
        let given = tokio::time::timeout(Duration::from_secs(30), waits).await.expect("the model waits");
        assert!(given < 1_000, "20 MB and more were taken from the model: {given}");

        deaf.send(Message::text(r#"{"cancel": true}"#)).await.expect("it reads");
        assert_eq!(end(&mut deaf).await.expect("the end is told")["code"], "cancelled");
        prompt(&mut deaf, "brief").await;
        assert_eq!(end(&mut deaf).await.expect("an answer")["stop_reason"], "end_turn");

        served_until.cancel();
        assert_eq!((end(&mut deaf).await, end(&mut other).await), (Err(1001), Err(1001)));
        ended.await.expect("no panic").expect("a quiet end");
    }
}
