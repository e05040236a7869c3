//! An aggregate over `events`, as expressions over the columns of that table alone.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, TableScan};

use super::RoutableEvents;
use super::segment::column;

/// Larger expressions are not looked at: nested projections multiply them.
const MAX_NODES: usize = 2_000;

/// What an aggregate computes.
#[derive(Debug)]
pub(super) struct Shape {
    /// The expressions to group by; one of them may be grouping sets.
    pub(super) keys: Vec<Expr>,
    pub(super) aggregates: Vec<Expr>,
    /// All of them hold for the rows that count.
    pub(super) filters: Vec<Expr>,
}

/// A plan's rows: some of the events, and each column as an expression over an event.
struct Rows {
    events: Arc<dyn TableProvider>,
    columns: Vec<Expr>,
    filters: Vec<Expr>,
}

impl Shape {
    /// The shape, and the table it reads; `None` if it reads anything but filtered and projected events.
    pub(super) fn of(aggregate: &Aggregate) -> Result<Option<(Self, Arc<dyn TableProvider>)>> {
        let Some(rows) = rows(&aggregate.input)? else {
            return Ok(None);
        };
        let schema = aggregate.input.schema();
        let over_events = |exprs: &[Expr]| -> Result<Option<Vec<Expr>>> {
            let exprs = exprs.iter().map(|expr| substitute(expr, schema, &rows.columns));
            exprs.collect()
        };
        let (Some(keys), Some(aggregates)) = (over_events(&aggregate.group_expr)?, over_events(&aggregate.aggr_expr)?)
        else {
            return Ok(None);
        };
        let shape = Self {
            keys,
            aggregates,
            filters: rows.filters,
        };
        // Two keys of grouping sets that say the same: they would become one.
        let keys = shape.flat_keys()?;
        if shape.has_grouping_sets() && (1..keys.len()).any(|nth| keys[..nth].contains(&keys[nth])) {
            return Ok(None);
        }
        Ok(Some((shape, rows.events)))
    }
}

fn rows(plan: &LogicalPlan) -> Result<Option<Rows>> {
    match plan {
        LogicalPlan::TableScan(scan) => of_scan(scan),
        LogicalPlan::SubqueryAlias(alias) => rows(&alias.input),
        LogicalPlan::Projection(projection) => {
            let Some(below) = rows(&projection.input)? else {
                return Ok(None);
            };
            let schema = projection.input.schema();
            let columns = projection
                .expr
                .iter()
                .map(|expr| substitute(expr, schema, &below.columns));
            let columns: Option<Vec<Expr>> = columns.collect::<Result<_>>()?;
            Ok(columns.map(|columns| Rows { columns, ..below }))
        }
        LogicalPlan::Filter(filter) => {
            let Some(mut below) = rows(&filter.input)? else {
                return Ok(None);
            };
            let predicate = substitute(&filter.predicate, filter.input.schema(), &below.columns)?;
            Ok(predicate.map(|predicate| {
                below.add(predicate);
                below
            }))
        }
        _ => Ok(None),
    }
}

impl Rows {
    fn add(&mut self, predicate: Expr) {
        for condition in split_conjunction_owned(predicate) {
            if !self.filters.contains(&condition) {
                self.filters.push(condition);
            }
        }
    }
}

fn of_scan(scan: &TableScan) -> Result<Option<Rows>> {
    let Ok(provider) = source_as_provider(&scan.source) else {
        return Ok(None);
    };
    if scan.fetch.is_some() || provider.downcast_ref::<RoutableEvents>().is_none() {
        return Ok(None);
    }
    let fields = scan.projected_schema.fields().iter();
    let mut rows = Rows {
        events: provider,
        columns: fields.map(|field| column(field.name())).collect(),
        filters: Vec::new(),
    };
    for filter in &scan.filters {
        if filter.is_volatile() || filter.exists(|part| Ok(asks_others(part)))? {
            return Ok(None);
        }
        rows.add(bare(filter.clone())?);
    }
    Ok(Some(rows))
}

/// Columns without the table's name.
fn bare(expr: Expr) -> Result<Expr> {
    let bare = expr.transform(|part| {
        Ok(match part {
            Expr::Column(named) => Transformed::yes(column(&named.name)),
            other => Transformed::no(other),
        })
    });
    Ok(bare?.data)
}

/// `expr` over the columns of events, given those of its input; `None` if it depends on more than the row, or is large.
fn substitute(expr: &Expr, schema: &DFSchema, columns: &[Expr]) -> Result<Option<Expr>> {
    let mut unknown = expr.is_volatile();
    let replaced = expr.clone().transform_up(|part| {
        Ok(match part {
            Expr::Column(named) => match schema.maybe_index_of_column(&named) {
                Some(index) => Transformed::yes(columns[index].clone()),
                None => {
                    unknown = true;
                    Transformed::no(Expr::Column(named))
                }
            },
            Expr::Alias(alias) => Transformed::yes(*alias.expr),
            other => {
                unknown |= asks_others(&other);
                Transformed::no(other)
            }
        })
    })?;
    let expr = replaced.data;
    Ok((!unknown && nodes(&expr) <= MAX_NODES).then_some(expr))
}

/// Whether its value comes from another plan, or is not known yet.
fn asks_others(part: &Expr) -> bool {
    matches!(
        part,
        Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Placeholder(_)
            | Expr::WindowFunction(_)
    )
}

fn nodes(expr: &Expr) -> usize {
    let mut count = 0;
    let counted = expr.apply(|_| {
        count += 1;
        Ok(if count > MAX_NODES {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    counted.map_or(usize::MAX, |_| count)
}
