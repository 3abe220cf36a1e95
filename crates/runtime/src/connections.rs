//! Connections, and how long somebody may take to say what they want.
//!
//! A connection costs memory and one of the process's files, before anybody has asked for anything. Whoever says it a
//! byte at a time, or never, is hung up on; how long a payload may take is [`crate::http::body`]'s.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest head of a request, in bytes. A gateway's tokens are some thousands.
const LARGEST_HEAD: usize = 64 * 1024;

/// Serves HTTP/1.1 until `end`, and then the requests that were being answered. Each head must come within `patience`,
/// counted from when the connection had nothing else to do.
pub(crate) async fn serve(mut listener: impl Listener, routes: Router, patience: Duration, end: &CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience).max_header_size(LARGEST_HEAD);
    let open = TaskTracker::new();
    // A listener of axum's goes on by itself when the system has no more files.
    while let Some((stream, _)) = end.run_until_cancelled(listener.accept()).await {
        open.spawn(converse(http.clone(), stream, routes.clone(), end.clone()));
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// One connection, to its end.
async fn converse<S>(http: http1::Builder, stream: S, routes: Router, end: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke off");
    }
}
