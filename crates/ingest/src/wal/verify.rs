//! Checks a whole WAL by reading it. Nothing is changed.

use std::path::Path;

use super::disk::{Disk, FsDisk};
use super::recovery::{open_and_examine, survey};
use super::{Damage, Position, WalError};

/// What a WAL holds and its damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segment files.
    pub segments: usize,
    /// Whole records.
    pub records: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The first position held; `last + 1` if none is.
    pub first: Position,
    /// The last position.
    pub last: Position,
    /// Bytes of interrupted writes, never acknowledged.
    pub torn_bytes: u64,
    /// Damage to acknowledged records.
    pub damaged: Vec<Damage>,
}

impl VerifyReport {
    /// True if everything that was acknowledged is there.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }
}

/// Reads all records of the WAL in `dir`, which no process may have open.
///
/// # Errors
/// [`WalError::InUse`]; [`WalError::Foreign`]; [`WalError::Damaged`] only if no segment's header can be read, all
/// other damage is in the report; [`WalError::Disk`].
pub fn verify(dir: &Path) -> Result<VerifyReport, WalError> {
    verify_on(&FsDisk::lock(dir)?)
}

/// The same on any disk.
///
/// # Errors
/// See [`verify`].
pub fn verify_on(disk: &dyn Disk) -> Result<VerifyReport, WalError> {
    let survey = survey(disk)?;
    let mut report = VerifyReport {
        damaged: survey.damaged.clone(),
        ..VerifyReport::default()
    };
    let Some(id) = survey.id else {
        return Ok(VerifyReport { first: 1, ..report });
    };
    report.segments = survey.segments.len();
    report.first = survey.segments.first().map_or(1, |segment| segment.first);
    for (nth, segment) in survey.segments.iter().enumerate() {
        let (_, examined) = open_and_examine(disk, &survey, id, nth)?;
        report.records += examined.kept.records;
        report.bytes += segment.bytes;
        report.last = examined.kept.last;
        report.torn_bytes += examined.torn_bytes;
        report.damaged.extend(examined.damaged);
    }
    Ok(report)
}
