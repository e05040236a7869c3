//! Errors of the lake.

use std::error::Error;
use std::fmt;
use std::iter::successors;

use delta_kernel::Error as KernelError;
use deltalake_core::DeltaTableError;
use footfall_model::table::SpecError;
use object_store::client::HttpError;
use object_store::path::Path;
use parquet::errors::ParquetError;

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The configured location can't hold a lake.
    #[error("{location:?} is not a location for a lake: {reason}")]
    Location { location: String, reason: String },
    /// What a table is to be is not possible.
    #[error(transparent)]
    Declaration(SpecError),
    /// The rows can't be written as a file of `events`.
    #[error("the events can't be written as Parquet: {0}")]
    Encode(String),
    /// A file of the table is no Parquet, or the store failed while it was read.
    #[error("{path} can't be read: {source}")]
    Unreadable { path: Path, source: ParquetError },
    /// The store refused or did not answer. The request may be retried.
    #[error("the object store failed at {path}: {}", Causes(source))]
    Store { path: Path, source: object_store::Error },
    /// The Delta log has content that we can't follow.
    #[error("the Delta table can't be {doing}: {}", Causes(source.as_ref()))]
    Delta {
        doing: &'static str,
        source: Box<DeltaTableError>,
    },
    /// Another writer has already committed the same range of the WAL to the table.
    #[error(
        "another writer of {app_id:?} has committed up to {theirs}, ours ended at {ours}: two processes write one \
         shard; stop one of them"
    )]
    Fenced { app_id: String, ours: i64, theirs: i64 },
    /// Another process has taken the lease over.
    #[error("the lease {app_id:?} is at epoch {theirs}, ours at {ours}: another process holds it now")]
    StaleLease { app_id: String, ours: i64, theirs: i64 },
    /// A file that a commit would remove is no longer live.
    #[error("{path} is not in version {version} of the table any more; plan again")]
    Conflict { path: Path, version: u64 },
    /// Another commit has added a file to the partitions that a commit depends on.
    #[error("{path} was added by version {version} or shortly before; read it and commit again")]
    ReadSetChanged { path: Path, version: u64 },
    /// The files of a commit have waited for it so long that vacuum may have deleted them.
    #[error("{path} waited for its commit for more than {hours} hours and may be deleted; write it again")]
    StagedTooLong { path: Path, hours: i64 },
    /// The table requires a feature that we don't support.
    #[error("the table {table} can't be followed: {reason}. To go on, {advice}")]
    Unsupported {
        table: String,
        reason: String,
        advice: String,
    },
    /// A commit or a file that we did not write as it is.
    #[error("{path} is not what Footfall can follow: {reason}")]
    Malformed { path: Path, reason: String },
}

impl LakeError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { source, .. } => !matches!(
                source,
                object_store::Error::InvalidPath { .. }
                    | object_store::Error::NotSupported { .. }
                    | object_store::Error::NotImplemented { .. }
                    | object_store::Error::UnknownConfigurationKey { .. }
            ),
            Self::Unreadable { source, .. } => matches!(source, ParquetError::External(_)) && !self.is_missing(),
            _ => false,
        }
    }

    /// Whether a file is missing: it may have been removed from the table, and then from the store, since the snapshot
    /// was taken.
    pub fn is_missing(&self) -> bool {
        matches!(self.store_error(), Some(object_store::Error::NotFound { .. }))
    }

    /// Whether the store did not answer, or answered that it is temporarily unavailable: a later retry helps,
    /// unlike with a wrong key or a missing bucket.
    pub fn is_unreachable(&self) -> bool {
        let Some(error) = self.store_error() else { return false };
        let failed = matches!(error, object_store::Error::Generic { .. });
        causes(error).any(|cause| {
            // The status is only in the text.
            cause.is::<HttpError>() || failed && says_try_again(&cause.to_string())
        })
    }

    /// The store's error, if it was the store.
    fn store_error(&self) -> Option<&object_store::Error> {
        match self {
            Self::Store { source, .. } => Some(source),
            Self::Unreadable { source, .. } => of_parquet(source),
            Self::Delta { source, .. } => of_delta(source),
            _ => None,
        }
    }

    pub(crate) fn store(path: &Path) -> impl FnOnce(object_store::Error) -> Self {
        let path = path.clone();
        move |source| Self::Store { path, source }
    }

    /// Delta's reader failed on a table that it could read before. Unless the Delta log is invalid, the store failed or
    /// returned an incomplete list, and a retry helps.
    pub(crate) fn unread(source: DeltaTableError) -> Self {
        if is_final(&source) {
            return Self::delta("read")(source);
        }
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

/// Whether a retry by Delta's reader would fail in the same way.
fn is_final(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::KernelError(error) => is_final_kernel(error),
        DeltaTableError::InvalidJsonLog { .. }
        | DeltaTableError::InvalidStatsJson { .. }
        | DeltaTableError::SchemaMismatch { .. }
        | DeltaTableError::MetadataError(_)
        | DeltaTableError::UnsupportedColumnMapping { .. } => true,
        _ => false,
    }
}

