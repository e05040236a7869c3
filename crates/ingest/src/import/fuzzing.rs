//! Entry point of the fuzz target `import_reader` (`fuzz/`), and of tests that need no lake: nothing is stored.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use footfall_model::clock::Micros;
use parquet::arrow::ArrowWriter;

use super::conform::Conform;
use super::source::open_bytes;
use super::{Format, Report, Sites};
use crate::collect::CollectOptions;
use crate::enrich::Enricher;

/// The rows as a Parquet file; `None` if it can't have columns of their types.
pub fn to_parquet(rows: &RecordBatch) -> Option<Bytes> {
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), None).ok()?;
    writer.write(rows).ok()?;
    writer.close().ok()?;
    Some(file.into())
}

/// The events of a file, as they would be stored, and what became of its rows.
///
/// # Errors
/// The file can't be read, or not to its end.
pub fn read(
    bytes: Bytes,
    format: Format,
    sites: &Arc<Sites>,
    enricher: &Arc<Enricher>,
    now: Micros,
) -> Result<(Vec<RecordBatch>, Report), String> {
    let mut reader = open_bytes(bytes, format).map_err(|error| format!("{error:?}"))?;
    let mut conform = Conform::new(Arc::clone(sites), CollectOptions::default(), Arc::clone(enricher), now);
    let mut report = Report::default();
    let mut batches = Vec::new();
    while let Some(rows) = reader.next_rows() {
        let rows = rows.map_err(|error| error.to_string())?;
        let count = rows.count as u64;
        let events = conform.check(rows, &mut report).map_err(|error| error.to_string())?;
        report.rows += count;
        batches.push(conform.complete(&events).map_err(|error| error.to_string())?);
    }
    report.ignore(reader.take_ignored());
    Ok((batches, report))
}
