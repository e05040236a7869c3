//! What is known of a file's columns without reading it: minimum, maximum and number of nulls.
//!
//! ```text
//! rows -> StatisticsCollector -> ColumnStatistics <-> JSON of the Delta log
//!                                     |
//!                                     v  one array for all files of a chunk
//!                               ChunkStatistics (arrays), for pruning
//! ```

mod arrays;
mod collect;
mod footer;
mod json;

#[cfg(test)]
use arrow::datatypes::DataType;
use footfall_model::clock::Micros;

pub use arrays::{ChunkStatistics, ColumnArrays};
pub(crate) use collect::StatisticsCollector;
pub(crate) use footer::from_footer;
pub(crate) use json::{date, days_of, from_json, to_json};

/// A value of a column that has statistics, of the Arrow type that its table declares.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum StatValue {
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Float64(f64),
    /// Days since 1970-01-01.
    Date32(i32),
    Timestamp(Micros),
    /// Unscaled: 12.3400 with scale 4 is 123400.
    Decimal128(Box<i128>),
    Utf8(Box<str>),
}

/// Statistics of one column of a file. What is `None` is unknown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColumnStatistics {
    /// No value is smaller.
    pub min: Option<StatValue>,
    /// No value is larger.
    pub max: Option<StatValue>,
    pub null_count: Option<u64>,
    /// Whether `min` and `max` are values of the file. Otherwise they are bounds: truncated text, or a time that
    /// another writer truncated to milliseconds.
    pub is_exact: bool,
}

impl ColumnStatistics {
    /// Of a column whose smallest and largest values are these.
    pub fn exact(min: StatValue, max: StatValue, null_count: u64) -> Self {
        Self {
            min: Some(min),
            max: Some(max),
            null_count: Some(null_count),
            is_exact: true,
        }
    }

    /// Both bounds, if they are texts.
    pub fn text_range(&self) -> Option<(&str, &str)> {
        match (&self.min, &self.max) {
            (Some(StatValue::Utf8(min)), Some(StatValue::Utf8(max))) => Some((min, max)),
            _ => None,
        }
    }

    /// Both bounds, if they are integers or times.
    pub fn i64_range(&self) -> Option<(i64, i64)> {
        match (&self.min, &self.max) {
            (Some(StatValue::Int64(min)), Some(StatValue::Int64(max)))
            | (Some(StatValue::Timestamp(min)), Some(StatValue::Timestamp(max))) => Some((*min, *max)),
            _ => None,
        }
    }
}

impl StatValue {
    pub fn text(text: &str) -> Self {
        Self::Utf8(text.into())
    }

    /// Whether it is a value of a column of this type.
    #[cfg(test)]
    fn is_of(&self, data_type: &DataType) -> bool {
        matches!(
            (self, data_type),
            (Self::Boolean(_), DataType::Boolean)
                | (Self::Int32(_), DataType::Int32)
                | (Self::Int64(_), DataType::Int64)
                | (Self::Float64(_), DataType::Float64)
                | (Self::Date32(_), DataType::Date32)
                | (Self::Timestamp(_), DataType::Timestamp(..))
                | (Self::Decimal128(_), DataType::Decimal128(..))
                | (Self::Utf8(_), DataType::Utf8)
        )
    }
}

#[cfg(test)]
mod tests;
