//! The Parquet layout of a table's files.

use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;
use bytes::Bytes;
use footfall_model::table::TableSpec;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::pieces::{SortedPieces, Values};
use crate::LakeError;

/// Rows of a row group: small enough to read little for one visitor's or one site's rows, large enough for
/// compression.
pub const ROW_GROUP_ROWS: usize = 256 * 1_024;

/// Approximate encoded bytes of a row group: bounds what a writer holds in memory of rows with long texts.
pub const ROW_GROUP_BYTES: usize = 16 * 1_024 * 1_024;

/// Rows of a page: the unit that a lookup of one visitor reads.
const PAGE_ROWS: usize = 8 * 1_024;

/// Columns of one file that are encoded concurrently, if there is at least one core more: that one reads what is
/// written next.
const ENCODERS: usize = 4;

/// Writes a file of the table into `file`.
pub(super) fn writer<W: Write + Send>(spec: &TableSpec, file: W) -> Result<ArrowWriter<W>, LakeError> {
    ArrowWriter::try_new(file, Arc::clone(spec.file_schema()), Some(properties(spec))).map_err(encode)
}

pub(super) fn to_parquet(spec: &TableSpec, rows: &RecordBatch) -> Result<Bytes, LakeError> {
    let mut file = Vec::with_capacity(rows.num_rows() * 48);
    let mut writer = writer(spec, &mut file)?;
    writer.write(rows).map_err(encode)?;
    writer.close().map_err(encode)?;
    Ok(file.into())
}

/// As [`to_parquet`], but one column at a time per core, so that only few columns are held as sorted copies at once.
pub(super) fn pieces_to_parquet(spec: &TableSpec, rows: &SortedPieces) -> Result<Bytes, LakeError> {
    in_groups(spec, rows, ROW_GROUP_ROWS)
}

fn in_groups(spec: &TableSpec, rows: &SortedPieces, group_rows: usize) -> Result<Bytes, LakeError> {
    let mut file = Vec::with_capacity(rows.rows() * 40);
    let (mut writer, factory) = writer(spec, &mut file)?.into_serialized_writer().map_err(encode)?;
    for (number, start) in (0..rows.rows()).step_by(group_rows).enumerate() {
        let group = start..(start + group_rows).min(rows.rows());
        let columns = factory.create_column_writers(number).map_err(encode)?;
        let chunks = encode_columns(spec, rows, &group, columns)?;
        let mut group = writer.next_row_group().map_err(encode)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group).map_err(encode)?;
        }
        group.close().map_err(encode)?;
    }
    writer.close().map_err(encode)?;
    Ok(file.into())
}

fn encode_columns(
    spec: &TableSpec,
    rows: &SortedPieces,
    group: &Range<usize>,
    columns: Vec<ArrowColumnWriter>,
) -> Result<Vec<ArrowColumnChunk>, LakeError> {
    let threads = thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(ENCODERS);
    let queue = Mutex::new(columns.into_iter().enumerate());
    let encode_some = || {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().next();
            let Some((index, writer)) = next else { return Ok(done) };
            done.push((
                index,
                encode_column(spec.file_schema().field(index), &rows.values(index)?, group, writer)?,
            ));
        }
    };
    let mut chunks = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(encode_some)).collect();
        let mut chunks = encode_some()?;
        for other in others {
            let encoded = other.join();
            chunks.extend(encoded.map_err(|_| LakeError::Encode("an encoding thread panicked".into()))??);
        }
        Ok::<_, LakeError>(chunks)
    })?;
    chunks.sort_unstable_by_key(|(index, _)| *index);
    Ok(chunks.into_iter().map(|(_, chunk)| chunk).collect())
}

