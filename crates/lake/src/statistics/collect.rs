//! Statistics of rows as they are written.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, max_boolean, max_string, min, min_boolean, min_string};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use footfall_model::table::TableSpec;

use super::{ColumnStatistics, StatValue};

/// Accumulates statistics over all batches of a file.
#[derive(Debug)]
pub(crate) struct StatisticsCollector {
    columns: Vec<ColumnCollector>,
    rows: u64,
}

#[derive(Debug)]
struct ColumnCollector {
    index: usize,
    data_type: DataType,
    /// `None` before the first value.
    range: Option<(StatValue, StatValue)>,
    nulls: u64,
    /// The column has a value that a minimum or maximum can't represent.
    unbounded: bool,
}

impl StatisticsCollector {
    pub(crate) fn new(spec: &TableSpec) -> Self {
        let columns = spec.statistics_indices().iter().map(|index| ColumnCollector {
            index: *index,
            data_type: spec.file_schema().field(*index).data_type().clone(),
            range: None,
            nulls: 0,
            unbounded: false,
        });
        Self {
            columns: columns.collect(),
            rows: 0,
        }
    }

    /// Rows of the table's file schema.
    pub(crate) fn add(&mut self, rows: &RecordBatch) {
        self.rows += rows.num_rows() as u64;
        for column in &mut self.columns {
            match rows.columns().get(column.index) {
                Some(values) => column.add(values),
                None => column.unbounded = true,
            }
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn finish(self) -> Box<[ColumnStatistics]> {
        let columns = self.columns.into_iter().map(|column| {
            let (min, max) = column.range.filter(|_| !column.unbounded).unzip();
            ColumnStatistics {
                is_exact: min.is_some(),
                min,
                max,
                null_count: Some(column.nulls),
            }
        });
        columns.collect()
    }
}

impl ColumnCollector {
    fn add(&mut self, values: &ArrayRef) {
        self.nulls += values.null_count() as u64;
        if values.null_count() == values.len() {
            return;
        }
        let Some((low, high)) = bounds(values, &self.data_type) else {
            self.unbounded = true;
            return;
        };
        self.range = Some(match self.range.take() {
            None => (low, high),
            Some((min, max)) => (if low < min { low } else { min }, if high > max { high } else { max }),
        });
    }
}

/// Minimum and maximum of an array that has a value; `None` if they are not of the type, or if one is NaN or infinite.
pub(super) fn bounds(values: &ArrayRef, data_type: &DataType) -> Option<(StatValue, StatValue)> {
    macro_rules! of {
        ($arrow:ty, $value:expr) => {{
            let values = values.as_primitive_opt::<$arrow>()?;
            Some(($value(min(values)?), $value(max(values)?)))
        }};
    }
    match data_type {
        DataType::Utf8 => {
            let values = values.as_string_opt::<i32>()?;
            Some((
                StatValue::text(min_string(values)?),
                StatValue::text(max_string(values)?),
            ))
        }
        DataType::Boolean => {
            let values = values.as_boolean_opt()?;
            Some((
                StatValue::Boolean(min_boolean(values)?),
                StatValue::Boolean(max_boolean(values)?),
            ))
        }
        DataType::Int32 => of!(Int32Type, StatValue::Int32),
        DataType::Int64 => of!(Int64Type, StatValue::Int64),
        DataType::Date32 => of!(Date32Type, StatValue::Date32),
        DataType::Timestamp(..) => of!(TimestampMicrosecondType, StatValue::Timestamp),
        DataType::Decimal128(..) => of!(Decimal128Type, |value| StatValue::Decimal128(Box::new(value))),
        DataType::Float64 => {
            let (low, high) = {
                let values = values.as_primitive_opt::<Float64Type>()?;
                (min(values)?, max(values)?)
            };
            // JSON has neither infinity nor NaN.
            (low.is_finite() && high.is_finite()).then_some((StatValue::Float64(low), StatValue::Float64(high)))
        }
        _ => None,
    }
}
