//! The plan of a routed aggregate.
//!
//! ```text
//! Projection (the aggregate's own columns) <- Aggregate <- UNION ALL
//!     events of files without a segment
//!     for each rollup that answers:
//!         segments of whole buckets
//!         events of the files of these segments in buckets that the asked time cuts
//! ```

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::optimizer::OptimizerConfig;
use footfall_model::clock::{DAY, Micros};
use footfall_model::rollup::TimeRange;
use footfall_model::schema;

use super::aggregates::{Merge, MergeFunction};
use super::answer_files::AnswerFiles;
use super::buckets::TIME;
use super::fit::{Cut, Fit};
use super::segment::column;
use super::shape::Shape;
use crate::catalog::EVENTS;
use crate::segments::ScopedLake;

/// `aggregate`, whose shape fits, over segments and the events that they don't answer for.
pub(super) fn rewrite(
    aggregate: &Aggregate,
    shape: &Shape,
    fits: &[Fit<'_>],
    files: AnswerFiles,
    lake: &ScopedLake,
    config: &dyn OptimizerConfig,
) -> Result<LogicalPlan> {
    let Some(first) = fits.first() else {
        return internal_err!("no rollup answers");
    };
    let columns = Columns::of(shape, first)?;
    let events = |files, filters| read(EVENTS, lake.read_events(files), filters, columns.over_events.clone());
    let mut rows = events(files.uncovered, shape.filters.clone())?;
    for (fit, of_fit) in fits.iter().zip(files.of_fits) {
        let rollup = fit.segment.rollup.name.as_str();
        let segments = lake.read_segments(rollup, of_fit.segments)?;
        let over_segments = Columns::of(shape, fit)?.over_segments;
        rows = rows.union(read(rollup, segments, segment_filters(fit), over_segments)?.build()?)?;
        let cut = fit.cuts().map(|cut| match cut {
            Cut::Before(at) => column(TIME).lt(time(at)),
            Cut::From(at) => column(TIME).gt_eq(time(at)),
        });
        if let (Some(edges), Some(cut)) = (of_fit.edges, disjunction(cut)) {
            let filters = shape.filters.iter().cloned().chain([cut]).collect();
            rows = rows.union(events(edges, filters)?.build()?)?;
        }
    }
    let functions = config.function_registry();
    let functions = functions.ok_or_else(|| internal_datafusion_err!("no functions are registered"))?;
    let merges = first.aggregates.iter().flat_map(|aggregate| &aggregate.parts);
    let merges = merges.enumerate().map(|(nth, merge)| call(nth, merge, functions));
    let merged = rows
        .aggregate(columns.group, merges.collect::<Result<Vec<_>>>()?)?
        .build()?;
    restored(aggregate, first, merged)
}

/// The columns that every branch gives, and the expressions to group by over these.
struct Columns {
    over_segments: Vec<Expr>,
    over_events: Vec<Expr>,
    group: Vec<Expr>,
}

impl Columns {
    fn of(shape: &Shape, fit: &Fit<'_>) -> Result<Self> {
        let keys: Vec<Expr> = shape.flat_keys()?.into_iter().cloned().collect();
        let group = if shape.has_grouping_sets() {
            let group = shape.keys.iter().map(|key| named(key, &keys));
            group.collect::<Result<_>>()?
        } else {
            (0..keys.len()).map(|nth| column(&key_name(nth))).collect()
        };
        let mut columns = Self {
            group,
            over_segments: Vec::new(),
            over_events: Vec::new(),
        };
        for (nth, (over_segments, over_events)) in fit.keys.iter().zip(keys).enumerate() {
            columns.add(key_name(nth), over_segments.clone(), over_events);
        }
        for (nth, merge) in fit.aggregates.iter().flat_map(|aggregate| &aggregate.parts).enumerate() {
            columns.add(
                argument_name(nth),
                merge.over_segments.clone(),
                merge.over_events.clone(),
            );
        }
        Ok(columns)
    }

    fn add(&mut self, name: String, over_segments: Expr, over_events: Expr) {
        self.over_segments.push(over_segments.alias(name.clone()));
        self.over_events.push(over_events.alias(name));
    }
}

fn key_name(nth: usize) -> String {
    format!("key_{nth}")
}

fn argument_name(nth: usize) -> String {
    format!("argument_{nth}")
}

/// The keys of grouping sets as columns of the branches.
fn named(key: &Expr, keys: &[Expr]) -> Result<Expr> {
    let column_of = |expr: &Expr| {
        let nth = keys.iter().position(|known| known == expr);
        nth.map(|nth| column(&key_name(nth)))
    };
    let named = key.clone().transform_down(|part| {
        Ok(match column_of(&part) {
            Some(column) => Transformed::new(column, true, TreeNodeRecursion::Jump),
            None => Transformed::no(part),
        })
    });
    Ok(named?.data)
}

fn read(
    name: &str,
    table: Arc<dyn TableProvider>,
    filters: Vec<Expr>,
    columns: Vec<Expr>,
) -> Result<LogicalPlanBuilder> {
    let mut plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?;
    if let Some(filter) = conjunction(filters) {
        plan = plan.filter(filter)?;
    }
    plan.project(columns)
}

fn segment_filters(fit: &Fit<'_>) -> Vec<Expr> {
    let TimeRange { from, until } = fit.whole;
    let (date, bucket) = (|| column(schema::PARTITION_COLUMN), fit.segment.bucket());
    let mut filters = fit.filters.clone();
    // Files are pruned by the date. A bucket of a day is decided by it.
    let by_bucket = fit.segment.rollup.grain.column().is_some();
    if let Some(from) = from {
        filters.push(date().gt_eq(day(from)));
        filters.extend(by_bucket.then(|| bucket.clone().gt_eq(time(from))));
    }
    if let Some(until) = until {
        filters.push(date().lt_eq(day(until.saturating_sub(1))));
        filters.extend(by_bucket.then(|| bucket.lt(time(until))));
    }
    if fit.segment.only.is_some() {
        filters.extend(fit.segment.weight().map(|weight| weight.gt(lit(0_i64))));
    }
    filters
}

fn call(nth: usize, merge: &Merge, functions: &dyn FunctionRegistry) -> Result<Expr> {
    let function = match &merge.function {
        MergeFunction::Named(name) => functions.udaf(name)?,
        MergeFunction::Same(function) => Arc::clone(function),
    };
    let argument = vec![column(&argument_name(nth))];
    let call = AggregateFunction::new_udf(function, argument, merge.distinct, None, Vec::new(), None);
    Ok(Expr::AggregateFunction(call))
}

/// The aggregate's own columns from the merged ones: its keys, then what its functions give.
fn restored(aggregate: &Aggregate, fit: &Fit<'_>, merged: LogicalPlan) -> Result<LogicalPlan> {
    let schema = Arc::clone(merged.schema());
    let merges: usize = fit.aggregates.iter().map(|aggregate| aggregate.parts.len()).sum();
    let keys = schema.fields().len() - merges;
    let of_field = |nth: usize| Expr::Column(schema.qualified_field(nth).into());
    let mut values: Vec<Expr> = (0..keys).map(of_field).collect();
    let mut next = keys..schema.fields().len();
    for aggregate in &fit.aggregates {
        let parts = next.by_ref().take(aggregate.parts.len()).map(of_field);
        let value = aggregate.finish.over(parts);
        values.push(value.ok_or_else(|| internal_datafusion_err!("a routed aggregate lacks its columns"))?);
    }
    let own = aggregate.schema.iter();
    if values.len() != aggregate.schema.fields().len() {
        return internal_err!("a routed aggregate has {} columns", values.len());
    }
    let columns = values
        .into_iter()
        .zip(own)
        .map(|(value, (qualifier, field))| value.alias_qualified(qualifier.cloned(), field.name()));
    LogicalPlanBuilder::from(merged)
        .project(columns.collect::<Vec<_>>())?
        .build()
}

fn time(at: Micros) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())))
}

fn day(at: Micros) -> Expr {
    let day = at.div_euclid(DAY).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    lit(ScalarValue::Date32(i32::try_from(day).ok()))
}
