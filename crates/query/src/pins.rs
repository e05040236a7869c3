//! The snapshots that statements were described over, so that they run over the same ones.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::segments::PinnedLake;

/// Maximum number of kept snapshots: one of 100,000 files takes a megabyte.
const MAX_KEPT: usize = 32;

/// How long a snapshot is kept; a client asks for the rows right after the schema.
pub const KEPT: Duration = Duration::from_secs(120);

/// Recently described snapshots, newest last.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<VecDeque<(Instant, PinnedLake)>>);

impl Pins {
    /// Keeps `newest` for callers that ask for its version.
    pub(crate) fn pin(&self, newest: PinnedLake) -> PinnedLake {
        let now = Instant::now();
        let mut kept = self.0.lock();
        kept.retain(|(since, old)| now.duration_since(*since) < KEPT && old.version() != newest.version());
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((now, newest.clone()));
        newest
    }

    /// The snapshot of that version, or the newest if it is no longer kept.
    pub(crate) fn at(&self, version: Option<u64>, newest: impl FnOnce() -> PinnedLake) -> PinnedLake {
        let kept = version.and_then(|version| {
            let kept = self.0.lock();
            let found = kept.iter().find(|(_, pinned)| pinned.version() == version);
            found.map(|(_, pinned)| pinned.clone())
        });
        kept.unwrap_or_else(newest)
    }
}
