//! Flags shared by several commands, and the settings that they make.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::Setting;

/// The settings that a command's flags make.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub(super) defaults: Vec<Setting>,
    pub(super) flags: Vec<Setting>,
}

impl Overrides {
    pub(super) fn flag(mut self, flag: &str, key: &str, value: Option<impl ToString>) -> Self {
        self.flags
            .extend(value.map(|value| Setting::flag(flag, key, value.to_string())));
        self
    }

    pub(super) fn preset(mut self, key: &str, value: &str) -> Self {
        self.defaults.push(Setting::preset(key, value));
        self
    }

    /// For interactive commands: only warnings and errors are logged.
    pub(super) fn quiet(self) -> Self {
        self.preset("log.level", "warn")
    }
}

/// Where a server stores its data.
#[derive(Debug, Args)]
pub(super) struct Folders {
    /// The lake: a folder, or s3://bucket/prefix [default: ./footfall-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Catalog and WAL [default: DATA/state, for a lake on S3 ./footfall-state]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl Folders {
    pub(super) fn overrides(&self) -> Overrides {
        let state = self.state.as_ref().map(|path| path.display());
        Overrides::default()
            .flag("--data", "data", self.data.as_ref())
            .flag("--state", "state", state)
    }
}

/// Where a server listens.
#[derive(Debug, Args)]
pub(super) struct Listen {
    /// HTTP: events, reports, administration, health [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(super) http: Option<SocketAddr>,
    /// gRPC: Flight SQL and events [default: 127.0.0.1:31337]
    #[arg(long, value_name = "ADDR")]
    pub(super) flight: Option<SocketAddr>,
}

impl Listen {
    pub(super) fn overrides(&self, overrides: Overrides) -> Overrides {
        overrides
            .flag("--http", "http.addr", self.http)
            .flag("--flight", "flight.addr", self.flight)
    }
}
