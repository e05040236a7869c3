//! The statistics of many files as Arrow arrays, one element per file.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt64Array, new_null_array,
};
use arrow::datatypes::DataType;
use footfall_model::table::TableSpec;

use super::{ColumnStatistics, StatValue};
use crate::DataFile;

/// Statistics of the files of a chunk: each array has an element for each file, in their order, null where it is
/// unknown.
#[derive(Debug)]
pub struct ChunkStatistics {
    /// The value of the partition column.
    pub dates: Arc<Date32Array>,
    pub rows: Arc<UInt64Array>,
    /// In the order of [`TableSpec::statistics_columns`].
    pub columns: Vec<ColumnArrays>,
}

/// Of one column.
#[derive(Debug)]
pub struct ColumnArrays {
    /// Of the column's type.
    pub min: ArrayRef,
    /// Of the column's type.
    pub max: ArrayRef,
    pub null_counts: Arc<UInt64Array>,
    /// Whether both bounds are values of the file.
    pub exact: Arc<BooleanArray>,
}

impl ChunkStatistics {
    pub(crate) fn new(spec: &TableSpec, files: &[Arc<DataFile>]) -> Self {
        let columns = spec.statistics_indices().iter().enumerate().map(|(nth, index)| {
            let data_type = spec.file_schema().field(*index).data_type();
            let of = || files.iter().map(move |file| file.statistics.get(nth));
            ColumnArrays {
                min: array(data_type, files.len(), of().map(|column| column?.min.as_ref())),
                max: array(data_type, files.len(), of().map(|column| column?.max.as_ref())),
                null_counts: Arc::new(of().map(|column| column?.null_count).collect()),
                exact: Arc::new(of().map(|column| Some(column.is_some_and(is_exact))).collect()),
            }
        });
        Self {
            dates: Arc::new(Date32Array::from_iter_values(
                files.iter().map(|file| file.partition_date),
            )),
            rows: Arc::new(files.iter().map(|file| file.rows).collect()),
            columns: columns.collect(),
        }
    }
}

fn is_exact(column: &ColumnStatistics) -> bool {
    column.is_exact
}

fn array<'a>(data_type: &DataType, len: usize, values: impl Iterator<Item = Option<&'a StatValue>>) -> ArrayRef {
    macro_rules! of {
        ($array:ty, $variant:ident) => {
            values
                .map(|value| match value {
                    Some(StatValue::$variant(value)) => Some(value.clone()),
                    _ => None,
                })
                .collect::<$array>()
        };
    }
    match data_type {
        DataType::Boolean => Arc::new(of!(BooleanArray, Boolean)),
        DataType::Int32 => Arc::new(of!(Int32Array, Int32)),
        DataType::Int64 => Arc::new(of!(Int64Array, Int64)),
        DataType::Float64 => Arc::new(of!(Float64Array, Float64)),
        DataType::Date32 => Arc::new(of!(Date32Array, Date32)),
        DataType::Timestamp(..) => Arc::new(of!(TimestampMicrosecondArray, Timestamp).with_timezone("UTC")),
        DataType::Utf8 => {
            let texts = values.map(|value| match value {
                Some(StatValue::Utf8(text)) => Some(text),
                _ => None,
            });
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Decimal128(..) => {
            let numbers = values.map(|value| match value {
                Some(StatValue::Decimal128(number)) => Some(**number),
                _ => None,
            });
            Arc::new(numbers.collect::<Decimal128Array>().with_data_type(data_type.clone()))
        }
        other => new_null_array(other, len),
    }
}
