//! When a checkpoint is worth its cost. Opening a table reads the newest checkpoint and every commit after it; writing
//! a checkpoint lists every file of the table again.

use object_store::ObjectMeta;

/// The size of a table's Delta log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogGrowth {
    /// Bytes of the newest checkpoint; 0 if there is none.
    pub checkpoint_bytes: u64,
    /// Versions after it.
    pub versions: u64,
    /// Bytes of these versions.
    pub bytes: u64,
}

/// Why a checkpoint should be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointReason {
    /// The versions after the last checkpoint are large relative to it.
    Grown,
    /// Their bytes reach the limit, regardless of their number.
    Large,
    /// Their number reaches the limit, regardless of their bytes: each is a request.
    Many,
}

impl CheckpointReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grown => "grown",
            Self::Large => "large",
            Self::Many => "many",
        }
    }
}

/// With fewer versions, no checkpoint is written unless they are large.
const FEW: u64 = 100;

/// From this number of versions on, a checkpoint is always written.
const MANY: u64 = 500;

/// The versions after a checkpoint are large relative to it from this fraction of its bytes on: a quarter.
const PART: u64 = 4;

/// Bytes of versions after a checkpoint that justify another, if they are also at least twice its own.
const LARGE: u64 = 8 * 1_024 * 1_024;

impl LogGrowth {
    /// Whether a checkpoint should be written, and why.
    pub fn decide(&self) -> Option<CheckpointReason> {
        if self.versions >= MANY {
            return Some(CheckpointReason::Many);
        }
        if self.versions >= FEW && self.bytes.saturating_mul(PART) >= self.checkpoint_bytes {
            return Some(CheckpointReason::Grown);
        }
        let large = self.bytes >= LARGE.max(self.checkpoint_bytes.saturating_mul(2));
        large.then_some(CheckpointReason::Large)
    }

    /// From the listing of a Delta log's folder.
    pub(super) fn of(objects: &[ObjectMeta]) -> Self {
        let named = || {
            objects
                .iter()
                .filter_map(|object| Some((entry(object.location.filename()?)?, object.size)))
        };
        let checkpoint = named()
            .filter(|(entry, _)| !entry.is_commit)
            .map(|(entry, _)| entry.version)
            .max();
        let mut growth = Self::default();
        for (entry, size) in named() {
            if entry.is_commit && checkpoint.is_none_or(|checkpoint| entry.version > checkpoint) {
                growth.versions += 1;
                growth.bytes += size;
            } else if !entry.is_commit && Some(entry.version) == checkpoint {
                growth.checkpoint_bytes += size;
            }
        }
        growth
    }
}

struct Entry {
    version: u64,
    /// Or a checkpoint.
    is_commit: bool,
}

fn entry(name: &str) -> Option<Entry> {
    let (version, rest) = name.split_once('.')?;
    let version = (version.len() == 20).then(|| version.parse().ok())??;
    let is_commit = rest == "json";
    (is_commit || rest.starts_with("checkpoint.")).then_some(Entry { version, is_commit })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use object_store::path::Path;

    use super::*;

    fn object(name: &str, size: u64) -> ObjectMeta {
        ObjectMeta {
            location: Path::from(format!("events/_delta_log/{name}")),
            last_modified: DateTime::UNIX_EPOCH,
            size,
            e_tag: None,
            version: None,
        }
    }

    #[test]
    fn growth_counts_from_newest_checkpoint() {
        let commits = (0..30).map(|version| object(&format!("{version:020}.json"), 10));
        let others = [
            object("_last_checkpoint", 7),
            object("00000000000000000010.checkpoint.parquet", 1_000),
            object("00000000000000000020.checkpoint.0000000001.0000000002.parquet", 2_000),
            object("00000000000000000020.checkpoint.0000000002.0000000002.parquet", 500),
            object("00000000000000000029.crc", 5),
            object("00000000000000000029.json.tmp", 5),
        ];
        let all: Vec<_> = commits.clone().chain(others).collect();
        let growth = |checkpoint_bytes, versions, bytes| LogGrowth {
            checkpoint_bytes,
            versions,
            bytes,
        };
        assert_eq!(LogGrowth::of(&all), growth(2_500, 9, 90));
        assert_eq!(LogGrowth::of(&commits.collect::<Vec<_>>()), growth(0, 30, 300));
        assert_eq!(LogGrowth::of(&[]), LogGrowth::default());
    }

    #[test]
    fn checkpoint_is_due_by_growth() {
        use CheckpointReason::{Grown, Large, Many};
        const MIB: u64 = 1_024 * 1_024;
        for (checkpoint_bytes, versions, bytes, expected) in [
            (0, 0, 0, None),
            (0, 99, 120_000, None),
            (0, 100, 120_000, Some(Grown)),
            // A lake of 10,000 files: some minutes of commits are little beside it.
            (2 * MIB, 100, 120_000, None),
            (2 * MIB, 450, 540_000, Some(Grown)),
            // A hundred thousand files.
            (20 * MIB, 499, 600_000, None),
            (20 * MIB, 500, 600_000, Some(Many)),
            // Some merges of a whole lake.
            (MIB, 5, 9 * MIB, Some(Large)),
            (20 * MIB, 5, 39 * MIB, None),
            (20 * MIB, 5, 40 * MIB, Some(Large)),
            (u64::MAX, 499, u64::MAX, Some(Grown)),
        ] {
            let growth = LogGrowth {
                checkpoint_bytes,
                versions,
                bytes,
            };
            assert_eq!(growth.decide(), expected, "{growth:?}");
        }
    }
}
