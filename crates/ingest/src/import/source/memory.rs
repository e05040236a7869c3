//! Files in memory, for tests and fuzzing.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;

use super::{Format, OpenError, RowReader, TextBuffer, csv, ndjson, parquet};

pub(in crate::import) fn open_bytes(bytes: Bytes, format: Format) -> Result<Box<dyn RowReader>, OpenError> {
    let position = Arc::default();
    match format {
        Format::Parquet => parquet::open(bytes, &position),
        Format::Ndjson => ndjson::open(TextBuffer::new(Cursor::new(bytes), &position)),
        Format::Csv => csv::open(TextBuffer::new(Cursor::new(bytes), &position)),
    }
}
