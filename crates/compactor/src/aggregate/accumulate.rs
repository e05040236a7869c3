//! Partial results, one per group.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Decimal128Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::rollup::Function;
use footfall_model::sketch::{Coupon, Sketch};
use footfall_model::table::SpecError;

#[derive(Debug)]
pub(super) enum Accumulator {
    Count(Vec<i64>),
    CountOf(Vec<i64>),
    CountWhere {
        value: String,
        counts: Vec<i64>,
    },
    Sum {
        scale: i8,
        sums: Vec<Option<i128>>,
    },
    DecimalBound {
        bound: Bound,
        kind: DataType,
        values: Vec<Option<i128>>,
    },
    TimeBound {
        bound: Bound,
        values: Vec<Option<i64>>,
    },
    Sketch(Vec<Option<Sketch>>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    Min,
    Max,
}

impl Bound {
    fn of<T: Ord>(self, one: T, other: T) -> T {
        match self {
            Self::Min => one.min(other),
            Self::Max => one.max(other),
        }
    }
}

impl Accumulator {
    /// The accumulator of `function` over a column of type `of`.
    pub(super) fn new(function: &Function, of: Option<&DataType>) -> Result<Self, SpecError> {
        let bound = match function {
            Function::Min(_) => Bound::Min,
            _ => Bound::Max,
        };
        match (function, of) {
            (Function::Count, _) => Ok(Self::Count(Vec::new())),
            (Function::CountOf(_), Some(_)) => Ok(Self::CountOf(Vec::new())),
            (Function::CountWhere { value, .. }, Some(DataType::Utf8)) => Ok(Self::CountWhere {
                value: value.clone(),
                counts: Vec::new(),
            }),
            (Function::Sum(_), Some(DataType::Decimal128(_, scale))) => Ok(Self::Sum {
                scale: *scale,
                sums: Vec::new(),
            }),
            (Function::Min(_) | Function::Max(_), Some(kind @ DataType::Decimal128(..))) => Ok(Self::DecimalBound {
                bound,
                kind: kind.clone(),
                values: Vec::new(),
            }),
            (Function::Min(_) | Function::Max(_), Some(DataType::Timestamp(TimeUnit::Microsecond, _))) => {
                Ok(Self::TimeBound {
                    bound,
                    values: Vec::new(),
                })
            }
            (Function::Sketch(_), Some(DataType::Utf8)) => Ok(Self::Sketch(Vec::new())),
            (function, _) => Err(SpecError::new(format!("{} is not possible", function.over_events()))),
        }
    }

    /// Adds the rows of `column`, each to the group at its index in `groups`; `count` is the number of groups so far.
    pub(super) fn update(&mut self, column: Option<&ArrayRef>, groups: &[u32], count: usize) -> Result<(), ArrowError> {
        let wrong = || ArrowError::SchemaError("a measure's column is missing or of another type".into());
        match self {
            Self::Count(counts) => {
                counts.resize(count, 0);
                for group in groups {
                    counts[*group as usize] += 1;
                }
            }
            Self::CountOf(counts) => {
                counts.resize(count, 0);
                let column = column.ok_or_else(wrong)?;
                each_valid(column.as_ref(), groups, |_, group| counts[group] += 1);
            }
            Self::CountWhere { value, counts } => {
                counts.resize(count, 0);
                let column = column.and_then(|c| c.as_string_opt::<i32>()).ok_or_else(wrong)?;
                each_valid(column, groups, |row, group| {
                    counts[group] += i64::from(column.value(row) == value);
                });
            }
            Self::Sum { sums, .. } => {
                sums.resize(count, None);
                let column = column
                    .and_then(|c| c.as_primitive_opt::<Decimal128Type>())
                    .ok_or_else(wrong)?;
                // 38 digits hold the sum of more events than there will ever be.
                each_valid(column, groups, |row, group| {
                    let value = column.value(row);
                    sums[group] = Some(sums[group].map_or(value, |sum| sum.saturating_add(value)));
                });
            }
            Self::DecimalBound { bound, values, .. } => {
                values.resize(count, None);
                let column = column
                    .and_then(|c| c.as_primitive_opt::<Decimal128Type>())
                    .ok_or_else(wrong)?;
                each_valid(column, groups, |row, group| {
                    let value = column.value(row);
                    values[group] = Some(values[group].map_or(value, |known| bound.of(known, value)));
                });
            }
            Self::TimeBound { bound, values } => {
                values.resize(count, None);
                let column = column.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
                let column = column.ok_or_else(wrong)?;
                each_valid(column, groups, |row, group| {
                    let value = column.value(row);
                    values[group] = Some(values[group].map_or(value, |known| bound.of(known, value)));
                });
            }
            Self::Sketch(sketches) => {
                sketches.resize(count, None);
                let column = column.and_then(|c| c.as_string_opt::<i32>()).ok_or_else(wrong)?;
                add_to_sketches(column, groups, sketches);
            }
        }
        Ok(())
    }