fn is_final_kernel(error: &KernelError) -> bool {
    match error {
        KernelError::Backtraced { source, .. } => is_final_kernel(source),
        KernelError::Unsupported(_)
        | KernelError::InvalidProtocol(_)
        | KernelError::InvalidColumnMappingMode(_)
        | KernelError::MalformedJson(_)
        | KernelError::DeletionVector(_)
        | KernelError::Arrow(_)
        | KernelError::Schema(_) => true,
        _ => false,
    }
}

/// The store's error inside one of Delta's library, whose chain of sources omits it.
fn of_delta(error: &DeltaTableError) -> Option<&object_store::Error> {
    match error {
        DeltaTableError::ObjectStore { source } => Some(source),
        DeltaTableError::Parquet { source } => of_parquet(source),
        DeltaTableError::KernelError(error) => of_kernel(error),
        DeltaTableError::GenericError { source } => source.downcast_ref(),
        _ => None,
    }
}

fn of_kernel(error: &KernelError) -> Option<&object_store::Error> {
    match error {
        KernelError::Backtraced { source, .. } => of_kernel(source),
        KernelError::ObjectStore(source) => Some(source),
        KernelError::Parquet(source) => of_parquet(source),
        KernelError::GenericError { source } => source.downcast_ref(),
        _ => None,
    }
}

fn of_parquet(error: &ParquetError) -> Option<&object_store::Error> {
    match error {
        ParquetError::External(source) => source.downcast_ref(),
        _ => None,
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// Whether the S3 client gave up after a 5xx or a 429.
fn says_try_again(text: &str) -> bool {
    let status = text.split_once("status code: ").map(|(_, rest)| rest.as_bytes());
    matches!(status, Some([b'5', ..] | [b'4', b'2', b'9', ..]))
}

/// Displays an error with its sources: the S3 client's own text is only "error sending request".
struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        write!(f, "{last}")?;
        for cause in causes(self.0).skip(1).map(ToString::to_string) {
            if !last.contains(&cause) {
                write!(f, ": {cause}")?;
                last = cause;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn failed(text: &str) -> LakeError {
        let source = io::Error::other("refused by the system");
        let source = io::Error::other(format!("{text}: {source}"));
        let source = object_store::Error::Generic {
            store: "S3",
            source: Box::new(source),
        };
        LakeError::delta("read")(DeltaTableError::ObjectStore { source })
    }

    #[test]
    fn unreachable_store_differs_from_bad_request() {
        assert!(failed("Server returned non-2xx status code: 503 Service Unavailable: ").is_unreachable());
        assert!(failed("Server returned non-2xx status code: 429 Too Many Requests: ").is_unreachable());
        assert!(!failed("Server returned non-2xx status code: 400 Bad Request: ").is_unreachable());
        let source = DeltaTableError::generic("status code: 500");
        assert!(!LakeError::delta("read")(source).is_unreachable(), "that is no store's");
    }

    #[test]
    fn delta_library_errors_are_classified_by_type() {
        let missing = || object_store::Error::NotFound {
            path: "x".into(),
            source: io::Error::other("gone").into(),
        };
        let refused = || object_store::Error::Generic {
            store: "S3",
            source: "status code: 503".into(),
        };
        let kernel = |error| LakeError::delta("read")(DeltaTableError::KernelError(error));
        assert!(kernel(KernelError::ObjectStore(refused())).is_unreachable());
        assert!(!kernel(KernelError::ObjectStore(missing())).is_unreachable());
        assert!(!kernel(KernelError::Unsupported("status code: 503".into())).is_unreachable());

        let unread = |error| LakeError::unread(DeltaTableError::KernelError(error)).is_transient();
        assert!(unread(KernelError::ObjectStore(refused())));
        assert!(unread(KernelError::MissingVersion));
        assert!(!unread(KernelError::Unsupported("a feature".into())));
        assert!(!LakeError::unread(DeltaTableError::MetadataError("wrong".into())).is_transient());
    }

    #[test]
    fn missing_file_is_not_transient() {
        let unreadable = |source| LakeError::Unreadable {
            path: Path::from("x"),
            source: ParquetError::External(Box::new(source)),
        };
        let missing = unreadable(object_store::Error::NotFound {
            path: "x".into(),
            source: io::Error::other("gone").into(),
        });
        assert!(missing.is_missing() && !missing.is_transient());
        let silent = unreadable(object_store::Error::Generic {
            store: "S3",
            source: "no answer".into(),
        });
        assert!(!silent.is_missing() && silent.is_transient());
    }

    #[test]
    fn error_source_is_displayed_once() {
        let text = failed("no reply").to_string();
        assert_eq!(text.matches("refused by the system").count(), 1, "{text}");
    }
}
