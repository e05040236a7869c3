//! Walks a segment in order of positions; a frame or position that is not the expected one is a break.

use std::cmp::Ordering;
use std::io;

use super::disk::WalFile;
use super::record::WalId;
use super::scan::{Found, Frames};
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
pub(super) enum Step {
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
pub(super) struct Walk<'a> {
    frames: Frames<'a>,
    expected: Position,
    /// Found behind a break; returned next.
    held: Option<Found>,
    in_break: bool,
}

impl<'a> Walk<'a> {
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

    pub(super) fn next(&mut self) -> io::Result<Step> {
        loop {
            let found = match self.held.take() {
                Some(found) => found,
                None => self.frames.next()?,
            };
            let step = match found {
                Found::End => Some(Step::End),
                Found::Broken { offset, reason } => {
                    self.frames.resync(self.expected)?;
                    self.enter_break(offset, reason.to_owned())
                }
                Found::Record {
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
                        Some(Step::Record {
                            record: record.clone(),
                            group_first,
                        })
                    }
                },
                Found::Seal { durable, offset } => self.seal(durable, offset),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    fn seal(&mut self, durable: Position, offset: u64) -> Option<Step> {
        let next = durable.saturating_add(1);
        match next.cmp(&self.expected) {
            Ordering::Greater if !self.in_break => {
                let step = self.enter_break(offset, format!("the seal of record {durable} instead"));
                self.held = Some(Found::Seal { durable, offset });
                step
            }
            Ordering::Greater => {
                self.in_break = false;
                self.expected = next;
                Some(Step::Seal { durable })
            }
            Ordering::Equal if !self.in_break => Some(Step::Seal { durable }),
            // An old seal proves nothing new.
            Ordering::Equal | Ordering::Less => None,
        }
    }

    /// A break is returned once, however many broken frames it has.
    fn enter_break(&mut self, offset: u64, reason: String) -> Option<Step> {
        let first = !std::mem::replace(&mut self.in_break, true);
        first.then_some(Step::Break(Break {
            offset,
            position: self.expected,
            reason,
        }))
    }
}
