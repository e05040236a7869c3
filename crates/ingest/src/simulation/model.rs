//! What was sent and what was promised: the simple model that the lake is held against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::wal::Position;

/// What is known from outside. Shared by all who send.
#[derive(Debug, Clone, Default)]
pub(super) struct Model(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
pub(super) struct Known {
    /// Events of appends that returned a position.
    pub(super) acknowledged: BTreeSet<u32>,
    /// Events that may have come into the log: neither refused before that, nor never sent.
    pub(super) possible: BTreeSet<u32>,
    /// What each acknowledged position holds.
    pub(super) positions: BTreeMap<Position, Vec<u32>>,
    /// Stretches of the log that a reader was told are lost.
    pub(super) lost: Vec<(Position, Position)>,
    /// The opening of a log cut off a torn tail.
    pub(super) torn_bytes: u64,
    /// Events of foreign_writers' commits that returned a version, and of those that were tried.
    pub(super) foreign_writers: BTreeSet<u32>,
    pub(super) strangers_possible: BTreeSet<u32>,
    /// What must never happen and was seen to happen.
    pub(super) wrong: Vec<String>,
}

impl Model {
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }
}

impl Known {
    pub(super) fn acknowledge(&mut self, position: Position, events: &[u32]) {
        self.acknowledged.extend(events);
        if let Some(before) = self.positions.insert(position, events.to_vec()) {
            self.wrong.push(format!(
                "position {position} was given to {before:?} and again to {events:?}"
            ));
        }
    }
}
