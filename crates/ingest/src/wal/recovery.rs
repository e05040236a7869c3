//! Finds the segments of a WAL, and the records of a segment that may end in a torn tail or hold damage.
//!
//! [`Examination`] decides between the two: a break is damage if anything behind it proves that the expected record
//! was durable, else it is the tail of a write that was never acknowledged.

use std::io;

use super::disk::{Disk, LOCK, WalFile};
use super::record::{FRAME_HEADER, MAX_POSITION, WalId};
use super::segment::{self, HEADER_BYTES, Header, HeaderState};
use super::walk::{Break, SegmentWalk, WalkStep};
use super::{Damage, Position, Record, WalError};

/// Maximum number of damages of a segment that are listed, so that garbage can't exhaust memory.
const LISTED: usize = 1000;

/// What `open` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The first position held; `last + 1` if none is.
    pub first: Position,
    /// The last position; 0 in a new WAL.
    pub last: Position,
    /// Bytes behind the last whole record that were cut off: a write that was under way when the process or the
    /// machine stopped. It was never acknowledged.
    pub torn_bytes: u64,
    /// Damage to acknowledged records, as far as opening checks: all file headers and the last segment.
    /// Older segments are checked when they are read, and by [`super::verify`].
    pub damaged: Vec<Damage>,
}

/// The segments of a WAL, by their names and headers.
#[derive(Debug)]
pub(super) struct Survey {
    /// `None` if there is no segment yet.
    pub(super) id: Option<WalId>,
    /// By position, ascending.
    pub(super) segments: Vec<Surveyed>,
    /// Segments whose creation was interrupted; they hold no records.
    pub(super) unfinished: Vec<String>,
    pub(super) damaged: Vec<Damage>,
}

#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) first: Position,
    pub(super) bytes: u64,
    /// Neither copy of the header can be read.
    headless: bool,
}

/// Reads all names and headers.
///
/// # Errors
/// [`WalError::Foreign`] for a segment of another WAL or version; [`WalError::Damaged`] if no header can be read, so
/// that no record could be checked; [`WalError::Disk`].
pub(super) fn survey(disk: &dyn Disk) -> Result<Survey, WalError> {
    let mut names = disk.list().map_err(|error| WalError::disk(&disk.path(""), error))?;
    names.sort_unstable();
    let mut survey = Survey {
        id: None,
        segments: Vec::new(),
        unfinished: Vec::new(),
        damaged: Vec::new(),
    };
    for name in names {
        if let Some(first) = segment::first_of(&name) {
            survey.add(disk, &name, first)?;
        } else if name.ends_with(segment::TEMPORARY) {
            survey.unfinished.push(name);
        } else if name != LOCK {
            tracing::warn!(
                path = disk.path(&name),
                "a file in the WAL's folder is not part of the WAL; it is ignored"
            );
        }
    }
    if survey.id.is_none()
        && let Some(damage) = survey.damaged.first()
    {
        return Err(WalError::Damaged(Damage {
            resume_at: Position::MAX,
            ..damage.clone()
        }));
    }
    Ok(survey)
}

