//! Reads a file and gathers its events by day.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::error::ArrowError;

use super::conform::Conform;
use super::day_buffers::{BufferLimits, Day, DayBuffers};
use super::source::{self, Rows, Source};
use super::{ImportError, ImportOptions, ImportParts, Progress, Report};

/// A file that is being read.
pub(super) struct Reading {
    path: PathBuf,
    source: Source,
    conform: Conform,
    day_buffers: DayBuffers,
    skip_rejected: bool,
    progress: Arc<Progress>,
    pub report: Report,
}

impl Reading {
    pub(super) fn open(
        parts: &ImportParts,
        options: &ImportOptions,
        path: PathBuf,
        progress: Arc<Progress>,
    ) -> Result<Self, ImportError> {
        let (sites, enricher) = (Arc::clone(&parts.sites), Arc::clone(&parts.enricher));
        Ok(Self {
            source: source::open(&path, options.format)?,
            path,
            conform: Conform::new(sites, options.limits.clone(), enricher, parts.clock.now()),
            day_buffers: DayBuffers::new(BufferLimits {
                rows: options.chunk_rows,
                bytes: options.memory,
            }),
            skip_rejected: options.skip_rejected,
            progress,
            report: Report::default(),
        })
    }

    /// Reads until a day has to be written; `None` when all have been.
    pub(super) fn next(&mut self) -> Result<Option<Day>, ImportError> {
        loop {
            if let Some(day) = self.due()? {
                return Ok(Some(day));
            }
            let Some(rows) = self.source.reader.next_rows() else {
                self.report.ignore(self.source.reader.take_ignored());
                return match self.is_refused() {
                    true => Ok(None),
                    false => Ok(self.day_buffers.rest()?),
                };
            };
            let rows = rows.map_err(|error| self.unreadable(error))?;
            self.take(rows)?;
        }
    }

    /// Whether nothing will be imported: the rest is read for the report alone.
    pub(super) fn is_refused(&self) -> bool {
        !self.skip_rejected && !self.report.rejected.is_empty()
    }

    fn due(&mut self) -> Result<Option<Day>, ImportError> {
        match self.is_refused() {
            true => Ok(None),
            false => Ok(self.day_buffers.due()?),
        }
    }

    fn take(&mut self, rows: Rows) -> Result<(), ImportError> {
        let read = rows.count as u64;
        let events = self.conform.check(rows, &mut self.report);
        let events = events.map_err(|error| self.unreadable(error))?;
        self.report.rows += read;
        if !self.is_refused() {
            let events = self.conform.complete(&events);
            let events = events.map_err(|error| self.unreadable(error))?;
            self.day_buffers.push(events)?;
        }
        self.progress
            .advance(self.source.position.load(Ordering::Relaxed), read);
        Ok(())
    }

    fn unreadable(&self, source: ArrowError) -> ImportError {
        ImportError::Content {
            path: self.path.clone(),
            format: self.source.format,
            source,
        }
    }
}
