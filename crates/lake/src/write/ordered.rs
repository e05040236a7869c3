//! Encodes a file from a stream of batches that are already in file order: one batch at a time is in memory.

use arrow::array::RecordBatch;

use super::{EncodedFile, NewFile, encode};
use crate::LakeError;
use crate::statistics::StatisticsCollector;

/// Encodes a file of one partition's rows, of the table's file schema and sorted. CPU-bound and slow.
///
/// # Errors
/// The first error among `rows`, or they are not of the schema.
pub fn encode_ordered<E: From<LakeError>>(
    new: &NewFile,
    rows: impl IntoIterator<Item = Result<RecordBatch, E>>,
) -> Result<EncodedFile, E> {
    let mut writer = encode::writer(&new.spec, Vec::new())?;
    let mut statistics = StatisticsCollector::new(&new.spec);
    for batch in rows {
        let batch = batch?;
        writer.write(&batch).map_err(encode::encode)?;
        statistics.add(&batch);
    }
    let bytes = writer.into_inner().map_err(encode::encode)?;
    Ok(EncodedFile {
        file: new.describe(statistics, bytes.len()),
        bytes: bytes.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array};
    use arrow::compute::concat_batches;
    use arrow::datatypes::DataType;
    use footfall_model::{schema, table};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::Origin;

    /// Rows in file order.
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

    fn new() -> NewFile {
        NewFile::new(table::events(), 3, "some", Origin::Wal, 7)
    }

    #[test]
    fn batches_and_whole_encode_identically() {
        let rows = sorted(1_000);
        let parts = (0..rows.num_rows()).step_by(77);
        let parts = parts.map(|start| Ok::<_, LakeError>(rows.slice(start, 77.min(rows.num_rows() - start))));
        let encoded = encode_ordered(&new(), parts).unwrap();
        let whole = new().describe(new().statistics(std::slice::from_ref(&rows)), encoded.bytes.len());
        assert_eq!(encoded.file, whole);
        let read = ParquetRecordBatchReaderBuilder::try_new(encoded.bytes).unwrap();
        assert_eq!(read.metadata().num_row_groups(), 1);
        let read: Vec<_> = read.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(concat_batches(&rows.schema(), &read).unwrap(), rows);
    }

    #[test]
    fn row_error_is_returned() {
        let wrong = || LakeError::Encode("wrong".into());
        let rows = [Ok(sorted(1)), Err(wrong())];
        let error = encode_ordered(&new(), rows).unwrap_err();
        assert_eq!(error.to_string(), wrong().to_string());
    }
}
