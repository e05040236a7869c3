//! The gRPC listener: Flight SQL, and the collection of events.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

/// Pings keep proxies from closing connections whose query takes long.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long streams under way may take once we are to stop.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// Serves until `stop`, then lets streams under way finish.
pub(super) async fn serve(listener: TcpListener, routes: Routes, stop: CancellationToken) -> anyhow::Result<()> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .tcp_nodelay(true)
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.clone().cancelled_owned());
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