impl Survey {
    fn add(&mut self, disk: &dyn Disk, name: &str, first: Position) -> Result<(), WalError> {
        let path = disk.path(name);
        if !(1..=MAX_POSITION).contains(&first) {
            let reason = "no segment begins at such a position; was it renamed?".to_owned();
            return Err(WalError::Foreign { path, reason });
        }
        let read = disk
            .open(name)
            .and_then(|file| Ok((Header::read(file.as_ref())?, file.size()?)));
        let (state, bytes) = read.map_err(|error| WalError::disk(&path, error))?;
        let (header, reason) = match state {
            HeaderState::Whole(header) => (Some(header), None),
            HeaderState::HalfDamaged(header) => (Some(header), Some("one copy of the file's header is damaged")),
            HeaderState::Damaged => (None, Some("the file's header is damaged")),
            HeaderState::Version(version) => {
                let reason = format!("format version {version} is unknown; use the program that wrote it");
                return Err(WalError::Foreign { path, reason });
            }
        };
        if let Some(header) = header {
            if header.first != first {
                let reason = format!(
                    "its header says that it begins with record {}; was it renamed?",
                    header.first
                );
                return Err(WalError::Foreign { path, reason });
            }
            if *self.id.get_or_insert(header.id) != header.id {
                let reason = "it has another WAL's id than the segments before it; was it copied here?".to_owned();
                return Err(WalError::Foreign { path, reason });
            }
        }
        if let Some(reason) = reason {
            let reason = reason.to_owned();
            self.damaged.push(Damage {
                path,
                offset: 0,
                reason,
                lost_from: first,
                resume_at: first,
            });
        }
        self.segments.push(Surveyed {
            first,
            bytes,
            headless: header.is_none(),
        });
        Ok(())
    }

    /// The last position that a segment can hold: the one before its successor's first. `None` for the last segment.
    pub(super) fn limit(&self, nth: usize) -> Option<Position> {
        self.segments.get(nth + 1).map(|next| next.first.saturating_sub(1))
    }
}

/// What a segment holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) records: u64,
    /// The last position, also if its record is lost; the one before the segment's first if there is none.
    pub(super) last: Position,
    /// The offset behind the last record.
    pub(super) end: u64,
    /// The offset from which on nothing proves the records durable: where the last group begins, or `end`.
    pub(super) unproved: u64,
    /// The first position of the last group.
    group_first: Position,
}

/// A segment, read through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Examined {
    pub(super) kept: Kept,
    pub(super) damaged: Vec<Damage>,
    /// Bytes of writes that were never acknowledged.
    pub(super) torn_bytes: u64,
}

/// Opens the `nth` segment and reads it through.
///
/// # Errors
/// [`WalError::Disk`].
pub(super) fn open_and_examine(
    disk: &dyn Disk,
    survey: &Survey,
    id: WalId,
    nth: usize,
) -> Result<(Box<dyn WalFile>, Examined), WalError> {
    let Surveyed { first, headless, .. } = survey.segments[nth];
    let name = segment::file_name(first);
    let path = disk.path(&name);
    let refused = |error| WalError::disk(&path, error);
    let file = disk.open(&name).map_err(refused)?;
    let mut examined = examine(file.as_ref(), &path, id, first, survey.limit(nth)).map_err(refused)?;
    if headless && examined.kept.last < first {
        // Whether it held anything can't be known. One record counts as lost, so that the file is not taken for an
        // empty one and overwritten.
        examined.kept.last = first;
        let found = Break {
            offset: 0,
            position: first,
            reason: "nothing in the file can be read".to_owned(),
        };
        examined.damaged.push(found.into_damage(&path, first.saturating_add(1)));
    }
    Ok((file, examined))
}

