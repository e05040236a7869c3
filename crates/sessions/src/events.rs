//! A single event is a part.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::kernels::cmp;
use arrow::datatypes::{Decimal128Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::schema::{self, REVENUE_SCALE};

use crate::columns::{ATTRIBUTES, COUNTS, Layout, Mark, PartColumn, wrong_column};

/// Makes parts of events.
#[derive(Debug, Clone)]
pub struct EventParts {
    layout: Arc<Layout>,
}

impl EventParts {
    pub(crate) fn new(layout: Arc<Layout>) -> Self {
        Self { layout }
    }

    /// With all columns.
    pub fn whole() -> Self {
        Self::new(Arc::new(Layout::whole()))
    }

    /// The columns of the parts.
    pub fn schema(&self) -> &SchemaRef {
        &self.layout.schema
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The columns of events that are read, as ascending indices of the table's schema.
    pub fn event_columns(&self) -> Vec<usize> {
        let mut names = vec!["tracking_id", "client_hash", "event_timestamp", "client_id"];
        for column in &self.layout.columns {
            match column {
                PartColumn::Revenue | PartColumn::IsBot => names.push(column.name()),
                PartColumn::Count(count) if COUNTS[*count].1.is_none() => {}
                PartColumn::Count(_) | PartColumn::Offset(Mark::Entry | Mark::Exit) => names.push("event_type"),
                PartColumn::Offset(Mark::User) => names.push("user_id"),
                PartColumn::Arrival(Mark::First) => names.push("created_at"),
                PartColumn::Attribute(attribute) => names.push(ATTRIBUTES[*attribute].2),
                _ => {}
            }
        }
        let events = schema::events();
        let mut indices: Vec<usize> = names.iter().filter_map(|name| events.index_of(name).ok()).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    /// One part for each of the events, which have the [`EventParts::event_columns`] at least.
    ///
    /// # Errors
    /// The events are of another schema.
    pub fn parts_of(&self, events: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self.layout.columns.iter().map(|column| part_column(*column, events));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.layout.schema), columns)
    }
}

fn part_column(column: PartColumn, events: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    Ok(match column {
        PartColumn::Start => Arc::clone(named(events, "event_timestamp")?),
        PartColumn::Site | PartColumn::Hash | PartColumn::Client | PartColumn::IsBot => {
            Arc::clone(named(events, column.name())?)
        }
        PartColumn::Attribute(attribute) => Arc::clone(named(events, ATTRIBUTES[attribute].2)?),
        PartColumn::Duration => Arc::new(Int64Array::from_value(0, events.num_rows())),
        // Known when the part is complete.
        PartColumn::Settled => Arc::new(BooleanArray::from(vec![false; events.num_rows()])),
        PartColumn::Count(count) => match COUNTS[count].1 {
            None => Arc::new(Int64Array::from_value(1, events.num_rows())),
            Some(kind) => {
                let counts = of_type(events, kind)?;
                Arc::new(counts.values().iter().map(i64::from).collect::<Int64Array>())
            }
        },
        PartColumn::Revenue => {
            let revenue = named(events, "revenue")?.as_primitive_opt::<Decimal128Type>();
            let revenue = revenue.ok_or_else(|| wrong_column("revenue"))?.clone();
            Arc::new(revenue.with_precision_and_scale(38, REVENUE_SCALE)?)
        }
        PartColumn::Arrival(Mark::First) => {
            let events = micros(events, "created_at")?
                .iter()
                .zip(micros(events, "event_timestamp")?);
            Arc::new(Int64Array::from_iter_values(
                events.map(|(arrived, at)| arrived.wrapping_sub(*at)),
            ))
        }
        PartColumn::Offset(mark) | PartColumn::Arrival(mark) => {
            let marked = marked(mark, events)?;
            let zero = |row| marked.value(row).then_some(0);
            Arc::new((0..events.num_rows()).map(zero).collect::<Int64Array>())
        }
    })
}

/// The events that attributes of this mark may be taken from.
fn marked(mark: Mark, events: &RecordBatch) -> Result<BooleanArray, ArrowError> {
    match mark {
        Mark::First => Ok(BooleanArray::from(vec![true; events.num_rows()])),
        Mark::Entry | Mark::Exit => of_type(events, "pageview"),
        Mark::User => arrow::compute::is_not_null(named(events, "user_id")?),
    }
}

fn of_type(events: &RecordBatch, kind: &str) -> Result<BooleanArray, ArrowError> {
    cmp::eq(named(events, "event_type")?, &StringArray::new_scalar(kind))
}

fn micros<'a>(events: &'a RecordBatch, name: &str) -> Result<&'a [i64], ArrowError> {
    let times = named(events, name)?.as_primitive_opt::<TimestampMicrosecondType>();
    Ok(times.ok_or_else(|| wrong_column(name))?.values())
}

fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| wrong_column(name))
}

/// Numbers that are never null.
pub(crate) fn numbers<'a>(column: &'a dyn Array, name: &str) -> Result<&'a [i64], ArrowError> {
    let numbers = column.as_primitive_opt::<Int64Type>();
    Ok(numbers.ok_or_else(|| wrong_column(name))?.values())
}
