//! Reads a file and gathers its events by day.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use footfall_model::clock::Micros;

use super::conform::Conform;
use super::day_buffers::{BufferLimits, Day, DayBuffers};
use super::source::{self, Item, Source};
use super::{ImportError, ImportOptions, ImportParts, Progress, Report};
use crate::writer::{EventKey, Window};

/// A file that is being read.
pub(super) struct Reading {
    path: PathBuf,
    source: Source,
    conform: Conform,
    seen: Window,
    day_buffers: DayBuffers,
    now: Micros,
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
        let now = parts.clock.now();
        Ok(Self {
            source: source::open(&path, options.format)?,
            path,
            conform: Conform::new(Arc::clone(&parts.sites), Arc::clone(&parts.enricher), now),
            seen: Window::new(&options.dedupe, now),
            day_buffers: DayBuffers::new(BufferLimits {
                rows: options.chunk_rows,
                bytes: options.memory,
            }),
            now,
            progress,
            report: Report::default(),
        })
    }

    /// Reads until a day has to be written; `None` when all have been.
    pub(super) fn next(&mut self) -> Result<Option<Day>, ImportError> {
        loop {
            if let Some(day) = self.day_buffers.due()? {
                return Ok(Some(day));
            }
            let Some(item) = self.source.items.next() else {
                return Ok(self.day_buffers.rest()?);
            };
            match item.map_err(|error| self.unreadable(error))? {
                Item::Rows(batch) => self.take(&batch)?,
                Item::Unreadable(reason) => {
                    self.report.rows += 1;
                    self.report.reject(self.report.rows, reason);
                }
            }
        }
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<(), ImportError> {
        self.conform.require_columns(batch, &self.path)?;
        let events = self.conform.events(batch, &mut self.report);
        let events = events.map_err(|error| self.unreadable(error))?;
        let read = batch.num_rows() as u64;
        self.report.rows += read;
        let events = distinct(events, &mut self.seen, self.now, &mut self.report);
        let events = events.map_err(|error| self.unreadable(error))?;
        self.report.imported += events.num_rows() as u64;
        self.day_buffers.push(events)?;
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

fn distinct(events: RecordBatch, seen: &mut Window, now: i64, report: &mut Report) -> Result<RecordBatch, ArrowError> {
    let column = |name: &str| {
        let column = events
            .column_by_name(name)
            .and_then(|column| column.as_string_opt::<i32>());
        column.ok_or_else(|| ArrowError::SchemaError(format!("no text column {name}")))
    };
    let (sites, ids) = (column("tracking_id")?, column("event_id")?);
    let new: BooleanArray = sites
        .iter()
        .zip(ids)
        .map(|(site, id)| {
            let key = EventKey::new(site.unwrap_or_default().as_bytes(), id.unwrap_or_default().as_bytes());
            Some(seen.insert(key, now))
        })
        .collect();
    let duplicates = new.false_count();
    if duplicates == 0 {
        return Ok(events);
    }
    report.duplicates += duplicates as u64;
    filter_record_batch(&events, &new)
}
