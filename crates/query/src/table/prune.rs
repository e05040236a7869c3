//! Which files can hold rows that a query wants. Pure: files and conditions in, files out.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Schema;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use footfall_lake::DataFile;
use footfall_model::access::SiteScope;
use footfall_model::table::TableSpec;

use super::conditions::Conditions;
use super::statistics::is_exact_text;

/// What is left to read.
#[derive(Debug, Default)]
pub(crate) struct PrunedFiles {
    /// All their rows are of sites in scope.
    pub(crate) whole: Vec<Arc<DataFile>>,
    /// They may hold rows of sites out of scope too.
    pub(crate) shared: Vec<Arc<DataFile>>,
}

impl PrunedFiles {
    pub(crate) fn len(&self) -> usize {
        self.whole.len() + self.shared.len()
    }
}

/// The files that can hold rows for which all `conditions` hold, of sites in `scope`.
///
/// A reader's conditions on dates are tried on days on which only others may have rows: one that fails is taken for
/// true, and fails again, or not, on the reader's own rows.
pub(super) fn prune(
    spec: &TableSpec,
    files: &[Arc<DataFile>],
    scope: &SiteScope,
    conditions: &Conditions,
) -> Result<PrunedFiles> {
    let reached = files
        .iter()
        .filter_map(|file| Some((Arc::clone(file), reach(file, scope)?)));
    let (candidates, reaches): (Vec<_>, Vec<_>) = reached.unzip();
    let mut keep = vec![true; candidates.len()];
    let days: BTreeSet<i32> = candidates.iter().map(|file| file.event_date).collect();
    let days: Vec<_> = days.into_iter().collect();
    for condition in &conditions.dates {
        let holds = match scope {
            SiteScope::All => on_days(spec, &days, condition)?,
            SiteScope::Only(_) => on_days_or_failing(spec, &days, condition),
        };
        let held: BTreeSet<_> = days
            .iter()
            .zip(holds)
            .filter_map(|(day, holds)| holds.then_some(*day))
            .collect();
        and(&mut keep, candidates.iter().map(|file| held.contains(&file.event_date)));
    }
    for condition in &conditions.files {
        if let Some(may_hold) = by_statistics(spec, &candidates, condition)? {
            and(&mut keep, may_hold);
        }
    }
    let mut pruned = PrunedFiles::default();
    for ((file, reach), keep) in candidates.into_iter().zip(reaches).zip(keep) {
        match reach {
            _ if !keep => {}
            Reach::Wholly => pruned.whole.push(file),
            Reach::Partly => pruned.shared.push(file),
        }
    }
    Ok(pruned)
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
    let Some(range) = &file.tracking_id else {
        return Some(Reach::Partly);
    };
    if range.min > range.max || !any_between(sites, &range.min, &range.max) {
        return None;
    }
    let one_site = range.min == range.max && is_exact_text(&range.min);
    Some(if one_site { Reach::Wholly } else { Reach::Partly })
}

fn any_between(sites: &BTreeSet<String>, min: &str, max: &str) -> bool {
    let range = (Bound::Included(min), Bound::Included(max));
    sites.range::<str, _>(range).next().is_some()
}

/// A row's date is its file's: the condition holds for all rows of a day or for none.
fn on_days(spec: &TableSpec, days: &[i32], condition: &Arc<dyn PhysicalExpr>) -> Result<Vec<bool>> {
    let schema = Arc::new(Schema::new(vec![spec.partition().clone()]));
    let dates = Date32Array::from_iter_values(days.iter().copied());
    let batch = RecordBatch::try_new(schema, vec![Arc::new(dates)])?;
    let holds = condition.evaluate(&batch)?.into_array(days.len())?;
    Ok(holds.as_boolean().iter().map(|holds| holds == Some(true)).collect())
}

/// The same, and true for a day on which the condition fails.
fn on_days_or_failing(spec: &TableSpec, days: &[i32], condition: &Arc<dyn PhysicalExpr>) -> Vec<bool> {
    let one = |day: &i32| on_days(spec, std::slice::from_ref(day), condition).map_or(true, |holds| holds == [true]);
    on_days(spec, days, condition).unwrap_or_else(|_| days.iter().map(one).collect())
}

/// Whether each file may hold a row for which `condition` holds; `None` if it can't be told from statistics.
fn by_statistics(
    spec: &TableSpec,
    files: &[Arc<DataFile>],
    condition: &Arc<dyn PhysicalExpr>,
) -> Result<Option<Vec<bool>>> {
    let predicate = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(spec.table_schema()))
        .try_build(Arc::clone(condition));
    match predicate {
        Ok(predicate) if !predicate.always_true() => predicate.prune(&FileStatistics { spec, files }).map(Some),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The Delta log's statistics, a row a file.
struct FileStatistics<'a> {
    spec: &'a TableSpec,
    files: &'a [Arc<DataFile>],
}

impl FileStatistics<'_> {
    fn bounds(&self, column: &str, end: End) -> Option<ArrayRef> {
        let files = self.files.iter();
        Some(match column {
            "tracking_id" => Arc::new(
                files
                    .map(|f| f.tracking_id.as_ref().map(|r| end.of(&r.min, &r.max)))
                    .collect::<StringArray>(),
            ),
            "client_hash" => Arc::new(
                files
                    .map(|f| f.client_hash.as_ref().map(|r| *end.of(&r.min, &r.max)))
                    .collect::<Int64Array>(),
            ),
            "event_timestamp" => Arc::new(
                files
                    .map(|f| f.event_timestamp.as_ref().map(|r| *end.of(&r.min, &r.max)))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            name if name == self.spec.partition().name() => {
                Arc::new(files.map(|f| Some(f.event_date)).collect::<Date32Array>())
            }
            _ => return None,
        })
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
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let field = self.spec.table_schema().field_with_name(column.name()).ok()?;
        let none = || Arc::new(UInt64Array::from_value(0, self.files.len())) as ArrayRef;
        (!field.is_nullable()).then(none)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(
            self.files.iter().map(|f| f.rows),
        )))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
