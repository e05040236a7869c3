//! What a segment stores for each group of events.

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::schema;

/// A column of a segment: what it stores for each group of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The column of the segment.
    pub name: String,
    pub function: Function,
    /// One line for the documentation.
    pub description: String,
}

/// A function whose partial results merge exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Function {
    /// Number of events.
    Count,
    /// Number of events in which this column is not null.
    CountOf(String),
    /// Number of events in which this text column has this value.
    CountWhere {
        column: String,
        value: String,
    },
    /// Sum of a decimal column; null if all values are.
    Sum(String),
    /// Minimum of a decimal or time column; null if all values are.
    Min(String),
    Max(String),
    /// An HLL sketch of the distinct values of a text column (see [`crate::sketch`]); null if all are null.
    Sketch(String),
}

impl Function {
    /// The column of `events` that it reads.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Count => None,
            Self::CountOf(column)
            | Self::CountWhere { column, .. }
            | Self::Sum(column)
            | Self::Min(column)
            | Self::Max(column)
            | Self::Sketch(column) => Some(column),
        }
    }

    /// Type and nullability of its result over a column of type `of`; `None` if it is not possible.
    pub(super) fn result(&self, of: Option<&Field>) -> Option<(DataType, bool)> {
        match (self, of.map(Field::data_type)) {
            (Self::Count, None) | (Self::CountOf(_), Some(_)) | (Self::CountWhere { .. }, Some(DataType::Utf8)) => {
                Some((DataType::Int64, false))
            }
            // The widest type, for sums of sums.
            (Self::Sum(_), Some(DataType::Decimal128(_, scale))) => Some((DataType::Decimal128(38, *scale), true)),
            (
                Self::Min(_) | Self::Max(_),
                Some(kind @ (DataType::Decimal128(..) | DataType::Timestamp(TimeUnit::Microsecond, _))),
            ) => Some((kind.clone(), true)),
            (Self::Sketch(_), Some(DataType::Utf8)) => Some((DataType::Binary, true)),
            _ => None,
        }
    }

    /// The aggregate function in SQL that merges partial results.
    pub fn merge(&self) -> &'static str {
        match self {
            Self::Count | Self::CountOf(_) | Self::CountWhere { .. } | Self::Sum(_) => "sum",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::Sketch(_) => "hll_union",
        }
    }

    /// The aggregate in SQL over `events`.
    pub fn over_events(&self) -> String {
        match self {
            Self::Count => "count(*)".to_owned(),
            Self::CountOf(column) => format!("count({column})"),
            Self::CountWhere { column, value } => {
                format!("count(*) FILTER (WHERE {column} = '{}')", value.replace('\'', "''"))
            }
            Self::Sum(column) => format!("sum({column})"),
            Self::Min(column) => format!("min({column})"),
            Self::Max(column) => format!("max({column})"),
            Self::Sketch(column) => format!("hll_sketch({column})"),
        }
    }

    /// As [`Function::over_events`], of exactly the type of the segment's column.
    pub(super) fn typed_over_events(&self) -> String {
        match self {
            Self::Sum(_) => format!("CAST({} AS DECIMAL(38, {}))", self.over_events(), schema::REVENUE_SCALE),
            _ => self.over_events(),
        }
    }
}