fn encode_column(
    field: &Field,
    values: &Values<'_>,
    group: &Range<usize>,
    mut writer: ArrowColumnWriter,
) -> Result<ArrowColumnChunk, LakeError> {
    for start in group.clone().step_by(PAGE_ROWS) {
        let page = values.rows(start..(start + PAGE_ROWS).min(group.end))?;
        for leaf in compute_leaves(field, &page).map_err(encode)? {
            writer.write(&leaf).map_err(encode)?;
        }
    }
    writer.close().map_err(encode)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn encode(error: ParquetError) -> LakeError {
    LakeError::Encode(error.to_string())
}

/// High-cardinality columns: a dictionary of them costs time and is discarded, or it is read as a whole for a page of the
/// column. Those that are sorted, or nearly so, also take a third less without one.
const WITHOUT_DICTIONARY: [(&str, Encoding); 16] = [
    ("client_hash", Encoding::PLAIN),
    ("session_hash", Encoding::PLAIN),
    ("user_hash", Encoding::PLAIN),
    ("client_id", Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ("session_id", Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ("event_timestamp", Encoding::DELTA_BINARY_PACKED),
    ("created_at", Encoding::DELTA_BINARY_PACKED),
    ("first_event", Encoding::DELTA_BINARY_PACKED),
    ("last_event", Encoding::DELTA_BINARY_PACKED),
    ("part_start", Encoding::DELTA_BINARY_PACKED),
    ("duration", Encoding::DELTA_BINARY_PACKED),
    ("first_arrival", Encoding::DELTA_BINARY_PACKED),
    // Mostly zero.
    ("entry_offset", Encoding::PLAIN),
    ("exit_offset", Encoding::PLAIN),
    ("event_id", Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ("visitors_sketch", Encoding::DELTA_LENGTH_BYTE_ARRAY),
];

/// Columns of which zstd saves less than a fifth of a byte a row, half a byte of a count. Most statements read them, and a
/// decoder for each of them in each file costs more than to decode them: it asks the processor what it is, for which a
/// virtual machine has to leave to its host.
const UNCOMPRESSED: [&str; 24] = [
    "tracking_id",
    "event_timestamp",
    "created_at",
    "event_type",
    "is_bot",
    "revenue",
    "country",
    "device",
    "browser",
    "os",
    "channel",
    "source",
    "utm_source",
    "utm_medium",
    "hour",
    "quarter_hour",
    "event_count",
    "pageviews",
    "purchases",
    "revenue_count",
    "total_revenue",
    "first_event",
    "last_event",
    "part_start",
];

fn properties(spec: &TableSpec) -> WriterProperties {
    let sorted = spec.sort_indices().iter().map(|index| SortingColumn {
        column_idx: i32::try_from(*index).unwrap_or(i32::MAX),
        descending: false,
        nulls_first: true,
    });
    let mut properties = WriterProperties::builder()
        // 2.0 lets columns without a dictionary use the delta encodings that every reader has known for years.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_sorting_columns(Some(sorted.collect()))
        .set_created_by(concat!("footfall ", env!("CARGO_PKG_VERSION")).into());
    for (column, encoding) in WITHOUT_DICTIONARY {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(column), false)
            .set_column_encoding(ColumnPath::from(column), encoding);
    }
    for column in UNCOMPRESSED {
        properties = properties.set_column_compression(ColumnPath::from(column), Compression::UNCOMPRESSED);
    }
    properties.build()
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array,
    };
    use arrow::compute::concat_batches;
    use arrow::datatypes::{DataType, Schema};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use footfall_model::schema;
    use footfall_model::table::events;

    use super::super::{partitions, split_days};
    use super::*;

    /// Unsorted rows of two sites, some visitors and three days; many are equal in all sort columns.
    fn arrivals(first: usize, rows: usize) -> RecordBatch {
        let numbers = || (first..first + rows).map(|row| row * 7_919 % 1_009);
        let text = |name: &str| -> ArrayRef {
            let values = numbers().zip(first..).map(|(number, row)| match name {
                "tracking_id" => Some(format!("site-{}", number % 2)),
                "event_id" => Some(format!("{row}")),
                "page_title" => None,
                _ => (number % 3 != 0 || !schema::event_file().field_with_name(name).unwrap().is_nullable())
                    .then(|| format!("{name} {}", number % 40)),
            });
            Arc::new(values.collect::<StringArray>())
        };
        let schema = schema::event_file();
        let columns = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Utf8 => text(field.name()),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(numbers().map(|n| n as i64 % 5 - 2))) as ArrayRef,
            DataType::Boolean => Arc::new(numbers().map(|n| Some(n % 9 == 0)).collect::<BooleanArray>()),
            DataType::Timestamp(..) => {
                let times = numbers().map(|n| n as i64 % 30 * 7_200_000_000);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            other => new_null_array(other, rows),
        });
        RecordBatch::try_new(schema::event_file(), columns.collect()).unwrap()
    }

    fn read(file: Bytes) -> (RecordBatch, usize) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let groups = reader.metadata().num_row_groups();
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        (concat_batches(&batches[0].schema(), &batches).unwrap(), groups)
    }

    #[test]
    fn pieces_and_one_batch_encode_identically() {
        let batches = [arrivals(0, 400), arrivals(400, 1), arrivals(401, 1_200)];
        let days = partitions(&concat_batches(&schema::event_file(), &batches).unwrap()).unwrap();
        let first = split_days(&concat_batches(&schema::event_file(), &batches[..2]).unwrap()).unwrap();
        let then = split_days(&batches[2]).unwrap();
        assert_eq!((days.len(), first.len(), then.len()), (3, 3, 3));
        for ((day, (_, first)), (_, then)) in days.into_iter().zip(first).zip(then) {
            let pieces = SortedPieces::new(vec![first, then], &[]).unwrap();
            let (rows, groups) = read(in_groups(events(), &pieces, 100).unwrap());
            assert_eq!(rows, day.rows);
            assert_eq!(groups, day.rows.num_rows().div_ceil(100));
            assert_eq!(read(to_parquet(events(), &day.rows).unwrap()).0, rows);
        }
    }

    /// The piece with a column's text as codes.
    fn coded(piece: &RecordBatch, name: &str, texts: &StringArray) -> RecordBatch {
        let index = piece.schema_ref().index_of(name).unwrap();
        let code = |text: Option<&str>| texts.iter().position(|known| known == text).map(|code| code as i32);
        let codes: Int32Array = piece.column(index).as_string::<i32>().iter().map(code).collect();
        let mut columns = piece.columns().to_vec();
        columns[index] = Arc::new(codes);
        let mut fields: Vec<_> = piece
            .schema_ref()
            .fields()
            .iter()
            .map(|field| field.as_ref().clone())
            .collect();
        fields[index] = Field::new(name, DataType::Int32, true);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn coded_and_plain_text_encode_identically() {
        let batches = [arrivals(0, 400), arrivals(400, 1_200)];
        let (first, then) = (split_days(&batches[0]).unwrap(), split_days(&batches[1]).unwrap());
        let texts = StringArray::from_iter_values((0..40).map(|number| format!("city {number}")));
        let index = schema::event_file().index_of("city").unwrap();
        let mut dictionaries = vec![None; index + 1];
        dictionaries[index] = Some(Arc::new(texts.clone()) as ArrayRef);
        for ((_, first), (_, then)) in first.into_iter().zip(then) {
            let file = |pieces: Vec<RecordBatch>| {
                read(in_groups(events(), &SortedPieces::new(pieces, &dictionaries).unwrap(), 100).unwrap()).0
            };
            let numbers = |piece| coded(piece, "city", &texts);
            let plain = file(vec![first.clone(), then.clone()]);
            assert_eq!(file(vec![numbers(&first), numbers(&then)]), plain);
            assert_eq!(file(vec![first.clone(), numbers(&then)]), plain);
            assert!(
                SortedPieces::new(vec![numbers(&first)], &[]).is_err(),
                "numbers of nothing"
            );
        }
    }

    #[test]
    fn column_can_be_replaced() {
        let [(_, piece), ..] = &split_days(&arrivals(0, 300)).unwrap()[..] else {
            panic!("no day");
        };
        let sorted = || SortedPieces::new(vec![piece.clone()], &[]).unwrap();
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(
            (0..sorted().rows()).map(|n| n.to_string()),
        ));
        let replaced = sorted().with_column("session_id", Arc::clone(&ids)).unwrap();
        let (rows, _) = read(in_groups(events(), &replaced, 64).unwrap());
        assert_eq!(rows.column_by_name("session_id"), Some(&ids));
        assert_eq!(
            rows.column_by_name("event_id"),
            Some(&sorted().column("event_id").unwrap())
        );
        assert!(sorted().with_column("session_id", ids.slice(1, 2)).is_err());
        assert!(sorted().with_column("nothing", ids).is_err());
    }
}
