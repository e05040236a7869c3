//! Files as columns of the fields of an event, whatever their format: [`super::conform`] makes events of them.
//!
//! ```text
//! Parquet          -> parquet: cast, nested values to JSON  \
//! NDJSON -> text   -> ndjson: values as they are written     > Rows: a column for each field, and the rows that
//! CSV    -> (BOM,  -> csv: fields of each record            /        can't be read
//!            lines)
//! ```
//!
//! A row that can't be read costs that row, never the file.

mod csv;
mod ndjson;
mod parquet;
mod rows;
mod text;
mod values;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::error::ArrowError;
use footfall_model::field::EventField;
use xxhash_rust::xxh3::Xxh3;

use super::ImportError;
use super::names::Columns;
pub(super) use rows::{Rows, rejection};
use text::TextBuffer;

/// Rows of a batch.
const BATCH_ROWS: usize = 16 * 1_024;

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

/// Reads the rows of a file, some at a time.
pub(super) trait RowReader: Send {
    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// The file can't be read any further.
    fn next_rows(&mut self) -> Option<Result<Rows, ArrowError>>;

    /// Names of columns or keys, found since the last call, that are no field of an event.
    fn take_ignored(&mut self) -> BTreeSet<String>;
}

/// An open file.
pub(super) struct Source {
    pub format: Format,
    pub reader: Box<dyn RowReader>,
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
    let reader: Result<Box<dyn RowReader>, OpenError> = match format {
        Format::Parquet => parquet::open(file, &position),
        Format::Ndjson => ndjson::open(TextBuffer::new(file, &position)),
        Format::Csv => csv::open(TextBuffer::new(file, &position)),
    };
    let reader = reader.map_err(|error| error.of(path, format))?;
    Ok(Source {
        format,
        reader,
        position,
    })
}

/// Why a file can't be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    Content(ArrowError),
    Missing { column: &'static str, present: String },
    Ambiguous { names: [String; 2], field: EventField },
}

impl From<ArrowError> for OpenError {
    fn from(error: ArrowError) -> Self {
        Self::Content(error)
    }
}

impl OpenError {
    fn of(self, path: &Path, format: Format) -> ImportError {
        let path = path.to_path_buf();
        match self {
            Self::Content(source) => ImportError::Content { path, format, source },
            Self::Missing { column, present } => ImportError::MissingColumn { path, column, present },
            Self::Ambiguous { names, field } => ImportError::AmbiguousColumns {
                path,
                names: names.join(" and "),
                field: field.name(),
            },
        }
    }
}

/// What the columns of a file mean. It must have those without which no row can be an event.
fn columns(names: &[&str]) -> Result<Columns, OpenError> {
    let columns = Columns::of(names).map_err(|(first, second, field)| OpenError::Ambiguous {
        names: [first, second],
        field,
    })?;
    let missing = EventField::ALL
        .iter()
        // When a file was imported says nothing of when its events happened.
        .filter(|field| field.spec().is_required() || **field == EventField::EventTimestamp)
        .find(|field| !columns.has(**field));
    match missing {
        None => Ok(columns),
        Some(field) => Err(OpenError::Missing {
            column: field.name(),
            present: names.join(", "),
        }),
    }
}

#[cfg(any(test, fuzzing))]
mod memory;
#[cfg(any(test, fuzzing))]
pub(super) use memory::open_bytes;
