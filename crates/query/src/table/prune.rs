//! Which files can hold rows that a query wants. Pure: a snapshot and conditions in, files out.
//!
//! Everything is decided on arrays of a chunk's files, which the snapshot keeps; once no file of a chunk remains, the
//! chunk is not checked again.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use footfall_lake::{ChunkStatistics, ColumnArrays, DataFile, Snapshot};
use footfall_model::access::SiteScope;
use footfall_model::table::{SITE_COLUMN, TableSpec};

use super::conditions::Conditions;

/// The files to read.
#[derive(Debug, Default)]
pub(crate) struct PrunedFiles {
    /// All their rows are of sites in scope.
    pub(crate) whole: Vec<Arc<DataFile>>,
    /// They may also hold rows of sites out of scope.
    pub(crate) shared: Vec<Arc<DataFile>>,
}

impl PrunedFiles {
    pub(crate) fn len(&self) -> usize {
        self.whole.len() + self.shared.len()
    }
}

/// The files that can hold rows for which all `conditions` hold, of sites in `scope`.
///
/// A reader's date conditions are evaluated on days on which only others may have rows: a condition that fails there
/// counts as true, and is evaluated again on the reader's own rows.
pub(crate) fn prune(snapshot: &Snapshot, scope: &SiteScope, conditions: &Conditions) -> Result<PrunedFiles> {
    let spec = snapshot.spec();
    let dates: SchemaRef = Arc::new(Schema::new(vec![spec.partition().clone()]));
    let predicates: Vec<_> = conditions
        .files
        .iter()
        .filter_map(|condition| predicate(spec, condition))
        .collect();
    let mut pruned = PrunedFiles::default();
    for chunk in snapshot.chunks() {
        let (files, statistics) = (chunk.files(), chunk.statistics());
        let mut keep = vec![true; files.len()];
        for condition in &conditions.dates {
            if !keep.contains(&true) {
                break;
            }
            let holds = match scope {
                SiteScope::All => on_days(&dates, &statistics.dates, condition)?,
                SiteScope::Only(_) => on_days_or_failing(&dates, &statistics.dates, condition),
            };
            and(&mut keep, holds);
        }
        for predicate in &predicates {
            if !keep.contains(&true) {
                break;
            }
            let statistics = ChunkPruningStatistics {
                spec,
                files: files.len(),
                statistics,
            };
            and(&mut keep, predicate.prune(&statistics)?);
        }
        if !keep.contains(&true) {
            continue;
        }
        let reaches = reaches(spec, statistics, files.len(), scope);
        for ((file, reach), keep) in files.iter().zip(reaches).zip(keep) {
            match reach {
                Reach::Wholly if keep => pruned.whole.push(Arc::clone(file)),
                Reach::Partly if keep => pruned.shared.push(Arc::clone(file)),
                _ => {}
            }
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
    Nothing,
}

fn reaches(spec: &TableSpec, statistics: &ChunkStatistics, files: usize, scope: &SiteScope) -> Vec<Reach> {
    let SiteScope::Only(sites) = scope else {
        return vec![Reach::Wholly; files];
    };
    if sites.is_empty() {
        return vec![Reach::Nothing; files];
    }
    let Some((column, min, max)) = site_bounds(spec, statistics) else {
        return vec![Reach::Partly; files];
    };
    let known = |file| min.is_valid(file) && max.is_valid(file);
    let of = |file| {
        if !known(file) {
            return Reach::Partly;
        }
        let (min, max) = (min.value(file), max.value(file));
        if min > max || !any_between(sites, min, max) {
            Reach::Nothing
        } else if min == max && column.exact.is_valid(file) && column.exact.value(file) {
            Reach::Wholly
        } else {
            Reach::Partly
        }
    };
    (0..files).map(of).collect()
}

fn site_bounds<'a>(
    spec: &TableSpec,
    statistics: &'a ChunkStatistics,
) -> Option<(&'a ColumnArrays, &'a StringArray, &'a StringArray)> {
    let column = column(spec, statistics, SITE_COLUMN)?;
    Some((column, column.min.as_string_opt()?, column.max.as_string_opt()?))
}

fn column<'a>(spec: &TableSpec, statistics: &'a ChunkStatistics, name: &str) -> Option<&'a ColumnArrays> {
    let nth = spec.statistics_columns().position(|column| column == name)?;
    statistics.columns.get(nth)
}

fn any_between(sites: &BTreeSet<String>, min: &str, max: &str) -> bool {
    let range = (Bound::Included(min), Bound::Included(max));
    sites.range::<str, _>(range).next().is_some()
}

/// A row's date is its file's: the condition holds for all rows of a file or for none.
fn on_days(schema: &SchemaRef, days: &Arc<Date32Array>, condition: &Arc<dyn PhysicalExpr>) -> Result<Vec<bool>> {
    let batch = RecordBatch::try_new(Arc::clone(schema), vec![Arc::clone(days) as _])?;
    let holds = condition.evaluate(&batch)?.into_array(days.len())?;
    Ok(holds.as_boolean().iter().map(|holds| holds == Some(true)).collect())
}

/// The same, but true for a day on which the condition fails.
fn on_days_or_failing(schema: &SchemaRef, days: &Arc<Date32Array>, condition: &Arc<dyn PhysicalExpr>) -> Vec<bool> {
    if let Ok(holds) = on_days(schema, days, condition) {
        return holds;
    }
    let distinct: BTreeSet<i32> = days.values().iter().copied().collect();
    let refuted = |day: &i32| {
        let day = Arc::new(Date32Array::from_value(*day, 1));
        on_days(schema, &day, condition).is_ok_and(|holds| holds == [false])
    };
    let refuted: BTreeSet<i32> = distinct.into_iter().filter(refuted).collect();
    days.values().iter().map(|day| !refuted.contains(day)).collect()
}

/// What statistics can decide of the condition, if anything.
fn predicate(spec: &TableSpec, condition: &Arc<dyn PhysicalExpr>) -> Option<PruningPredicate> {
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(spec.table_schema()));
    let predicate = builder.try_build(Arc::clone(condition)).ok()?;
    (!predicate.always_true()).then_some(predicate)
}

/// The statistics of a chunk's files.
struct ChunkPruningStatistics<'a> {
    spec: &'a TableSpec,
    files: usize,
    statistics: &'a ChunkStatistics,
}

impl ChunkPruningStatistics<'_> {
    fn is_date(&self, column: &Column) -> bool {
        column.name() == self.spec.partition().name()
    }

    fn dates(&self) -> ArrayRef {
        Arc::clone(&self.statistics.dates) as _
    }
}

impl PruningStatistics for ChunkPruningStatistics<'_> {
    fn min_values(&self, name: &Column) -> Option<ArrayRef> {
        if self.is_date(name) {
            return Some(self.dates());
        }
        Some(Arc::clone(&column(self.spec, self.statistics, name.name())?.min))
    }

    fn max_values(&self, name: &Column) -> Option<ArrayRef> {
        if self.is_date(name) {
            return Some(self.dates());
        }
        Some(Arc::clone(&column(self.spec, self.statistics, name.name())?.max))
    }

    fn num_containers(&self) -> usize {
        self.files
    }

    fn null_counts(&self, name: &Column) -> Option<ArrayRef> {
        let field = self.spec.table_schema().field_with_name(name.name()).ok()?;
        if !field.is_nullable() {
            return Some(Arc::new(UInt64Array::from_value(0, self.files)));
        }
        Some(Arc::clone(&column(self.spec, self.statistics, name.name())?.null_counts) as _)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::clone(&self.statistics.rows) as _)
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
