//! The arguments of `footfall rollup`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::AdminArgs;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall rollup create --file signups.toml
  footfall rollup list
  footfall sql \"SELECT hour, country, sum(signups) FROM signups GROUP BY 1, 2\"
  footfall rollup drop signups

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
}

impl RollupArgs {
    pub(super) fn admin(&self) -> &AdminArgs {
        match &self.command {
            RollupCommand::List(admin) => admin,
            RollupCommand::Create(create) => &create.admin,
            RollupCommand::Drop(rollup) => &rollup.admin,
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
