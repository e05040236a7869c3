//! The command line of the lake's care: what is deleted, what other programs may do, what is checked.

use clap::{Args, Subcommand};

use super::overrides::{Folders, Overrides};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall vacuum --dry-run       which files would go, and why
  footfall vacuum                 delete them

Lists the folders of all tables. Files that a merge or retention has removed are kept for a day, for queries that still
read them, and files that no table names for three, since an import may still commit them. A server may run beside it.")]
pub(crate) struct VacuumArgs {
    /// Print what would be deleted, and delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    folders: Folders,
}

impl VacuumArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall retention --dry-run                      what would go, and why
  footfall retention                                remove it
  footfall site update shop --retention 90d         keep the events of one site for a shorter time

Events go by whole days (UTC): `ingest.retention` of the configuration. Their rollups stay for `compact.rollup_retention`.
A site's own, shorter time holds for its events and its rollups.
The files themselves are deleted by `footfall vacuum`, a day later. A server may run beside it.")]
pub(crate) struct RetentionArgs {
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    folders: Folders,
}

impl RetentionArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall verify --sample 20            any 20 merged files
  footfall verify --date 2026-11-24      all of one day

Reads files of events, aggregates them again and compares every row with the stored segments. Exit code 0: all are equal.
1: something differs, or a file can't be read; each is printed with its name.")]
pub(crate) struct VerifyArgs {
    /// Only files of this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<chrono::NaiveDate>,
    /// Only so many files, chosen at random [default: all]
    #[arg(long, value_name = "FILES")]
    pub(crate) sample: Option<usize>,
    #[command(flatten)]
    folders: Folders,
}

impl VerifyArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall table unlock events    other programs may append to, delete from and optimize events
  footfall table lock             back to the default: Footfall alone writes its tables

Every Delta reader reads the tables at all times. While a table is locked, its protocol requires a feature that only
Footfall knows, so that other programs refuse to write it. A server may run beside it.")]
pub(crate) struct TableArgs {
    #[command(subcommand)]
    pub(crate) command: TableCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Let other programs write
    Unlock(TableNames),
    /// Footfall alone writes
    Lock(TableNames),
}

#[derive(Debug, Args)]
pub(crate) struct TableNames {
    /// Tables, such as events [default: all]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    folders: Folders,
}

impl TableArgs {
    pub(super) fn overrides(&self) -> Overrides {
        match &self.command {
            TableCommand::Unlock(names) | TableCommand::Lock(names) => names.folders.overrides(),
        }
    }
}
