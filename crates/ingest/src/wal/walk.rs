//! Walks a segment in order of positions; a frame or position that is not the expected one is a break.

use std::cmp::Ordering;
use std::io;

use super::disk::WalFile;
use super::record::WalId;
use super::scan::{Frames, ScannedFrame};
use super::{Damage, Position, Record};

/// Where the bytes are not the expected record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) offset: u64,
    /// The expected record.
    pub(super) position: Position,
    pub(super) reason: String,
}

impl Break {
    /// The break as damage; reading can continue at `resume_at`.
    pub(super) fn into_damage(self, path: &str, resume_at: Position) -> Damage {
        let Self {
            offset,
            position,
            reason,
        } = self;
        Damage {
            path: path.to_owned(),
            offset,
            reason,
            lost_from: position,
            resume_at: resume_at.max(position),
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum WalkStep {
    /// The expected record, or the first whole one behind a break.
    Record {
        record: Record,
        /// Everything before it was durable when the record was written.
        group_first: Position,
    },
    Seal {
        durable: Position,
    },
    Break(Break),
    End,
}

/// A walk through the records of one segment.
#[derive(Debug)]
pub(super) struct SegmentWalk<'a> {
    frames: Frames<'a>,
    expected: Position,
    /// Found behind a break; returned next.
    held: Option<ScannedFrame>,
    in_break: bool,
}

impl<'a> SegmentWalk<'a> {
    /// From `offset`, where the record at `expected` should begin, to `end`.
    pub(super) fn new(file: &'a dyn WalFile, id: WalId, expected: Position, offset: u64, end: u64) -> Self {
        Self {
            frames: Frames::new(file, id, offset, end),
            expected,
            held: None,
            in_break: false,
        }
    }

    /// The expected position of the next record.
    pub(super) fn expected(&self) -> Position {
        self.expected
    }

    /// The current offset in the file.
    pub(super) fn offset(&self) -> u64 {
        self.frames.offset()
    }

    pub(super) fn next(&mut self) -> io::Result<WalkStep> {
        loop {
            let found = match self.held.take() {
                Some(found) => found,
                None => self.frames.next()?,
            };
            let step = match found {
                ScannedFrame::End => Some(WalkStep::End),
                ScannedFrame::Broken { offset, reason } => {
                    self.frames.resync(self.expected)?;
                    self.enter_break(offset, reason.to_owned())
                }
                ScannedFrame::Record {
                    ref record,
                    group_first,
                    offset,
                } => match record.position.cmp(&self.expected) {
                    Ordering::Less => self.enter_break(offset, format!("record {} a second time", record.position)),
                    Ordering::Greater if !self.in_break => {
                        let step = self.enter_break(offset, format!("record {} instead", record.position));
                        self.held = Some(found);
                        step
                    }
                    Ordering::Equal | Ordering::Greater => {
                        self.in_break = false;
                        self.expected = record.position.saturating_add(1);
                        Some(WalkStep::Record {
                            record: record.clone(),
                            group_first,
                        })
                    }
                },
                ScannedFrame::Seal { durable, offset } => self.seal(durable, offset),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    fn seal(&mut self, durable: Position, offset: u64) -> Option<WalkStep> {
        let next = durable.saturating_add(1);
        match next.cmp(&self.expected) {
            Ordering::Greater if !self.in_break => {
                let step = self.enter_break(offset, format!("the seal of record {durable} instead"));
                self.held = Some(ScannedFrame::Seal { durable, offset });
                step
            }
            Ordering::Greater => {
                self.in_break = false;
                self.expected = next;
                Some(WalkStep::Seal { durable })
            }
            Ordering::Equal if !self.in_break => Some(WalkStep::Seal { durable }),
            // An old seal proves nothing new.
            Ordering::Equal | Ordering::Less => None,
        }
    }

    /// A break is returned once, however many broken frames it has.
    fn enter_break(&mut self, offset: u64, reason: String) -> Option<WalkStep> {
        let first = !std::mem::replace(&mut self.in_break, true);
        first.then_some(WalkStep::Break(Break {
            offset,
            position: self.expected,
            reason,
        }))
    }
}
