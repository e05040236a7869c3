//! Reading: the newest records from memory, older ones from the segment files, never one that is not durable.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::Disk;
use super::record::WalId;
use super::segment::{self, HEADER_BYTES};
use super::store::{Segment, SegmentStore};
use super::tail::Tail;
use super::walk::{Break, SegmentWalk, WalkStep};
use super::{Damage, Position, Record, WalError};

/// Cursors remembered for readers that continue where they stopped.
const CURSORS: usize = 8;

/// Damages remembered as reported.
const REPORTED: usize = 1000;

/// What readers know of the WAL.
#[derive(Debug)]
struct Index {
    segments: VecDeque<Segment>,
    first: Position,
    durable: Position,
    tail: Tail,
}

/// Where in a segment the record at `position` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    segment: Position,
    position: Position,
    offset: u64,
}

/// A segment to be read: up to `limit`, within `bytes`.
#[derive(Debug, Clone, Copy)]
struct Part {
    first: Position,
    limit: Position,
    bytes: u64,
}

/// What has been read.
#[derive(Debug)]
struct Batch {
    from: Position,
    max_bytes: usize,
    bytes: usize,
    records: Vec<Record>,
}

impl Batch {
    /// False if the record does not fit any more.
    fn add(&mut self, record: Record) -> bool {
        self.bytes = self.bytes.saturating_add(record.payload.len());
        let fits = self.records.is_empty() || self.bytes <= self.max_bytes;
        if fits {
            self.records.push(record);
        }
        fits
    }
}

/// The read side of a WAL.
#[derive(Debug)]
pub(super) struct RecordReader {
    disk: Arc<dyn Disk>,
    id: WalId,
    index: Mutex<Index>,
    cursors: Mutex<VecDeque<Cursor>>,
    reported: Mutex<BTreeSet<(String, u64)>>,
}

impl RecordReader {
    pub(super) fn new(disk: Arc<dyn Disk>, store: &SegmentStore, tail_bytes: usize) -> Self {
        let index = Index {
            segments: store.segments().clone(),
            first: store.first(),
            durable: store.last(),
            tail: Tail::new(tail_bytes),
        };
        let (index, cursors, reported) = (Mutex::new(index), Mutex::default(), Mutex::default());
        Self {
            disk,
            id: store.id(),
            index,
            cursors,
            reported,
        }
    }

    /// Makes the store's current content visible; `records` are those that became durable.
    pub(super) fn publish(&self, store: &SegmentStore, records: impl Iterator<Item = Record>) {
        let mut index = self.index.lock();
        index.segments.clone_from(store.segments());
        index.first = store.first();
        index.durable = store.last();
        records.for_each(|record| index.tail.push(record));
    }

    /// Records up to `position` are about to be trimmed, those before `first` with their files.
    pub(super) fn forget(&self, position: Position, first: Position) {
        let mut index = self.index.lock();
        index.first = first;
        index.tail.forget(position);
    }

    /// The WAL's id, drawn when it was created.
    pub(super) fn id(&self) -> u128 {
        u128::from_le_bytes(self.id.0)
    }

    /// The first position held.
    pub(super) fn first(&self) -> Position {
        self.index.lock().first
    }

    /// The answer, if it can be given without the disk.
    pub(super) fn read_memory(&self, from: Position, max_bytes: usize) -> Result<Option<Vec<Record>>, WalError> {
        let index = self.index.lock();
        index.check(from)?;
        match from == index.durable + 1 {
            true => Ok(Some(Vec::new())),
            false => Ok(index.tail.read(from, max_bytes)),
        }
    }

