//! Which files can hold rows that a query wants. Pure: files and conditions in, files out.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use footfall_lake::{ColumnStatistics, DataFile, StatValue};
use footfall_model::access::SiteScope;
use footfall_model::schema;
use footfall_model::table::{self, SITE_COLUMN};

/// The conditions on `event_date` alone are evaluated over this.
pub(super) fn partition_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(
        schema::PARTITION_COLUMN,
        DataType::Date32,
        false,
    )]))
}

/// What is left to read.
#[derive(Debug)]
pub(super) struct PrunedFiles {
    pub(super) files: Vec<Arc<DataFile>>,
    /// Some of the files may hold rows of sites out of scope.
    pub(super) mixed: bool,
}

/// Files that can hold rows for which all `conditions` hold, of sites in `scope`. `dates` are over
/// [`partition_schema`] and decided exactly, `conditions` over the table's schema, by statistics.
pub(super) fn prune_files(
    files: &[Arc<DataFile>],
    scope: &SiteScope,
    dates: &[Arc<dyn PhysicalExpr>],
    conditions: &[Arc<dyn PhysicalExpr>],
) -> Result<PrunedFiles> {
    let reached: Vec<_> = files
        .iter()
        .filter_map(|file| Some((Arc::clone(file), reach(file, scope)?)))
        .collect();
    let candidates: Vec<_> = reached.iter().map(|(file, _)| Arc::clone(file)).collect();
    let mut keep = vec![true; candidates.len()];
    for condition in dates {
        and(&mut keep, by_date(&candidates, condition)?);
    }
    for condition in conditions {
        if let Some(may_hold) = by_statistics(&candidates, condition)? {
            and(&mut keep, may_hold);
        }
    }
    let kept = reached.into_iter().zip(keep).filter(|(_, keep)| *keep);
    let (files, reaches): (Vec<_>, Vec<_>) = kept.map(|(reached, _)| reached).unzip();
    Ok(PrunedFiles {
        files,
        mixed: reaches.contains(&Reach::Partly),
    })
}

fn and(keep: &mut [bool], also: impl IntoIterator<Item = bool>) {
    for (keep, also) in keep.iter_mut().zip(also) {
        *keep &= also;
    }
}

/// How much of a file is in scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Wholly,
    Partly,
}

/// `None`: nothing of it.
fn reach(file: &DataFile, scope: &SiteScope) -> Option<Reach> {
    let SiteScope::Only(sites) = scope else {
        return Some(Reach::Wholly);
    };
    if sites.is_empty() {
        return None;
    }
    let column = file.column(table::events(), SITE_COLUMN);
    let Some((min, max)) = column.and_then(ColumnStatistics::text_range) else {
        return Some(Reach::Partly);
    };
    if min > max || !any_between(sites, min, max) {
        return None;
    }
    let one_site = min == max && column.is_some_and(|column| column.is_exact);
    Some(if one_site { Reach::Wholly } else { Reach::Partly })
}

fn any_between(sites: &BTreeSet<String>, min: &str, max: &str) -> bool {
    let range = (Bound::Included(min), Bound::Included(max));
    sites.range::<str, _>(range).next().is_some()
}

/// A row's date is its file's: the condition holds for all rows of a file or for none.
fn by_date(files: &[Arc<DataFile>], condition: &Arc<dyn PhysicalExpr>) -> Result<Vec<bool>> {
    let dates = Date32Array::from_iter_values(files.iter().map(|file| file.partition_date));
    let batch = RecordBatch::try_new(partition_schema(), vec![Arc::new(dates)])?;
    let holds = condition.evaluate(&batch)?.into_array(files.len())?;
    Ok(holds.as_boolean().iter().map(|holds| holds == Some(true)).collect())
}

/// Whether each file may hold a row for which `condition` holds; `None` if it can't be told from statistics.
fn by_statistics(files: &[Arc<DataFile>], condition: &Arc<dyn PhysicalExpr>) -> Result<Option<Vec<bool>>> {
    let predicate = PruningPredicateBuilder::new()
        .with_file_schema(schema::events())
        .try_build(Arc::clone(condition));
    match predicate {
        Ok(predicate) if !predicate.always_true() => predicate.prune(&FileStatistics(files)).map(Some),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The Delta log's statistics, a row a file.
struct FileStatistics<'a>(&'a [Arc<DataFile>]);

impl FileStatistics<'_> {
    fn bounds(&self, column: &str, end: End) -> Option<ArrayRef> {
        if column == schema::PARTITION_COLUMN {
            return Some(Arc::new(Date32Array::from_iter_values(
                self.0.iter().map(|f| f.partition_date),
            )));
        }
        let bounds = self.0.iter().map(|file| {
            let column = file.column(table::events(), column)?;
            end.of(&column.min, &column.max).as_ref()
        });
        match column {
            "tracking_id" => Some(Arc::new(bounds.map(text).collect::<StringArray>())),
            "client_hash" => Some(Arc::new(bounds.map(number).collect::<Int64Array>())),
            "event_timestamp" | "created_at" => {
                let times = bounds.map(number).collect::<TimestampMicrosecondArray>();
                Some(Arc::new(times.with_timezone("UTC")))
            }
            _ => None,
        }
    }
}

fn text(value: Option<&StatValue>) -> Option<&str> {
    match value {
        Some(StatValue::Utf8(text)) => Some(text),
        _ => None,
    }
}

fn number(value: Option<&StatValue>) -> Option<i64> {
    match value {
        Some(StatValue::Int64(number) | StatValue::Timestamp(number)) => Some(*number),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum End {
    Min,
    Max,
}

impl End {
    fn of<'a, T: ?Sized>(self, min: &'a T, max: &'a T) -> &'a T {
        match self {
            Self::Min => min,
            Self::Max => max,
        }
    }
}

impl PruningStatistics for FileStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column.name(), End::Min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column.name(), End::Max)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let schema = schema::events();
        let field = schema.field_with_name(column.name()).ok()?;
        let none = || Arc::new(UInt64Array::from_value(0, self.0.len())) as ArrayRef;
        (!field.is_nullable()).then(none)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(|f| f.rows).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
