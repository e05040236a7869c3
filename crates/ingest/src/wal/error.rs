//! WAL errors, and the description of damage.

use std::fmt;
use std::io;

use super::Position;

/// Acknowledged bytes of the WAL that are not what was written.
///
/// Whole records before and after it stay readable: a reader that reaches it gets [`WalError::Damaged`] and continues
/// behind it only by asking for `resume_at` itself. Nothing is skipped on its behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment file.
    pub path: String,
    /// Where in the file the first damaged byte may lie, in bytes from its start.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
    /// The first lost record.
    pub lost_from: Position,
    /// The first record behind the damage; equal to `lost_from` if no record is lost (a damaged file header), and
    /// `Position::MAX` if nothing behind it can be read.
    pub resume_at: Position,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.path, self.offset, self.reason)?;
        match self.resume_at.saturating_sub(self.lost_from) {
            _ if self.resume_at == Position::MAX => {
                write!(f, "; nothing from record {} on can be read", self.lost_from)
            }
            0 => write!(f, "; no record is lost"),
            1 => write!(f, "; record {} is lost", self.lost_from),
            _ => write!(f, "; records {} to {} are lost", self.lost_from, self.resume_at - 1),
        }
    }
}

/// Why a WAL operation failed.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The queue for the disk is full, or the WAL has reached its size limit; nothing was stored.
    #[error("the WAL cannot keep up; try again in {retry_after_seconds} s")]
    Overloaded { retry_after_seconds: u32 },
    /// The record is over the size limit; nothing was stored. Send less at once.
    #[error("a WAL record of {bytes} bytes is over the limit of {limit} bytes; send fewer events at once")]
    TooLarge { bytes: usize, limit: usize },
    /// A disk error; the record is not acknowledged.
    #[error("the WAL cannot use {path}: {source}")]
    Disk { path: String, source: io::Error },
    /// A stored record is not what was written.
    #[error("the WAL is damaged: {0}")]
    Damaged(Damage),
    /// The file is whole, but belongs to another WAL or a newer version.
    #[error("{path} does not belong to this WAL: {reason}")]
    Foreign { path: String, reason: String },
    /// Another process has the WAL open.
    #[error("another footfall process ({holder}) uses this WAL: {path}; stop it or give this one its own state folder")]
    InUse { path: String, holder: String },
    /// The position was trimmed away or never written.
    #[error("the WAL holds no record {0}")]
    NotHeld(Position),
    /// The WAL was shut down.
    #[error("the WAL is closed")]
    Closed,
}

impl WalError {
    /// The disk error at `path`.
    pub(super) fn disk(path: &str, source: io::Error) -> Self {
        Self::Disk {
            path: path.to_owned(),
            source,
        }
    }

    /// A copy for another record of the group: one write serves many callers, and `io::Error` cannot be cloned.
    pub(super) fn repeat(&self) -> Self {
        match self {
            Self::Overloaded { retry_after_seconds } => Self::Overloaded {
                retry_after_seconds: *retry_after_seconds,
            },
            Self::TooLarge { bytes, limit } => Self::TooLarge {
                bytes: *bytes,
                limit: *limit,
            },
            Self::Disk { path, source } => Self::disk(
                path,
                match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                },
            ),
            Self::Damaged(damage) => Self::Damaged(damage.clone()),
            Self::Foreign { path, reason } => Self::Foreign {
                path: path.clone(),
                reason: reason.clone(),
            },
            Self::InUse { path, holder } => Self::InUse {
                path: path.clone(),
                holder: holder.clone(),
            },
            Self::NotHeld(position) => Self::NotHeld(*position),
            Self::Closed => Self::Closed,
        }
    }
}
