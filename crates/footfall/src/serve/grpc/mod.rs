//! The gRPC listener: Flight SQL, and the collection of events.
//!
//! ```text
//! connections (as many as fit, windows) -> streams of each -> headers: token -> calls -> messages: memory, time
//! ```
//!
//! Client data takes memory in two places only, both configured: in its connection's window until the server reads it
//! (`flight.receive_bytes`), and as a message (`ingest.in_flight_bytes`). Pings detect a client that has
//! vanished.

mod calls;
mod framing;
mod open_calls;
mod request_body;
mod stopwatch;
mod windows;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use super::io_timeouts::{IoTimeouts, TimedStream};
use windows::Windows;

pub(super) use calls::{BoundedCalls, CallLimits};

/// Concurrent calls of a connection; a client that wants more has to wait, or to open another connection.
const STREAMS: u32 = 100;

/// Size of a call's headers, decompressed. gRPC's own libraries allow as much.
const HEADER_BYTES: u32 = 8 << 10;

/// Streams that a client resets before they are processed; more than these end its connection.
const UNSEEN_RESETS: usize = 20;

/// Pings keep proxies from closing connections while a query runs long.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Pings begin with HTTP/2. Until then, this is the timeout for the 24 bytes of the client's preface.
const TIMEOUTS: IoTimeouts = IoTimeouts {
    opening: Some((24, Duration::from_secs(10))),
    stall: Duration::from_secs(30),
};

/// Pause when the system has no free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long open streams may take during shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until `stop`, then lets open streams finish. Connections beyond the limit, or beyond what fits in
/// `receive_bytes`, stay in the kernel's queue.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Routes,
    connections: usize,
    receive_bytes: usize,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let windows = Windows::of(connections, receive_bytes);
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .max_concurrent_streams(STREAMS)
        .initial_connection_window_size(windows.connection)
        .initial_stream_window_size(windows.stream)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(UNSEEN_RESETS))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming(listener, windows.connections), stop.clone().cancelled_owned());
    let too_long = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        served = server => Ok(served?),
        () = too_long => {
            tracing::warn!("cut off Flight streams that were still open");
            Ok(())
        }
    }
}

/// Connections, limited in number.
fn incoming(
    listener: TcpListener,
    connections: usize,
) -> impl Stream<Item = Result<TimedStream<TcpStream>, Infallible>> {
    let slots = Arc::new(Semaphore::new(connections));
    futures::stream::unfold((listener, slots), |(listener, slots)| async move {
        // The semaphore is never closed: the stream has no end.
        let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(error) => {
                    tracing::warn!(%error, "a Flight connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        // Messages are written whole: Nagle's delay would gain nothing.
        let _ = stream.set_nodelay(true);
        Some((Ok(TimedStream::new(stream, slot, TIMEOUTS)), (listener, slots)))
    })
}
