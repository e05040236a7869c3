//! The arguments of `footfall segment` and `footfall dashboard`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::AdminArgs;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall segment create --file segment.json
  footfall segment list
  footfall segment show segment_0123456789abcdef
  footfall segment update segment_0123456789abcdef --file segment.json
  footfall segment delete segment_0123456789abcdef

A segment in JSON: docs/segments.md.")]
pub(super) struct SegmentArgs {
    #[command(subcommand)]
    pub(super) command: SavedCommand,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall dashboard create --file dashboard.json
  footfall dashboard list
  footfall dashboard show dashboard_0123456789abcdef
  footfall dashboard update dashboard_0123456789abcdef --file dashboard.json
  footfall dashboard delete dashboard_0123456789abcdef

A dashboard in JSON: docs/dashboards.md.")]
pub(super) struct DashboardArgs {
    #[command(subcommand)]
    pub(super) command: SavedCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum SavedCommand {
    /// Create one
    Create(SavedFile),
    /// List all of them
    List(AdminArgs),
    /// Print one in JSON
    Show(SavedId),
    /// Replace one's name and content; its id and its site stay
    Update(SavedUpdate),
    /// Delete one
    Delete(SavedId),
}

impl SavedCommand {
    pub(super) fn admin(&self) -> &AdminArgs {
        match self {
            Self::Create(create) => &create.admin,
            Self::List(admin) => admin,
            Self::Update(update) => &update.admin,
            Self::Show(saved) | Self::Delete(saved) => &saved.admin,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct SavedFile {
    /// Its site, name and content, in JSON
    #[arg(long, value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(super) struct SavedUpdate {
    /// Its id, as `list` shows it
    pub(super) id: String,
    /// Its site, new name and new content, in JSON
    #[arg(long, value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(super) struct SavedId {
    /// Its id, as `list` shows it
    pub(super) id: String,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}
