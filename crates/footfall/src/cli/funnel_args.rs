//! The arguments of `footfall funnel`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::AdminArgs;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall funnel create --file funnel.json
  footfall funnel list
  footfall funnel show funnel_0123456789abcdef
  footfall funnel update funnel_0123456789abcdef --file funnel.json
  footfall funnel delete funnel_0123456789abcdef
  footfall sql \"SELECT * FROM funnel_results WHERE tracking_id = 'shop'\"

A funnel in JSON: docs/funnels.md.")]
pub(super) struct FunnelArgs {
    #[command(subcommand)]
    pub(super) command: FunnelCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum FunnelCommand {
    /// Create a funnel
    Create(FunnelCreate),
    /// List the funnels
    List(AdminArgs),
    /// Print a funnel's definition
    Show(FunnelId),
    /// Change a funnel's name, steps or window; its id stays
    Update(FunnelUpdate),
    /// Delete a funnel
    Delete(FunnelId),
}

impl FunnelArgs {
    pub(super) fn admin(&self) -> &AdminArgs {
        match &self.command {
            FunnelCommand::Create(create) => &create.admin,
            FunnelCommand::List(admin) => admin,
            FunnelCommand::Update(update) => &update.admin,
            FunnelCommand::Show(funnel) | FunnelCommand::Delete(funnel) => &funnel.admin,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct FunnelCreate {
    /// Its definition, in JSON
    #[arg(long, value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(super) struct FunnelUpdate {
    /// The funnel's id, as `funnel list` shows it
    pub(super) id: String,
    /// Its new definition, in JSON
    #[arg(long, value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(super) struct FunnelId {
    /// The funnel's id, as `funnel list` shows it
    pub(super) id: String,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}
