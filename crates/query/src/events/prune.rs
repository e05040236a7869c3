//! Which files can hold what was asked for. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use footfall_lake::{DataFile, Range};
use footfall_model::schema::{self, PARTITION_COLUMN, SORT_COLUMNS};

/// The files that `predicate`, over the columns of `events`, does not rule out; all of them if it can't be judged by
/// statistics.
pub(super) fn prune(files: &[Arc<DataFile>], predicate: &Arc<dyn PhysicalExpr>) -> Vec<Arc<DataFile>> {
    let kept = PruningPredicateBuilder::new()
        .with_file_schema(schema::events())
        .try_build(Arc::clone(predicate))
        .and_then(|pruning| pruning.prune(&Statistics(files)));
    match kept {
        Ok(kept) => files
            .iter()
            .zip(kept)
            .filter(|(_, kept)| *kept)
            .map(|(file, _)| Arc::clone(file))
            .collect(),
        Err(error) => {
            tracing::debug!(%error, "no file can be ruled out");
            files.to_vec()
        }
    }
}

struct Statistics<'a>(&'a [Arc<DataFile>]);

impl Statistics<'_> {
    fn bounds(&self, column: &Column, bound: Bound) -> Option<ArrayRef> {
        let files = self.0.iter();
        Some(match column.name.as_str() {
            "tracking_id" => Arc::new(StringArray::from_iter(
                files.map(|file| file.tracking_id.as_ref().map(|range| bound.of(range).as_str())),
            )),
            "client_hash" => Arc::new(Int64Array::from_iter(
                files.map(|file| file.client_hash.as_ref().map(|range| *bound.of(range))),
            )),
            "event_timestamp" => {
                let times = files.map(|file| file.event_timestamp.as_ref().map(|range| *bound.of(range)));
                Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
            }
            PARTITION_COLUMN => Arc::new(Date32Array::from_iter(files.map(|file| Some(file.event_date)))),
            _ => return None,
        })
    }
}

#[derive(Clone, Copy)]
enum Bound {
    Min,
    Max,
}

impl Bound {
    fn of<T>(self, range: &Range<T>) -> &T {
        match self {
            Self::Min => &range.min,
            Self::Max => &range.max,
        }
    }
}

impl PruningStatistics for Statistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, Bound::Min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, Bound::Max)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let never_null = SORT_COLUMNS.contains(&column.name.as_str()) || column.name == PARTITION_COLUMN;
        never_null.then(|| Arc::new(UInt64Array::from(vec![0; self.0.len()])) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(
            self.0.iter().map(|file| file.rows),
        )))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
