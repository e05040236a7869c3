//! The segments on disk: committing groups, trimming, and disk errors. Synchronous and
//! single-threaded, so that a simulator can drive it; the thread around it is [`super::committer`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use footfall_model::clock::IdGen;

use super::disk::{Disk, WalFile, read_full};
use super::record::{self, WalId};
use super::recovery::{self, Recovery};
use super::segment::{self, HEADER_BYTES, Header};
use super::{Position, WalError, WalOptions};

/// What readers need to know of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: Position,
    /// Where its durable records end.
    pub(super) bytes: u64,
}

/// The segments, ascending and never empty once opened; the last one is written to if `active` is its open file.
#[derive(Debug)]
pub(super) struct SegmentStore {
    disk: Arc<dyn Disk>,
    id: WalId,
    segment_bytes: u64,
    segments: VecDeque<Segment>,
    /// `None` if the last segment must not be written again: the next commit starts a new one.
    active: Option<Box<dyn WalFile>>,
    last: Position,
    /// The group that is being written; reused.
    buffer: Vec<u8>,
    sealed: bool,
}

/// Writes the same bytes again, so that the next sync covers them: they may be in the page cache only, and a
/// sync that failed before the process was killed may have marked them as written.
fn rewrite(file: &dyn WalFile, mut from: u64, to: u64) -> io::Result<()> {
    let mut chunk = vec![0; 64 << 10];
    while from < to {
        let wanted = chunk.len().min(usize::try_from(to - from).unwrap_or(usize::MAX));
        let read = read_full(file, &mut chunk[..wanted], from)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&chunk[..read], from)?;
        from += read as u64;
    }
    Ok(())
}

