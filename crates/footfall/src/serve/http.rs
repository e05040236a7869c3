//! The HTTP listener: bounded connections, patience with slow senders that ends, and a drain at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at the same time; more wait in the kernel's queue.
const CONNECTIONS: usize = 8_192;

/// How long a client may take to send a request's head.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);

/// How long requests under way may take once we are to stop.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait when the system has no free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, then lets requests under way finish.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let slot = Arc::clone(&slots).acquire_owned();
        let (slot, accepted) = tokio::select! {
            accepted = async { (slot.await, listener.accept().await) } => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = connection(stream, peer, &router);
        let stop = stop.clone();
        connections.spawn(async move {
            let _slot = slot;
            if let Err(error) = finish(connection, stop).await {
                tracing::debug!(%peer, %error, "the connection ended badly");
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN_PATIENCE, connections.wait()).await.is_err() {
        tracing::warn!("some HTTP requests were still under way and were cut off");
    }
    Ok(())
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

/// Serves the connection to its end; once we are to stop, to the end of the request that is under way.
async fn finish(connection: Connection, stop: CancellationToken) -> hyper::Result<()> {
    tokio::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return done,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

fn connection(stream: TcpStream, peer: SocketAddr, router: &Router) -> Connection {
    // Replies are small: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let service = router.clone().layer(Extension(ConnectInfo(peer)));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
}