    /// The answer from the segment files. Blocks.
    pub(super) fn read_disk(&self, from: Position, max_bytes: usize) -> Result<Vec<Record>, WalError> {
        let parts = self.index.lock().parts(from)?;
        let mut batch = Batch {
            from,
            max_bytes,
            bytes: 0,
            records: Vec::new(),
        };
        for part in parts {
            match self.read_part(part, &mut batch) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if batch.records.is_empty() => return Err(self.report(error)),
                // Reported when the reader reaches it.
                Err(_) => break,
            }
        }
        Ok(batch.records)
    }

    /// True if there is room for more.
    fn read_part(&self, part: Part, batch: &mut Batch) -> Result<bool, WalError> {
        let name = segment::file_name(part.first);
        let path = self.disk.path(&name);
        let file = match self.disk.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.missing(part, path, batch.from)),
            Err(error) => return Err(WalError::disk(&path, error)),
        };
        let start = self.cursor(part.first, batch.from);
        let mut walk = SegmentWalk::new(file.as_ref(), self.id, start.position, start.offset, part.bytes);
        let mut open: Option<Break> = None;
        while walk.expected() <= part.limit {
            let here = Cursor {
                segment: part.first,
                position: walk.expected(),
                offset: walk.offset(),
            };
            let (found, resume_at) = match walk.next().map_err(|error| WalError::disk(&path, error))? {
                WalkStep::Break(found) => {
                    open = Some(found);
                    continue;
                }
                WalkStep::Record { record, .. } if record.position <= part.limit => {
                    let resume_at = record.position;
                    if open.is_none() || resume_at <= batch.from {
                        if resume_at >= batch.from && !batch.add(record) {
                            self.remember(here);
                            return Ok(false);
                        }
                        open = None;
                        continue;
                    }
                    (open.take(), resume_at)
                }
                WalkStep::Seal { durable } if durable <= part.limit => (open.take(), walk.expected()),
                WalkStep::Record { .. } | WalkStep::Seal { .. } | WalkStep::End => {
                    let reason = "the file ends early".to_owned();
                    let end = Break {
                        offset: walk.offset(),
                        position: walk.expected(),
                        reason,
                    };
                    (Some(open.take().unwrap_or(end)), part.limit.saturating_add(1))
                }
            };
            match found {
                Some(found) if batch.from < resume_at => {
                    return Err(WalError::Damaged(found.into_damage(&path, resume_at)));
                }
                _ if resume_at > part.limit => return Ok(true),
                _ => {}
            }
        }
        self.remember(Cursor {
            segment: part.first,
            position: walk.expected(),
            offset: walk.offset(),
        });
        Ok(true)
    }

    /// The file is gone: trimmed meanwhile, or removed by somebody.
    fn missing(&self, part: Part, path: String, from: Position) -> WalError {
        if self.first() > from {
            return WalError::NotHeld(from);
        }
        let reason = "the segment file is missing".to_owned();
        let resume_at = part.limit.saturating_add(1);
        WalError::Damaged(Damage {
            path,
            offset: 0,
            reason,
            lost_from: part.first.max(from),
            resume_at,
        })
    }

    /// The nearest known cursor at or before `from`.
    fn cursor(&self, segment: Position, from: Position) -> Cursor {
        let known = self.cursors.lock();
        let before = known
            .iter()
            .filter(|cursor| cursor.segment == segment && cursor.position <= from);
        before.max_by_key(|cursor| cursor.position).copied().unwrap_or(Cursor {
            segment,
            position: segment,
            offset: HEADER_BYTES,
        })
    }

    fn remember(&self, cursor: Cursor) {
        let mut known = self.cursors.lock();
        known.retain(|other| *other != cursor);
        if known.len() == CURSORS {
            known.pop_front();
        }
        known.push_back(cursor);
    }

    /// Marks damage as reported, so that it is not counted a second time when a reader reaches it.
    pub(super) fn mark_reported(&self, damaged: &[Damage]) {
        let mut reported = self.reported.lock();
        let indices = damaged.iter().map(|damage| (damage.path.clone(), damage.offset));
        reported.extend(indices.take(REPORTED));
    }

    /// Counts and logs damage the first time that a reader reaches it.
    fn report(&self, error: WalError) -> WalError {
        if let WalError::Damaged(damage) = &error {
            let mut reported = self.reported.lock();
            if reported.len() < REPORTED && reported.insert((damage.path.clone(), damage.offset)) {
                metrics::counter!("footfall_wal_damaged_total").increment(1);
                tracing::error!(%damage, "the WAL is damaged");
            }
        }
        error
    }
}

impl Index {
    fn check(&self, from: Position) -> Result<(), WalError> {
        match (self.first..=self.durable + 1).contains(&from) {
            true => Ok(()),
            false => Err(WalError::NotHeld(from)),
        }
    }

    /// The segments that hold records from `from` on.
    fn parts(&self, from: Position) -> Result<Vec<Part>, WalError> {
        self.check(from)?;
        let limits = self
            .segments
            .iter()
            .skip(1)
            .map(|next| next.first - 1)
            .chain([self.durable]);
        let parts = self.segments.iter().zip(limits).filter(|(_, limit)| from <= *limit);
        Ok(parts
            .map(|(segment, limit)| Part {
                first: segment.first,
                limit,
                bytes: segment.bytes,
            })
            .collect())
    }
}