impl SegmentStore {
    /// Opens the WAL on `disk`, or creates one if there is none.
    ///
    /// # Errors
    /// See [`super::LocalWal::open`].
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        options: &WalOptions,
        ids: &dyn IdGen,
    ) -> Result<(Self, Recovery), WalError> {
        let survey = recovery::survey(disk.as_ref())?;
        for name in &survey.unfinished {
            disk.remove(name)
                .map_err(|error| WalError::disk(&disk.path(name), error))?;
        }
        // A killed process may have renamed a segment without syncing the folder: a power failure could still undo the
        // rename after records were stored in it.
        disk.sync_dir().map_err(|error| WalError::disk(&disk.path(""), error))?;
        let segments = survey
            .segments
            .iter()
            .map(|s| Segment {
                first: s.first,
                bytes: s.bytes,
            })
            .collect();
        let mut store = Self {
            disk,
            id: survey.id.unwrap_or_else(|| WalId(ids.next_id().to_le_bytes())),
            segment_bytes: options.segment_bytes,
            segments,
            active: None,
            last: 0,
            buffer: Vec::new(),
            sealed: false,
        };
        let mut recovery = Recovery {
            damaged: survey.damaged.clone(),
            ..Recovery::default()
        };
        match survey.segments.len().checked_sub(1) {
            Some(nth) => store.resume(&survey, nth, &mut recovery)?,
            None => store.start_segment()?,
        }
        recovery.first = store.first();
        recovery.last = store.last;
        Ok((store, recovery))
    }

    /// Finds the end of the last segment and makes it the one to write to, if it is sound.
    fn resume(&mut self, survey: &recovery::Survey, nth: usize, found: &mut Recovery) -> Result<(), WalError> {
        let (file, examined) = recovery::open_and_examine(self.disk.as_ref(), survey, self.id, nth)?;
        let Some(segment) = self.segments.back_mut() else {
            return Ok(());
        };
        let sound = examined.damaged.is_empty();
        let path = self.disk.path(&segment::file_name(segment.first));
        let refused = |error| WalError::disk(&path, error);
        if sound && examined.torn_bytes > 0 {
            file.truncate(examined.kept.end).map_err(refused)?;
        }
        rewrite(file.as_ref(), examined.kept.unproved, examined.kept.end).map_err(refused)?;
        file.sync_data().map_err(refused)?;
        if sound {
            segment.bytes = examined.kept.end;
            self.active = Some(file);
        }
        self.last = examined.kept.last;
        self.seal(false);
        found.torn_bytes = examined.torn_bytes;
        found.damaged.extend(examined.damaged);
        Ok(())
    }

    /// The first position held, or the next to be written.
    pub(super) fn first(&self) -> Position {
        self.segments.front().map_or(self.last + 1, |segment| segment.first)
    }

    /// The last durable position.
    pub(super) fn last(&self) -> Position {
        self.last
    }

    pub(super) fn id(&self) -> WalId {
        self.id
    }

    pub(super) fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Stores a group by one write and one sync; the position of its first record. After an error none of it is in
    /// the WAL, and the next group may be tried.
    ///
    /// # Errors
    /// [`WalError::Disk`].
    pub(super) fn commit<'a>(&mut self, payloads: impl Iterator<Item = &'a Bytes>) -> Result<Position, WalError> {
        let first = self.last + 1;
        self.buffer.clear();
        let mut count = 0;
        for payload in payloads {
            record::encode_record(&mut self.buffer, self.id, first, count, payload);
            count += 1;
        }
        self.write_group()?;
        self.last += Position::from(count);
        self.sealed = false;
        Ok(first)
    }

    fn write_group(&mut self) -> Result<(), WalError> {
        if self.active.is_none() || self.segments.back().is_none_or(|last| last.bytes >= self.segment_bytes) {
            self.start_segment()?;
        }
        let (Some(file), Some(segment)) = (&self.active, self.segments.back_mut()) else {
            return Err(WalError::disk(
                &self.disk.path(""),
                io::Error::other("no segment is open"),
            ));
        };
        let at = segment.bytes;
        let refused = |error| WalError::disk(&self.disk.path(&segment::file_name(segment.first)), error);
        if let Err(error) = file.write_all_at(&self.buffer, at) {
            let error = refused(error);
            // Nothing was synced, so the file is as before once this is cut off.
            if file.truncate(at).is_err() {
                self.active = None;
            }
            return Err(error);
        }
        let started = Instant::now();
        let synced = file.sync_data();
        metrics::histogram!("footfall_wal_fsync_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("footfall_wal_fsyncs_total").increment(1);
        if let Err(error) = synced {
            let error = refused(error);
            // The page cache may hold what the disk does not have, and a later sync would report success for it: this
            // file is not written again. If the cut fails, the next segment's first position marks where this one ends.
            let _ = file.truncate(at);
            self.active = None;
            return Err(error);
        }
        segment.bytes = at + self.buffer.len() as u64;
        Ok(())
    }

    /// Makes the segment of the next record, which is durable on return, and makes it the one to write to.
    fn start_segment(&mut self) -> Result<(), WalError> {
        // First: if a failure left the old segment active while the new one may be on disk, the old one would take
        // records at positions that belong to the new one.
        self.active = None;
        let first = self.last + 1;
        let name = segment::file_name(first);
        let temporary = format!("{first:020}{}", segment::TEMPORARY);
        let made = self.make_segment(first, &temporary, &name);
        let file = made.map_err(|error| {
            // Frees its space; after the rename it does not exist any more.
            let _ = self.disk.remove(&temporary);
            WalError::disk(&self.disk.path(&name), error)
        })?;
        // A segment without a durable record has the same name and was replaced.
        self.segments.pop_back_if(|last| last.first == first);
        self.segments.push_back(Segment {
            first,
            bytes: HEADER_BYTES,
        });
        self.active = Some(file);
        self.sealed = false;
        Ok(())
    }

    fn make_segment(&self, first: Position, temporary: &str, name: &str) -> io::Result<Box<dyn WalFile>> {
        let file = self.disk.create(temporary)?;
        file.write_all_at(&Header { id: self.id, first }.encode(), 0)?;
        file.sync_data()?;
        self.disk.rename(temporary, name)?;
        self.disk.sync_dir()?;
        Ok(file)
    }

    /// Writes behind the last record that it was durable, so that a flipped bit in it is not taken for a torn tail.
    /// The next group overwrites it. `synced`: on stable storage on return.
    pub(super) fn seal(&mut self, synced: bool) {
        let (Some(file), Some(segment)) = (&self.active, self.segments.back()) else {
            return;
        };
        if segment.bytes == HEADER_BYTES {
            return;
        }
        if !self.sealed {
            self.buffer.clear();
            record::encode_seal(&mut self.buffer, self.id, self.last);
            self.sealed = file.write_all_at(&self.buffer, segment.bytes).is_ok();
        }
        if synced && let Err(error) = file.sync_data() {
            // No record depends on it, but a later sync must not report success for it.
            tracing::warn!(%error, "the WAL's last segment could not be sealed");
            self.active = None;
        }
    }

    /// The first position that will be held once [`SegmentStore::trim`] is done.
    pub(super) fn first_after_trim(&self, position: Position) -> Position {
        if self.gives_up_last(position) {
            return self.last + 1;
        }
        let ends = self
            .segments
            .iter()
            .zip(self.segments.iter().skip(1))
            .take_while(|(_, next)| next.first <= position.saturating_add(1));
        ends.last().map_or(self.first(), |(_, next)| next.first)
    }

    /// Removes whole segments with nothing behind `position`. The last one is removed too, replaced by an empty
    /// one that keeps the position, if it is large enough.
    ///
    /// # Errors
    /// [`WalError::Disk`]; what was removed until then stays removed.
    pub(super) fn trim(&mut self, position: Position) -> Result<(), WalError> {
        // First the segments that need no replacement: a full disk has no space for a new segment until then.
        self.remove_until(position)?;
        if self.gives_up_last(position) {
            self.start_segment()?;
            self.remove_until(position)?;
        }
        Ok(())
    }

    /// Removes the segments before the last one that have nothing behind `position`.
    fn remove_until(&mut self, position: Position) -> Result<(), WalError> {
        while self
            .segments
            .get(1)
            .is_some_and(|next| next.first <= position.saturating_add(1))
        {
            let Some(oldest) = self.segments.front() else { break };
            let name = segment::file_name(oldest.first);
            let refused = |error| WalError::disk(&self.disk.path(&name), error);
            self.disk.remove(&name).map_err(refused)?;
            self.segments.pop_front();
            // Synced one by one, oldest first, so that a power failure never leaves a gap.
            self.disk
                .sync_dir()
                .map_err(|error| WalError::disk(&self.disk.path(&name), error))?;
        }
        Ok(())
    }

    /// Only from a quarter of a segment on: the writer trims after every commit to the lake, every few seconds.
    fn gives_up_last(&self, position: Position) -> bool {
        let held = self
            .segments
            .back()
            .map_or(0, |last| last.bytes - HEADER_BYTES.min(last.bytes));
        position >= self.last && held > self.segment_bytes / 4
    }
}
