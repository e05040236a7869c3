//! Files as batches of columns, whatever their types: [`super::conform`] makes events of them.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::csv::reader::Format as CsvFormat;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use footfall_model::field::{EventField, FieldOrigin};
use footfall_model::schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::ImportError;

/// Rows of a batch.
const BATCH_ROWS: usize = 16 * 1_024;

/// A longer line is no event.
const LINE_BYTES: u64 = 1_024 * 1_024;

/// How a file holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Parquet,
    /// One JSON object a line.
    Ndjson,
    /// With a header line.
    Csv,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "parquet",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "parquet" => Ok(Self::Parquet),
            "ndjson" | "jsonl" | "json" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            _ => Err(format!("{text:?} is no format: parquet, ndjson or csv")),
        }
    }
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.to_ascii_lowercase().parse().ok()
    }
}

/// The columns that a file may have; others are ignored.
pub(super) fn columns() -> impl Iterator<Item = EventField> {
    schema::file_columns().filter(|field| field.spec().origin != FieldOrigin::Derived)
}

/// A file's rows. A row that can't be read at all comes as [`Item::Unreadable`].
pub(super) enum Item {
    Rows(RecordBatch),
    Unreadable(&'static str),
}

type Items = Box<dyn Iterator<Item = Result<Item, ArrowError>> + Send>;

/// An open file.
pub(super) struct Source {
    pub format: Format,
    pub items: Items,
    /// Bytes read so far, of the file's size.
    pub position: Arc<AtomicU64>,
}

/// XXH3 of a file's bytes.
pub(super) fn digest(path: &Path) -> Result<u128, ImportError> {
    let failed = |source| ImportError::File {
        path: path.to_path_buf(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 1_024 * 1_024];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hasher.digest128()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

pub(super) fn open(path: &Path, format: Option<Format>) -> Result<Source, ImportError> {
    let format = format.or_else(|| Format::of(path));
    let format = format.ok_or_else(|| ImportError::UnknownFormat {
        path: path.to_path_buf(),
    })?;
    let file = File::open(path).map_err(|source| ImportError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let position = Arc::new(AtomicU64::new(0));
    let items = match format {
        Format::Parquet => parquet(file, &position),
        Format::Ndjson => Ok(ndjson(Counted::new(file, &position))),
        Format::Csv => csv(file, &position),
    };
    let items = items.map_err(|source| ImportError::Content {
        path: path.to_path_buf(),
        format,
        source,
    })?;
    Ok(Source {
        format,
        items,
        position,
    })
}

/// Only the columns that an import takes.
fn parquet(file: File, position: &Arc<AtomicU64>) -> Result<Items, ArrowError> {
    let bytes = file.metadata()?.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let known: Vec<_> = (0..)
        .zip(builder.schema().fields())
        .filter(|(_, field)| columns().any(|column| column.name() == field.name()))
        .map(|(index, _)| index)
        .collect();
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
    let mask = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), known);
    let reader = builder.with_batch_size(BATCH_ROWS).with_projection(mask).build()?;
    let position = Arc::clone(position);
    let mut seen = 0_u64;
    Ok(Box::new(reader.map(move |batch| {
        let batch = batch?;
        seen += batch.num_rows() as u64;
        // Columns are read side by side: the share of the rows says more than the place in the file.
        let share = u128::from(bytes) * u128::from(seen) / u128::from(rows.max(1));
        position.store(u64::try_from(share).unwrap_or(bytes), Ordering::Relaxed);
        Ok(Item::Rows(batch))
    })))
}

/// Text columns named as the header says.
fn csv(mut file: File, position: &Arc<AtomicU64>) -> Result<Items, ArrowError> {
    let (inferred, _) = CsvFormat::default()
        .with_header(true)
        .infer_schema(&mut file, Some(0))?;
    file.rewind()?;
    let fields: Vec<_> = inferred
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), DataType::Utf8, true))
        .collect();
    let reader = arrow::csv::ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_header(true)
        .with_batch_size(BATCH_ROWS)
        .build(Counted::new(file, position))?;
    Ok(Box::new(reader.map(|batch| batch.map(Item::Rows))))
}

/// A reader that says how far it is.
struct Counted {
    file: File,
    position: Arc<AtomicU64>,
}

impl Counted {
    fn new(file: File, position: &Arc<AtomicU64>) -> Self {
        Self {
            file,
            position: Arc::clone(position),
        }
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Text columns of the schema's names; numbers, objects and lists as their JSON text.
fn ndjson(file: Counted) -> Items {
    let mut lines = BufReader::with_capacity(256 * 1_024, file);
    let mut line = Vec::new();
    let mut unreadable = None;
    let mut done = false;
    Box::new(std::iter::from_fn(move || {
        if let Some(reason) = unreadable.take() {
            return Some(Ok(Item::Unreadable(reason)));
        }
        if done {
            return None;
        }
        let mut rows = TextRows::default();
        while rows.count < BATCH_ROWS {
            line.clear();
            match lines.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
                Err(error) => return Some(Err(error.into())),
                Ok(0) => {
                    done = true;
                    break;
                }
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(read) if read as u64 == LINE_BYTES && !line.ends_with(b"\n") => {
                    return Some(Err(ArrowError::JsonError("a line is longer than 1 MiB".into())));
                }
                Ok(_) => match serde_json::from_slice(&line) {
                    Ok(Value::Object(object)) => rows.push(&object),
                    // What came before keeps its place: rows are numbered by it.
                    Ok(_) => unreadable = Some("the line is no JSON object"),
                    Err(_) => unreadable = Some("the line is not valid JSON"),
                },
            }
            if unreadable.is_some() {
                break;
            }
        }
        if rows.count > 0 {
            return Some(rows.finish().map(Item::Rows));
        }
        unreadable.take().map(|reason| Ok(Item::Unreadable(reason)))
    }))
}

struct TextRows {
    columns: Vec<(&'static str, StringBuilder)>,
    count: usize,
}

impl Default for TextRows {
    fn default() -> Self {
        Self {
            columns: columns().map(|field| (field.name(), StringBuilder::new())).collect(),
            count: 0,
        }
    }
}

impl TextRows {
    fn push(&mut self, object: &serde_json::Map<String, Value>) {
        for (name, column) in &mut self.columns {
            match object.get(*name) {
                None | Some(Value::Null) => column.append_null(),
                Some(Value::String(text)) => column.append_value(text),
                Some(other) => column.append_value(other.to_string()),
            }
        }
        self.count += 1;
    }

    fn finish(self) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.into_iter();
        RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, mut column)| (name, Arc::new(column.finish()) as ArrayRef, true)),
        )
    }
}
