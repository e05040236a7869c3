//! Batches of rows as JSON, NDJSON, CSV, an Arrow stream or a Parquet file, one after the other.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::csv;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, WriterBuilder};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::json;

use super::format::{Encoding, Escape, Format};
use super::formulas;
use crate::problem::Problem;

/// Bytes of a row group, about: it is held until it is full.
const ROW_GROUP: usize = 8 << 20;

/// Encodes a result: the start, its batches, the end.
pub(super) struct Encoder {
    schema: SchemaRef,
    inner: Inner,
}

enum Inner {
    Json { rows: bool },
    NdJson,
    Csv(Escape),
    Arrow(Box<StreamWriter<Vec<u8>>>),
    Parquet(Box<ArrowWriter<Written>>, Written),
}

/// Why a batch can't be written.
#[derive(Debug, thiserror::Error)]
enum EncodeError {
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// Bytes that a writer has written and nobody has taken.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock())
    }
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Encoder {
    /// # Errors
    /// The format has no such column.
    pub(super) fn new(encoding: Encoding, schema: &SchemaRef) -> Result<Self, Problem> {
        check(encoding, schema).map_err(|error| {
            let name = encoding.format.name();
            let detail =
                format!("the rows can't be written as {name}: {error}; cast the column, or ask for another format");
            Problem::invalid("format", detail)
        })?;
        Self::open(encoding, schema).map_err(|error| Problem::internal(&error))
    }

    fn open(encoding: Encoding, schema: &SchemaRef) -> Result<Self, EncodeError> {
        let inner = match encoding.format {
            Format::Json => Inner::Json { rows: false },
            Format::NdJson => Inner::NdJson,
            Format::Csv => Inner::Csv(encoding.escape),
            Format::Arrow => Inner::Arrow(Box::new(StreamWriter::try_new(Vec::new(), schema)?)),
            Format::Parquet => {
                let compression = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(compression).build();
                let written = Written::default();
                let writer = ArrowWriter::try_new(written.clone(), SchemaRef::clone(schema), Some(properties))?;
                Inner::Parquet(Box::new(writer), written)
            }
        };
        Ok(Self {
            schema: SchemaRef::clone(schema),
            inner,
        })
    }

    pub(super) fn start(&mut self) -> Result<Vec<u8>, Problem> {
        match &mut self.inner {
            Inner::Json { .. } => Ok(format!("{{\"columns\":{},\"rows\":[", columns(&self.schema)).into_bytes()),
            Inner::NdJson | Inner::Parquet(..) => Ok(Vec::new()),
            Inner::Csv(escape) => csv_of(&RecordBatch::new_empty(SchemaRef::clone(&self.schema)), *escape, true)
                .map_err(|error| Problem::internal(&error)),
            Inner::Arrow(writer) => Ok(std::mem::take(writer.get_mut())),
        }
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, Problem> {
        self.write(batch).map_err(|error| Problem::internal(&error))
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, EncodeError> {
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
            Inner::Csv(escape) => csv_of(batch, *escape, false),
            Inner::Arrow(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Inner::Parquet(writer, written) => {
                writer.write(batch)?;
                if writer.memory_size() >= ROW_GROUP {
                    writer.flush()?;
                }
                Ok(written.take())
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, Problem> {
        self.end().map_err(|error| Problem::internal(&error))
    }

    fn end(&mut self) -> Result<Vec<u8>, EncodeError> {
        match &mut self.inner {
            Inner::Json { .. } => Ok(b"]}\n".to_vec()),
            Inner::NdJson | Inner::Csv(_) => Ok(Vec::new()),
            Inner::Arrow(writer) => {
                writer.finish()?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Inner::Parquet(writer, written) => {
                writer.finish()?;
                Ok(written.take())
            }
        }
    }
}

/// Whether the format has all types of columns: a row of nulls is written and thrown away.
fn check(encoding: Encoding, schema: &SchemaRef) -> Result<(), EncodeError> {
    let nulls: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| new_null_array(field.data_type(), 1))
        .collect();
    if nulls.is_empty() {
        return Ok(());
    }
    let mut encoder = Encoder::open(encoding, schema)?;
    encoder.write(&RecordBatch::try_new(SchemaRef::clone(schema), nulls)?)?;
    encoder.end().map(drop)
}

fn columns(schema: &Schema) -> serde_json::Value {
    let each = schema.fields().iter();
    each.map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect()
}

fn json_of<F: JsonFormat>(batch: &RecordBatch) -> Result<Vec<u8>, EncodeError> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, F>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn csv_of(batch: &RecordBatch, escape: Escape, header: bool) -> Result<Vec<u8>, EncodeError> {
    let mut writer = csv::WriterBuilder::new().with_header(header).build(Vec::new());
    match escape {
        Escape::Formulas => writer.write(&formulas::escaped(batch)?)?,
        Escape::None => writer.write(batch)?,
    }
    Ok(writer.into_inner())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, IntervalUnit};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn encoder(format: Format, schema: &SchemaRef) -> Result<Encoder, Problem> {
        let escape = Escape::default();
        Encoder::new(Encoding { format, escape }, schema)
    }

    fn schema_with(column: DataType) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("x", column, true),
        ]))
    }

    #[test]
    fn column_without_a_type_in_the_format_is_refused() {
        let list = schema_with(DataType::new_list(DataType::Int64, true));
        let problem = encoder(Format::Csv, &list).err().unwrap();
        assert_eq!(problem.status(), 400);
        assert!(
            problem.detail().starts_with("the rows can't be written as csv: "),
            "{problem:?}"
        );
        let interval = schema_with(DataType::Interval(IntervalUnit::MonthDayNano));
        assert_eq!(encoder(Format::Parquet, &interval).err().unwrap().status(), 400);
        for format in [Format::Json, Format::NdJson, Format::Arrow, Format::Parquet] {
            assert!(encoder(format, &list).is_ok(), "{format:?}");
        }
    }

    #[test]
    fn parquet_comes_in_row_groups_of_bounded_size() {
        let schema = schema_with(DataType::Utf8);
        let mut encoder = encoder(Format::Parquet, &schema).unwrap();
        let mut file = encoder.start().unwrap();
        let mut pieces = 0;
        for begin in 0..120_i64 {
            let numbers = Int64Array::from_iter_values((begin * 8_192)..((begin + 1) * 8_192));
            // Random enough not to be compressed away.
            let texts = numbers
                .values()
                .iter()
                .map(|n| format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes())));
            let texts = StringArray::from_iter_values(texts);
            let batch = RecordBatch::try_new(SchemaRef::clone(&schema), vec![Arc::new(numbers), Arc::new(texts)]);
            let piece = encoder.batch(&batch.unwrap()).unwrap();
            pieces += usize::from(!piece.is_empty());
            assert!(piece.len() < 2 * ROW_GROUP);
            file.extend(piece);
        }
        file.extend(encoder.finish().unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
        assert!(reader.metadata().num_row_groups() > 1 && pieces > 1);
        let rows = reader
            .build()
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum::<usize>();
        assert_eq!(rows, 120 * 8_192);
    }

    #[test]
    fn parquet_without_its_end_is_no_file() {
        let schema = schema_with(DataType::Utf8);
        let mut encoder = encoder(Format::Parquet, &schema).unwrap();
        let mut part = encoder.start().unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1])),
            Arc::new(StringArray::from(vec!["x"])),
        ];
        part.extend(encoder.batch(&RecordBatch::try_new(schema, columns).unwrap()).unwrap());
        assert!(ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(part)).is_err());
    }
}
