//! What was sent and what was acknowledged: the simple model that the lake is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use footfall_compactor::RetentionPolicy;
use footfall_model::clock::{DAY, Micros};
use parking_lot::{Mutex, MutexGuard};

use crate::wal::Position;

/// What is known from outside. Shared by all clients.
#[derive(Debug, Clone, Default)]
pub(super) struct Model(Arc<Mutex<Expected>>);

#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Events of appends that returned a position.
    pub(super) acknowledged: BTreeSet<u32>,
    /// Events that may be in the WAL: sent, and not refused before they were stored.
    pub(super) possible: BTreeSet<u32>,
    /// The events of each acknowledged position.
    pub(super) positions: BTreeMap<Position, Vec<u32>>,
    /// Ranges of the WAL that were reported to a reader as lost.
    pub(super) lost: Vec<(Position, Position)>,
    /// Bytes of torn tails that were cut off when the WAL was opened.
    pub(super) torn_bytes: u64,
    /// Events of foreign writers' commits that returned a version, and of those that were attempted.
    pub(super) foreign_committed: BTreeSet<u32>,
    pub(super) foreign_possible: BTreeSet<u32>,
    /// The ids of foreign commits that may delete rows, and of those that may add a live file again.
    pub(super) deletions: BTreeSet<String>,
    pub(super) restatements: BTreeSet<String>,
    /// How long events were to be kept, the newest last.
    pub(super) retention: Vec<RetentionPolicy>,
    /// Violations that were observed while the history ran.
    pub(super) violations: Vec<String>,
}

impl Model {
    pub(super) fn lock(&self) -> MutexGuard<'_, Expected> {
        self.0.lock()
    }
}

impl Expected {
    /// Whether an event of a site and a time need not be kept any more.
    pub(super) fn is_expired(&self, site: &str, event_timestamp: Micros, now: Micros) -> bool {
        let end_of_day = (event_timestamp.div_euclid(DAY) + 1) * DAY;
        self.retention.iter().any(|policy| {
            let keep = policy.sites.get(site).copied().unwrap_or(Micros::MAX);
            end_of_day.saturating_add(keep.min(policy.keep)) <= now
        })
    }

    pub(super) fn acknowledge(&mut self, position: Position, events: &[u32]) {
        self.acknowledged.extend(events);
        if let Some(before) = self.positions.insert(position, events.to_vec()) {
            self.violations.push(format!(
                "position {position} was given to {before:?} and again to {events:?}"
            ));
        }
    }
}
