//! Reads a file into chunks that are written together.

use std::path::Path;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::error::ArrowError;
use footfall_model::schema;
use tokio::sync::mpsc::Sender;

use super::conform::Conform;
use super::source::{self, Item};
use super::{ImportError, ImportOptions, ImportParts, Progress, Report};
use crate::writer::{EventKey, Window};

/// Sends the file's events, a chunk at a time. Ends early if nobody takes them any more.
pub(super) fn read(
    parts: &ImportParts,
    options: &ImportOptions,
    path: &Path,
    progress: &Progress,
    chunks: &Sender<RecordBatch>,
) -> Result<Report, ImportError> {
    let source = source::open(path, options.format)?;
    let now = parts.clock.now();
    let content = |source_error| ImportError::Content {
        path: path.to_path_buf(),
        format: source.format,
        source: source_error,
    };
    let conform = Conform::new(&parts.sites, &parts.enricher, now);
    let mut seen = Window::new(&options.dedupe, now);
    let mut report = Report::default();
    let mut chunk = Chunk::default();
    for item in source.items {
        let batch = match item.map_err(content)? {
            Item::Rows(batch) => batch,
            Item::Unreadable(reason) => {
                report.rows += 1;
                report.reject(report.rows, reason);
                continue;
            }
        };
        conform.require_columns(&batch, path)?;
        let read = batch.num_rows() as u64;
        let events = conform.events(&batch, &mut report).map_err(content)?;
        report.rows += read;
        let events = distinct(events, &mut seen, now, &mut report).map_err(content)?;
        report.imported += events.num_rows() as u64;
        chunk.push(events);
        progress.advance(source.position.load(std::sync::atomic::Ordering::Relaxed), read);
        let full = chunk.rows >= options.chunk_rows || chunk.bytes >= options.chunk_bytes;
        if full && chunks.blocking_send(chunk.take().map_err(content)?).is_err() {
            return Ok(report);
        }
    }
    if chunk.rows > 0 {
        let _ = chunks.blocking_send(chunk.take().map_err(content)?);
    }
    Ok(report)
}

#[derive(Default)]
struct Chunk {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Chunk {
    fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
    }

    fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let chunk = std::mem::take(self);
        concat_batches(&schema::event_file(), &chunk.batches)
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
            let key = EventKey::new(site.unwrap_or_default(), id.unwrap_or_default());
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