    /// The results, in the order of `groups`.
    pub(super) fn values(&self, groups: &[u32]) -> Result<ArrayRef, ArrowError> {
        let indices = || groups.iter().map(|group| *group as usize);
        Ok(match self {
            Self::Count(counts) | Self::CountOf(counts) | Self::CountWhere { counts, .. } => {
                Arc::new(Int64Array::from_iter_values(indices().map(|group| counts[group])))
            }
            Self::Sum { scale, sums } => {
                let sums: Decimal128Array = indices().map(|group| sums[group]).collect();
                Arc::new(sums.with_precision_and_scale(38, *scale)?)
            }
            Self::DecimalBound { kind, values, .. } => {
                let values: Decimal128Array = indices().map(|group| values[group]).collect();
                Arc::new(values.with_data_type(kind.clone()))
            }
            Self::TimeBound { values, .. } => {
                let values: TimestampMicrosecondArray = indices().map(|group| values[group]).collect();
                Arc::new(values.with_timezone("UTC"))
            }
            Self::Sketch(sketches) => {
                let sketches = indices().map(|group| sketches[group].as_ref().map(Sketch::to_bytes));
                Arc::new(sketches.collect::<BinaryArray>())
            }
        })
    }

    /// Forgets the first `count` groups.
    pub(super) fn drain(&mut self, count: usize) {
        match self {
            Self::Count(counts) | Self::CountOf(counts) | Self::CountWhere { counts, .. } => {
                counts.drain(..count);
            }
            Self::Sum { sums: values, .. } | Self::DecimalBound { values, .. } => {
                values.drain(..count);
            }
            Self::TimeBound { values, .. } => {
                values.drain(..count);
            }
            Self::Sketch(sketches) => {
                sketches.drain(..count);
            }
        }
    }
}

fn add_to_sketches(column: &StringArray, groups: &[u32], sketches: &mut [Option<Sketch>]) {
    // A visitor's events follow one another, and mostly belong to the group of the previous event.
    let mut last: Option<(&str, Option<Coupon>)> = None;
    let mut last_group = None;
    each_valid(column, groups, |row, group| {
        let text = column.value(row);
        let known = last.filter(|(known, _)| *known == text);
        if known.is_some() && last_group == Some(group) {
            return;
        }
        let coupon = known.map_or_else(|| Coupon::of_text(text), |(_, coupon)| coupon);
        (last, last_group) = (Some((text, coupon)), Some(group));
        let sketch = sketches[group].get_or_insert_default();
        if let Some(coupon) = coupon {
            sketch.add(coupon);
        }
    });
}

/// Calls `update` with each row that is not null, and its group.
fn each_valid(column: &dyn Array, groups: &[u32], mut update: impl FnMut(usize, usize)) {
    match column.nulls() {
        None => {
            for (row, group) in groups.iter().enumerate() {
                update(row, *group as usize);
            }
        }
        Some(nulls) => {
            for row in nulls.valid_indices() {
                update(row, groups[row] as usize);
            }
        }
    }
}
