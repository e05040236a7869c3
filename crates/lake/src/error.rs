//! What can go wrong between us and the lake.

use std::error::Error;
use std::fmt;
use std::iter::successors;

use deltalake_core::DeltaTableError;
use object_store::client::HttpError;
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
    #[error("the object store failed at {path}: {}", Causes(source))]
    Store { path: Path, source: object_store::Error },
    /// The Delta log says what we can't follow.
    #[error("the Delta table can't be {doing}: {}", Causes(source.as_ref()))]
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
    /// Another process has taken the lease over.
    #[error("the lease {app_id:?} is at epoch {theirs}, ours at {ours}: another process holds it now")]
    StaleLease { app_id: String, ours: i64, theirs: i64 },
    /// A file that a commit would remove is not live any more.
    #[error("{path} is not in version {version} of the table any more; plan again")]
    Conflict { path: Path, version: u64 },
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

    /// Whether the store itself did not answer, or said that it can't now: waiting helps, unlike with a wrong key or a
    /// bucket that is not there.
    pub fn is_unreachable(&self) -> bool {
        let mut store_failed = false;
        for cause in causes(self) {
            if cause.is::<HttpError>() {
                return true;
            }
            // The status is in the text alone.
            store_failed |= matches!(
                cause.downcast_ref::<object_store::Error>(),
                Some(object_store::Error::Generic { .. })
            );
            if store_failed && says_try_again(&cause.to_string()) {
                return true;
            }
        }
        false
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

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// Whether S3's client gave up over a 5xx or a 429.
fn says_try_again(text: &str) -> bool {
    let status = text.split_once("status code: ").map(|(_, rest)| rest.as_bytes());
    matches!(status, Some([b'5', ..] | [b'4', b'2', b'9', ..]))
}

/// An error with what is behind it: S3's client alone says no more than "error sending request".
struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        write!(f, "{said}")?;
        for cause in causes(self.0).skip(1).map(ToString::to_string) {
            if !said.contains(&cause) {
                write!(f, ": {cause}")?;
                said = cause;
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
    fn a_store_that_can_not_now_is_told_from_one_that_never_will() {
        assert!(failed("Server returned non-2xx status code: 503 Service Unavailable: ").is_unreachable());
        assert!(failed("Server returned non-2xx status code: 429 Too Many Requests: ").is_unreachable());
        assert!(!failed("Server returned non-2xx status code: 400 Bad Request: ").is_unreachable());
        let source = DeltaTableError::generic("status code: 500");
        assert!(!LakeError::delta("read")(source).is_unreachable(), "that is no store's");
    }

    #[test]
    fn what_is_behind_an_error_is_said_once() {
        let text = failed("no reply").to_string();
        assert_eq!(text.matches("refused by the system").count(), 1, "{text}");
    }
}
