//! Logs: to standard error, so that a command's output stays clean.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Libraries whose `info` messages are useful only to their authors.
const TALKATIVE: &str = "buoyant_kernel=warn,deltalake_core=warn";

/// Starts logging; a second call changes nothing.
pub(super) fn init(log: &Log) {
    // The level was checked when the configuration was read. Its per-module directives win over ours.
    let filter = EnvFilter::try_new(format!("{TALKATIVE},{}", log.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
