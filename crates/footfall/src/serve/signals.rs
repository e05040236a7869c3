//! Shutdown signals.

use tokio::signal;

/// Returns the name of the signal that asks us to stop.
#[cfg(unix)]
pub(super) async fn terminated() -> anyhow::Result<&'static str> {
    let mut term = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => Ok("SIGTERM"),
        pressed = signal::ctrl_c() => pressed.map(|()| "SIGINT").map_err(Into::into),
    }
}

/// Returns the name of the signal that asks us to stop.
#[cfg(not(unix))]
pub(super) async fn terminated() -> anyhow::Result<&'static str> {
    signal::ctrl_c().await?;
    Ok("Ctrl-C")
}