/// Reads a segment through. `limit` is the last position in it, if there is a successor; bytes behind it were left by
/// a failed write and never acknowledged.
fn examine(
    file: &dyn WalFile,
    path: &str,
    id: WalId,
    first: Position,
    limit: Option<Position>,
) -> io::Result<Examined> {
    let size = file.size()?;
    let mut walk = SegmentWalk::new(file, id, first, HEADER_BYTES, size);
    // Also in a file that ends inside its header: the next record is written and read there.
    let start = HEADER_BYTES;
    let kept = Kept {
        records: 0,
        last: first.saturating_sub(1),
        end: start,
        unproved: start,
        group_first: 0,
    };
    let mut examination = Examination {
        path,
        kept,
        open: Vec::new(),
        damaged: Vec::new(),
    };
    while limit.is_none_or(|limit| walk.expected() <= limit) {
        match walk.next()? {
            WalkStep::Record { record, .. } if limit.is_some_and(|limit| record.position > limit) => break,
            WalkStep::Seal { durable } if limit.is_some_and(|limit| durable > limit) => break,
            WalkStep::Record { record, group_first } => {
                examination.prove(group_first.saturating_sub(1), record.position);
                examination.keep(&record, group_first, walk.offset());
            }
            WalkStep::Seal { durable } => {
                examination.prove(durable, durable.saturating_add(1));
                examination.kept.last = durable;
                examination.kept.unproved = examination.kept.end;
            }
            WalkStep::Break(found) => examination.open(found),
            WalkStep::End => break,
        }
    }
    let Some(limit) = limit else {
        return Ok(examination.tail(size));
    };
    let mut examined = examination.closed(limit);
    // Many segments end with a seal that was not overwritten; anything else is the rest of a failed write.
    let sealed = matches!(walk.next()?, WalkStep::Seal { .. }) && walk.offset() == size;
    let rest = size.saturating_sub(examined.kept.end);
    examined.torn_bytes = if sealed {
        rest.saturating_sub(FRAME_HEADER as u64)
    } else {
        rest
    };
    Ok(examined)
}

/// A break not yet proved to be damage.
#[derive(Debug)]
struct OpenBreak {
    found: Break,
    /// The first whole record behind it.
    resume_at: Option<Position>,
    /// What was kept before it.
    before: Kept,
}

/// The pure decision between torn and damaged, fed with frames and breaks in order.
#[derive(Debug)]
struct Examination<'a> {
    path: &'a str,
    kept: Kept,
    /// By position, ascending.
    open: Vec<OpenBreak>,
    damaged: Vec<Damage>,
}

impl Examination<'_> {
    fn open(&mut self, found: Break) {
        // Where the tail is cut is decided by the first open break, so the later ones can go unlisted.
        if self.open.len() < LISTED {
            self.open.push(OpenBreak {
                found,
                resume_at: None,
                before: self.kept.clone(),
            });
        }
    }

    fn keep(&mut self, record: &Record, group_first: Position, end: u64) {
        let kept = &mut self.kept;
        if kept.group_first != group_first {
            kept.group_first = group_first;
            kept.unproved = end - (FRAME_HEADER + record.payload.len()) as u64;
        }
        kept.records += 1;
        kept.last = record.position;
        kept.end = end;
    }

    /// Reading continues at `position`; everything up to `durable` was durable.
    fn prove(&mut self, durable: Position, position: Position) {
        if let Some(last) = self.open.last_mut() {
            last.resume_at.get_or_insert(position);
        }
        let proved = self
            .open
            .iter()
            .take_while(|open| open.found.position <= durable)
            .count();
        for open in self.open.drain(..proved) {
            if self.damaged.len() < LISTED {
                let resume_at = open.resume_at.unwrap_or(position);
                self.damaged.push(open.found.into_damage(self.path, resume_at));
            }
        }
    }

    /// The end of the last segment: what is still open was never acknowledged.
    fn tail(mut self, size: u64) -> Examined {
        let torn_bytes = match self.open.is_empty() {
            true => 0,
            false => {
                let first = self.open.swap_remove(0);
                self.kept = first.before;
                size.saturating_sub(first.found.offset)
            }
        };
        Examined {
            kept: self.kept,
            damaged: self.damaged,
            torn_bytes,
        }
    }

    /// The end of a segment that has a successor: everything up to `limit` was durable.
    fn closed(mut self, limit: Position) -> Examined {
        if self.open.is_empty() && self.kept.last < limit {
            let reason = "the file ends early".to_owned();
            self.open(Break {
                offset: self.kept.end,
                position: self.kept.last + 1,
                reason,
            });
        }
        self.prove(limit, limit.saturating_add(1));
        self.kept.last = self.kept.last.max(limit);
        Examined {
            kept: self.kept,
            damaged: self.damaged,
            torn_bytes: 0,
        }
    }
}
