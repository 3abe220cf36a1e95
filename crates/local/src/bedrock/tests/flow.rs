//! How answers flow: piece by piece, no faster than the client reads, no longer than it stays.

use super::*;

/// An engine without end that counts what it made and tells when it is dropped.
#[derive(Clone, Default)]
struct Endless {
    made: Arc<AtomicUsize>,
    dropped: Arc<Notify>,
}

struct TellsWhenDropped(Arc<Notify>);

impl Drop for TellsWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Engine for Endless {
    fn answer(&self, _conversation: Conversation) -> Pieces {
        let made = Arc::clone(&self.made);
        let guard = TellsWhenDropped(Arc::clone(&self.dropped));
        Box::pin(futures::stream::repeat_with(move || {
            let _held = &guard;
            made.fetch_add(1, Ordering::SeqCst);
            Ok(Piece::Text("x".repeat(64 * 1024)))
        }))
    }
}

#[tokio::test]
async fn an_engine_waits_for_a_client_that_does_not_read_and_stops_for_one_that_leaves() {
    let engine = Endless::default();
    let service = Service::with_engine(engine.clone()).await;
    let answer = service.post("converse-stream", hello()).await;

    let mut made = usize::MAX;
    tokio::time::timeout(SOON, async {
        while made != engine.made.load(Ordering::SeqCst) {
            made = engine.made.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .expect("the engine comes to rest while nobody reads");

    drop(answer);
    tokio::time::timeout(SOON, engine.dropped.notified()).await.expect("the engine is stopped");
}

#[tokio::test]
async fn a_word_reaches_the_client_before_the_next_is_known() {
    let mut body = Service::with_engine(OneWord).await.post("converse-stream", hello()).await.bytes_stream();
    let mut received = BytesMut::new();
    while !received.windows(5).any(|window| window == b"Hello") {
        let chunk = tokio::time::timeout(SOON, body.next()).await.expect("the word in time");
        received.extend_from_slice(&chunk.expect("more").expect("no error"));
    }
}
