//! The gRPC listener: Flight SQL, and the collection of events.
//!
//! ```text
//! connections (as many as fit, windows) -> streams of each -> headers: token -> calls -> messages: memory, time
//! ```
//!
//! What a client sends takes memory in two places only, both of them configured: in its connection's window until it
//! is read (`flight.receive_bytes`), and as a message (`ingest.in_flight_bytes`). A client that has vanished is found
//! out by pings.

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

/// Calls of a connection at the same time; a client that wants more has to wait, or to connect again.
const STREAMS: u32 = 100;

/// Of a call's headers, unpacked. gRPC's own libraries take as much.
const HEADER_BYTES: u32 = 8 << 10;

/// Streams that a client has reset before they were looked at; more end its connection.
const UNSEEN_RESETS: usize = 20;

/// Pings keep proxies from closing connections whose query takes long.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Pings begin when HTTP/2 does. Until then, a client has so long for the 24 bytes with which it begins.
const PATIENCE: IoTimeouts = IoTimeouts {
    opening: Some((24, Duration::from_secs(10))),
    stall: Duration::from_secs(30),
};

/// How long to wait when the system has no free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long streams under way may take once we are to stop.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// Serves until `stop`, then lets streams under way finish. More than so many connections, or than fit in
/// `receive_bytes`, are left in the kernel's queue.
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
        tokio::time::sleep(DRAIN_PATIENCE).await;
    };
    tokio::select! {
        served = server => Ok(served?),
        () = too_long => {
            tracing::warn!("some Flight streams were still under way and were cut off");
            Ok(())
        }
    }
}

/// Connections, no more than so many at a time.
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
                    tracing::warn!(%error, "no Flight connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        // Messages are written whole: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        Some((Ok(TimedStream::new(stream, slot, PATIENCE)), (listener, slots)))
    })
}
