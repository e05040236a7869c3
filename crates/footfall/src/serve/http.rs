//! The HTTP listener: bounded connections, timeouts for slow clients, and a drain at the end.
//!
//! A client that finds no free slot gets 503 at once, from a small number of extra connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::descriptors::Shares;
use super::io_timeouts::{IoTimeouts, TimedStream};

/// Read buffer of a connection; a request's head must fit. Bodies count towards the budget when they are taken
/// out, so this times the connections is outside every budget: hyper's default would go up to 400 KiB.
const READ_BUFFER: usize = 16 << 10;

/// How long a client may take to send a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may read nothing while a reply is pending.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a refused client may take to send its request, and again to read the response.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The response to a refused client.
const TURNED_AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
    Content-Length: 83\r\nRetry-After: 1\r\nConnection: close\r\n\r\n\
    {\"error\":{\"code\":\"overloaded\",\"message\":\"too many connections; try again in 1 s\"}}\n";

/// How long open requests may take during shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause when the system has no free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, then lets open requests finish.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    shares: Shares,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let slots = Arc::new(Semaphore::new(shares.http));
    let doors = Arc::new(Semaphore::new(shares.turned_away));
    let connections = TaskTracker::new();
    loop {
        // Before the next accept, so that refused connections are bounded too.
        let door = Arc::clone(&doors).acquire_owned();
        let (door, accepted) = tokio::select! {
            accepted = async { (door.await, listener.accept().await) } => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            metrics::counter!("footfall_http_turned_away_total").increment(1);
            connections.spawn(async move {
                let _door = door;
                // A client that does not read loses the response.
                let _ = timeout(2 * REFUSAL_TIMEOUT, turn_away(stream)).await;
            });
            continue;
        };
        let connection = connection(stream, peer, slot, &router);
        let stop = stop.clone();
        connections.spawn(async move {
            if let Err(error) = finish(connection, stop).await {
                tracing::debug!(%peer, %error, "the connection failed");
            }
        });
    }
    drop(listener);
    connections.close();
    if timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
        tracing::warn!("cut off HTTP requests that were still open");
    }
    Ok(())
}

/// Replies 503 to a client without a slot. What the client still sends is read: an early close would give it a
/// reset instead of the response.
async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> std::io::Result<()> {
    let mut ignored = [0; 4 << 10];
    // Usually the request has arrived; a client that connects in advance gets the response as well.
    if let Ok(0) = timeout(REFUSAL_TIMEOUT, stream.read(&mut ignored))
        .await
        .unwrap_or(Ok(1))
    {
        return Ok(());
    }
    stream.write_all(TURNED_AWAY).await?;
    stream.shutdown().await?;
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

type Connection = http1::Connection<TokioIo<TimedStream<TcpStream>>, TowerToHyperService<Router>>;

/// Serves the connection to its end; during shutdown, to the end of the open request.
async fn finish(connection: Connection, stop: CancellationToken) -> hyper::Result<()> {
    tokio::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return done,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

fn connection(stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit, router: &Router) -> Connection {
    // Replies are small: Nagle's delay would gain nothing.
    let _ = stream.set_nodelay(true);
    let service = router.clone().layer(Extension(ConnectInfo(peer)));
    let io_timeouts = IoTimeouts {
        // hyper times the head, and collection times the body.
        opening: None,
        stall: STALL_TIMEOUT,
    };
    let stream = TimedStream::new(stream, slot, io_timeouts);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn refused_client_gets_whole_reply_while_sending() {
        let (ours, mut theirs) = duplex(256);
        let server = tokio::spawn(turn_away(ours));
        let mut reply = String::new();
        theirs.write_all(&[b'x'; 10_000]).await.unwrap();
        theirs.shutdown().await.unwrap();
        theirs.read_to_string(&mut reply).await.unwrap();
        server.await.unwrap().unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 1\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
            "{head}"
        );
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], "overloaded");
    }
}
