//! Connections: accepting them, serving them, and ending them in order.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// How long a connection may take to bring the head of its next request, from when it opens or
/// from the end of the request before. So it is also how long an idle connection is kept: longer
/// than the minute after which the usual load balancers close theirs, because one that outlives
/// ours would send into a closed connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// The most that a connection buffers: the size of the largest head of a request, and how much of
/// a body is read at once.
const BUFFER: usize = 64 * 1024;

/// How long to wait before accepting again when the process has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long requests that were given up may take to notice.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `shutdown`, then lets requests that are under way finish for up to `grace` and
/// drops the rest.
///
/// # Errors
///
/// When the listener has no address. Failures to accept a connection end nothing.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    grace: Duration,
) -> io::Result<()> {
    tracing::debug!(address = %listener.local_addr()?, "accepting connections");
    accept(listener, router, shutdown, grace, HEAD_TIMEOUT).await;
    Ok(())
}

pub(super) async fn accept(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    grace: Duration,
    head_timeout: Duration,
) {
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let (shutdown, abort) = (shutdown.child_token(), abort.clone());
                let peer = Peer { stream, address, head_timeout };
                connections.spawn(connection(peer, router.clone(), shutdown, abort));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // From here on clients are refused rather than kept waiting.
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        let open = connections.len();
        tracing::warn!(open, ?grace, "gave up on requests that did not finish in time");
        abort.cancel();
        // One that does not even notice must not keep the process alive.
        let _ = tokio::time::timeout(ABORT_TIMEOUT, connections.wait()).await;
    }
}

/// Whether only the connection that was to be accepted has failed.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A connection that was accepted.
struct Peer {
    stream: TcpStream,
    address: SocketAddr,
    head_timeout: Duration,
}

async fn connection(
    peer: Peer,
    router: Router,
    shutdown: CancellationToken,
    abort: CancellationToken,
) {
    let Peer { stream, address, head_timeout } = peer;
    // Responses are written whole; waiting for more to send with them only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %address, %error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        // A router is always ready.
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = shutdown.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = connection => ended,
                () = abort.cancelled() => return,
            }
        }
    };
    // Clients that go away or send nonsense are no matter of the host.
    if let Err(error) = ended {
        tracing::debug!(peer = %address, %error, "a connection failed");
    }
}
