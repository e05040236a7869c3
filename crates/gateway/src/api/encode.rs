//! Batches of rows as JSON, NDJSON, CSV or an Arrow stream, one after the other.

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, WriterBuilder};
use serde_json::json;

use crate::problem::Problem;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    NdJson,
    Csv,
    Arrow,
}

impl Format {
    pub(super) const MEDIA_TYPES: [&str; 4] = [
        "application/json",
        "application/x-ndjson",
        "text/csv",
        "application/vnd.apache.arrow.stream",
    ];

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => Self::MEDIA_TYPES[0],
            Self::NdJson => Self::MEDIA_TYPES[1],
            Self::Csv => Self::MEDIA_TYPES[2],
            Self::Arrow => Self::MEDIA_TYPES[3],
        }
    }

    pub(super) fn of_media_range(range: &str) -> Option<Self> {
        match range {
            "*/*" | "application/*" => Some(Self::Json),
            "text/*" => Some(Self::Csv),
            "application/ndjson" => Some(Self::NdJson),
            other => [Self::Json, Self::NdJson, Self::Csv, Self::Arrow]
                .into_iter()
                .find(|format| format.media_type() == other),
        }
    }
}

/// Encodes a result: the start, its batches, the end.
pub(super) struct Encoder {
    schema: SchemaRef,
    inner: Inner,
}

enum Inner {
    Json { rows: bool },
    NdJson,
    Csv,
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl Encoder {
    pub(super) fn new(format: Format, schema: &SchemaRef) -> Result<Self, Problem> {
        let inner = match format {
            Format::Json => Inner::Json { rows: false },
            Format::NdJson => Inner::NdJson,
            Format::Csv => Inner::Csv,
            Format::Arrow => Inner::Arrow(Box::new(checked(StreamWriter::try_new(Vec::new(), schema))?)),
        };
        Ok(Self {
            schema: SchemaRef::clone(schema),
            inner,
        })
    }

    pub(super) fn start(&mut self) -> Result<Vec<u8>, Problem> {
        match &mut self.inner {
            Inner::Json { .. } => Ok(format!("{{\"columns\":{},\"rows\":[", columns(&self.schema)).into_bytes()),
            Inner::NdJson => Ok(Vec::new()),
            Inner::Csv => csv_of(&RecordBatch::new_empty(SchemaRef::clone(&self.schema)), true),
            Inner::Arrow(writer) => Ok(std::mem::take(writer.get_mut())),
        }
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, Problem> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        match &mut self.inner {
            Inner::Json { rows } => {
                let mut text = json_of::<JsonArray>(batch)?;
                // Of one array for each batch, the brackets go.
                text.pop();
                match std::mem::replace(rows, true) {
                    true => text[0] = b',',
                    false => text[0] = b' ',
                }
                Ok(text)
            }
            Inner::NdJson => json_of::<LineDelimited>(batch),
            Inner::Csv => csv_of(batch, false),
            Inner::Arrow(writer) => {
                checked(writer.write(batch))?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, Problem> {
        match &mut self.inner {
            Inner::Json { .. } => Ok(b"]}\n".to_vec()),
            Inner::NdJson | Inner::Csv => Ok(Vec::new()),
            Inner::Arrow(writer) => {
                checked(writer.finish())?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }
}

fn columns(schema: &Schema) -> serde_json::Value {
    let each = schema.fields().iter();
    each.map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect()
}

fn json_of<F: JsonFormat>(batch: &RecordBatch) -> Result<Vec<u8>, Problem> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, F>(Vec::new());
    checked(writer.write(batch))?;
    checked(writer.finish())?;
    Ok(writer.into_inner())
}

fn csv_of(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, Problem> {
    let mut writer = csv::WriterBuilder::new().with_header(header).build(Vec::new());
    checked(writer.write(batch))?;
    Ok(writer.into_inner())
}

fn checked<T>(result: Result<T, arrow::error::ArrowError>) -> Result<T, Problem> {
    result.map_err(|error| Problem::internal(&error))
}
