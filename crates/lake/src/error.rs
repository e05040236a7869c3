//! What can go wrong between us and the lake.

use deltalake_core::DeltaTableError;
use object_store::path::Path;

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// What was given as the lake's place is none.
    #[error("{location:?} is not a place for a lake: {reason}")]
    Location { location: String, reason: String },
    /// The rows can't be written as a file of `events`.
    #[error("the events can't be written as Parquet: {0}")]
    Encode(String),
    /// A file of the table is no Parquet, or the store failed while it was read.
    #[error("{path} can't be read: {source}")]
    Unreadable {
        path: Path,
        source: parquet::errors::ParquetError,
    },
    /// The store refused or did not answer. Whatever was asked may be asked again.
    #[error("the object store failed at {path}: {source}")]
    Store { path: Path, source: object_store::Error },
    /// The Delta log says what we can't follow.
    #[error("the Delta table can't be {doing}: {source}")]
    Delta {
        doing: &'static str,
        source: Box<DeltaTableError>,
    },
    /// Another writer has already brought the same stretch of the log into the table.
    #[error(
        "another writer of {app_id:?} has committed up to {theirs}, ours ended at {ours}: two processes write one \
         shard; stop one of them"
    )]
    Fenced { app_id: String, ours: i64, theirs: i64 },
    /// A commit or a file that we did not write as it is.
    #[error("{path} is nothing that Footfall can follow: {reason}")]
    Malformed { path: Path, reason: String },
}

impl LakeError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { .. } => true,
            Self::Unreadable { source, .. } => matches!(source, parquet::errors::ParquetError::External(_)),
            _ => false,
        }
    }

    pub(crate) fn store(path: &Path) -> impl FnOnce(object_store::Error) -> Self {
        let path = path.clone();
        move |source| Self::Store { path, source }
    }

    /// Delta's reader failed over a table that it could read before: it doesn't say whether the store was the cause, but
    /// then it mostly was, and asking again costs nothing.
    pub(crate) fn unread(source: DeltaTableError) -> Self {
        Self::Store {
            path: Path::from("_delta_log"),
            source: object_store::Error::Generic {
                store: "Delta",
                source: Box::new(source),
            },
        }
    }

    pub(crate) fn delta(doing: &'static str) -> impl FnOnce(DeltaTableError) -> Self {
        move |source| Self::Delta {
            doing,
            source: Box::new(source),
        }
    }
}
