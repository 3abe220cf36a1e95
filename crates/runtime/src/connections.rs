//! Connections, and how long somebody may take to say what they want.
//!
//! A connection costs memory and one of the process's files, before anybody has asked for anything. Whoever says it a
//! byte at a time, or never, is hung up on; how long a payload may take is [`crate::http::body`]'s.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest head of a request, in bytes. A gateway's tokens are some thousands.
const LARGEST_HEAD: usize = 64 * 1024;

/// The pause after the system has given no connection: it has no files left, and gets some when connections end.
const OUT_OF_FILES: Duration = Duration::from_secs(1);

/// Serves HTTP/1.1 until `end`, and then the requests that were being answered. Each head must come within `patience`,
/// counted from when the connection had nothing else to do.
pub(crate) async fn serve(listener: TcpListener, routes: Router, patience: Duration, end: &CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience).max_header_size(LARGEST_HEAD);
    let open = TaskTracker::new();
    while let Some(accepted) = end.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => drop(open.spawn(converse(http.clone(), stream, routes.clone(), end.clone()))),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(error_type = "OutOfFiles", error = %error, "no connection can be accepted");
                let _ = end.run_until_cancelled(sleep(OUT_OF_FILES)).await;
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// One connection, to its end.
async fn converse(http: http1::Builder, stream: TcpStream, routes: Router, end: CancellationToken) {
    // Events are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
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

/// Whether it was that caller's, who is gone, and the next may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
