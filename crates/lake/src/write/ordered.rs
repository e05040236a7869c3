//! A file of rows that come some at a time, already in the order of files: no more of them than that is in memory.

use arrow::array::RecordBatch;
use footfall_model::clock::Micros;

use super::{EncodedFile, describe, encode, path};
use crate::{DataFile, LakeError, Range};

/// Makes a file named `name` of one day's rows, of the schema [`footfall_model::schema::event_file`] and sorted by
/// [`footfall_model::schema::SORT_COLUMNS`]. It computes long.
///
/// # Errors
/// The first that `rows` tells, or they are not of the schema.
pub fn encode_ordered<E: From<LakeError>>(
    event_date: i32,
    rows: impl IntoIterator<Item = Result<RecordBatch, E>>,
    name: &str,
    now: Micros,
) -> Result<EncodedFile, E> {
    let mut writer = encode::writer(Vec::new())?;
    let mut file = describe(path(event_date, name), event_date, &[], 0, now);
    for batch in rows {
        let batch = batch?;
        writer.write(&batch).map_err(encode::encode)?;
        let more = describe(file.path.clone(), event_date, &[batch], 0, now);
        grow(&mut file, more);
    }
    let bytes = writer.into_inner().map_err(encode::encode)?;
    file.size = bytes.len() as u64;
    Ok(EncodedFile {
        file,
        bytes: bytes.into(),
    })
}

/// The file with further rows.
fn grow(file: &mut DataFile, more: DataFile) {
    file.rows += more.rows;
    extend(&mut file.tracking_id, more.tracking_id);
    extend(&mut file.client_hash, more.client_hash);
    extend(&mut file.event_timestamp, more.event_timestamp);
}

fn extend<T: Ord>(range: &mut Option<Range<T>>, more: Option<Range<T>>) {
    *range = match (range.take(), more) {
        (Some(one), Some(other)) => Some(Range {
            min: one.min.min(other.min),
            max: one.max.max(other.max),
        }),
        (one, other) => one.or(other),
    };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array};
    use arrow::compute::concat_batches;
    use arrow::datatypes::DataType;
    use footfall_model::schema;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    /// In the order of files.
    fn sorted(rows: usize) -> RecordBatch {
        let numbers = || 0..rows as i64;
        let schema = schema::event_file();
        let columns = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Utf8 => Arc::new(numbers().map(|n| Some(format!("{n:04}"))).collect::<StringArray>()) as ArrayRef,
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(numbers().map(|n| 5 - n % 9))),
            DataType::Boolean => Arc::new(numbers().map(|n| Some(n % 9 == 0)).collect::<BooleanArray>()),
            DataType::Timestamp(..) => {
                let times = numbers().map(|n| n * 7_919 % 1_009);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            other => new_null_array(other, rows),
        });
        RecordBatch::try_new(schema::event_file(), columns.collect()).unwrap()
    }

    #[test]
    fn rows_that_come_some_at_a_time_make_the_file_that_they_make_at_once() {
        let rows = sorted(1_000);
        let parts = (0..rows.num_rows()).step_by(77);
        let parts = parts.map(|start| Ok::<_, LakeError>(rows.slice(start, 77.min(rows.num_rows() - start))));
        let encoded = encode_ordered(3, parts, "some", 7).unwrap();
        let whole = describe(path(3, "some"), 3, std::slice::from_ref(&rows), encoded.bytes.len(), 7);
        assert_eq!(encoded.file, whole);
        let read = ParquetRecordBatchReaderBuilder::try_new(encoded.bytes).unwrap();
        assert_eq!(read.metadata().num_row_groups(), 1);
        let read: Vec<_> = read.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(concat_batches(&rows.schema(), &read).unwrap(), rows);
    }

    #[test]
    fn an_error_among_the_rows_is_told() {
        let wrong = || LakeError::Encode("wrong".into());
        let rows = [Ok(sorted(1)), Err(wrong())];
        let error = encode_ordered(0, rows, "some", 7).unwrap_err();
        assert_eq!(error.to_string(), wrong().to_string());
    }
}
