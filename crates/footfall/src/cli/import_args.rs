//! The arguments of `footfall import`.

use std::path::PathBuf;

use clap::Args;
use footfall_ingest::import::Format;

use super::overrides::{Folders, Overrides};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall import history/*.parquet
  footfall import events.ndjson.txt --format ndjson

Columns are named as those of `events`, or as the HTTP API names them; tracking_id, client_id, event_type and
event_timestamp must be there. Values follow the rules of the HTTP API. Each file is one transaction. Events that the
lake has already are left out, so files may overlap, and importing one again adds nothing.

Exit codes: 0 done; 1 nothing of a file was imported, because rows were rejected or it can't be read.")]
pub(crate) struct ImportArgs {
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// parquet, ndjson or csv [default: from the file's name]
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Import the other rows of a file of which rows are rejected [default: import nothing of it]
    #[arg(long)]
    pub(crate) skip_rejected: bool,
    #[command(flatten)]
    folders: Folders,
}

impl ImportArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides()
    }
}
