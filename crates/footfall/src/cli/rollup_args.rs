//! The arguments of `footfall rollup`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::AdminArgs;
use super::overrides::{Folders, Overrides};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall rollup create --file signups.toml
  footfall rollup list
  footfall sql \"SELECT hour, country, sum(signups) FROM signups GROUP BY 1, 2\"
  footfall rollup drop signups
  footfall rollup advise --toml > new.toml

signups.toml:
  name = \"signups\"
  sites = [\"shop\"]                  # left out: all sites
  grain = \"hour\"                    # quarter_hour, hour or day
  dimensions = [\"country\", \"channel\"]

  [[measures]]                      # left out: those of most built-in rollups
  name = \"signups\"
  function = \"count\"                # count, sum, min, max or sketch
  column = \"event_type\"
  equals = \"signup\"

It can be queried at once. The compactor adds history in the background; `rollup list` says how much of it is there.
docs/rollups.md has more.")]
pub(super) struct RollupArgs {
    #[command(subcommand)]
    pub(super) command: RollupCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum RollupCommand {
    /// List the configured rollups, and how much of the events each covers
    List(AdminArgs),
    /// Create a rollup
    Create(RollupCreate),
    /// Drop a rollup
    Drop(RollupName),
    /// Propose rollups that would have saved most rows of the last statements
    Advise(RollupAdvise),
}

impl RollupArgs {
    pub(super) fn overrides(&self) -> Overrides {
        match &self.command {
            RollupCommand::List(admin) => admin.overrides(),
            RollupCommand::Create(create) => create.admin.overrides(),
            RollupCommand::Drop(rollup) => rollup.admin.overrides(),
            RollupCommand::Advise(advise) => advise.folders.overrides(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct RollupCreate {
    /// Its definition, in TOML
    #[arg(long, value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(super) struct RollupName {
    /// The rollup's name
    pub(super) name: String,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall rollup advise                         what to make, and how large it will be
  footfall rollup advise --toml > new.toml       the definition of the best
  footfall rollup create --file new.toml

A running server remembers the last 1,000 statements (system.queries), and what rollup would have answered those that it
computed from events. Sizes are estimated from one day of events.")]
pub(super) struct RollupAdvise {
    /// How many to propose at most
    #[arg(long, default_value_t = 3)]
    pub(super) limit: usize,
    /// Print the definition of the best one alone, for `rollup create --file`
    #[arg(long, conflicts_with = "json")]
    pub(super) toml: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Flight address of the server, such as grpc://127.0.0.1:31337 [default: from the configuration]
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// Token of all sites for the server [default: the admin token of the state folder, if it can be read]
    #[arg(long, env = "FOOTFALL_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    #[command(flatten)]
    folders: Folders,
}
