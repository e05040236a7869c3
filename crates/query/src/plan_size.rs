//! Limits the size that a statement's plan may reach, checked before it is optimized.
//!
//! The optimizer replaces columns by the expressions that define them. Where each level of subqueries names the column
//! below twice (`SELECT s || s AS s FROM (SELECT s || s AS s FROM …)`), a short text becomes an expression that doubles
//! with each level. Its rules also visit every column of every operator repeatedly.

use std::collections::HashMap;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};

use crate::QueryError;

/// Maximum number of parts of expressions, once each column is replaced by what defines it.
const MAX_PARTS: u64 = 20_000;

/// Maximum number of columns of all operators together.
const MAX_COLUMNS: usize = 30_000;

/// A view has about as many operators, each with its columns, of which a statement's own plan shows one.
const VIEW_OPERATORS: usize = 10;

/// Bytes of a constant that count as one part.
const PART_BYTES: usize = 16;

/// # Errors
/// `Limit` if planning would take too long.
pub(crate) fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut total = Total::default();
    measure(plan, &mut total)?;
    if total.columns > MAX_COLUMNS {
        return Err(QueryError::Limit(format!(
            "the subqueries and joins of the SQL have {} columns in all; {MAX_COLUMNS} are allowed. Name the columns that \
             you need instead of *, or ask for less at a time",
            total.columns
        )));
    }
    if total.parts > MAX_PARTS {
        return Err(QueryError::Limit(format!(
            "the SQL's expressions have more than {MAX_PARTS} parts when each column is replaced by what defines it; ask \
             less at a time, or name a subquery's computed columns less often"
        )));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Total {
    parts: u64,
    columns: usize,
}

/// The number of parts of each output column of `plan`, in order.
fn measure(plan: &LogicalPlan, total: &mut Total) -> Result<Vec<u64>, QueryError> {
    let mut inputs = HashMap::new();
    let mut below = Vec::new();
    for input in plan.inputs() {
        let parts = measure(input, total)?;
        for ((qualifier, field), parts) in input.schema().iter().zip(&parts) {
            inputs.insert(Column::new(qualifier.cloned(), field.name()), *parts);
        }
        below.extend(parts);
    }
    let operators = match plan {
        LogicalPlan::TableScan(scan) if scan.source.table_type() == TableType::View => VIEW_OPERATORS,
        _ => 1,
    };
    total.columns = total.columns.saturating_add(operators * plan.schema().fields().len());
    let mut made = Vec::new();
    let mut subqueries = Vec::new();
    plan.apply_expressions(|expr| {
        made.push(parts(expr, &inputs, &mut subqueries)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    for subquery in subqueries {
        measure(&subquery, total)?;
    }
    total.parts = made.iter().fold(total.parts, |sum, parts| sum.saturating_add(*parts));
    Ok(columns(plan, made, below))
}

/// Selects from the expressions and the inputs' columns those of the output.
fn columns(plan: &LogicalPlan, made: Vec<u64>, below: Vec<u64>) -> Vec<u64> {
    let width = width(plan.schema());
    let mut columns = match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => made,
        LogicalPlan::Window(_) => below.into_iter().chain(made).collect(),
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.len().max(1);
            let each = below.len() / inputs;
            let greatest = |column| (0..inputs).filter_map(|input| below.get(input * each + column)).max();
            (0..each).map(|column| greatest(column).copied().unwrap_or(1)).collect()
        }
        _ => below,
    };
    columns.resize(width, 1);
    columns
}

fn width(schema: &DFSchema) -> usize {
    schema.fields().len()
}

fn parts(expr: &Expr, inputs: &HashMap<Column, u64>, subqueries: &mut Vec<LogicalPlan>) -> Result<u64> {
    let mut sum = 0_u64;
    expr.apply(|part| {
        let parts = match part {
            Expr::Column(column) => inputs.get(column).copied().unwrap_or(1),
            Expr::Literal(value, _) => 1 + ((value.size() - size_of_val(value)) / PART_BYTES) as u64,
            Expr::ScalarSubquery(subquery) => {
                subqueries.push(subquery.subquery.as_ref().clone());
                1
            }
            Expr::InSubquery(within) => {
                subqueries.push(within.subquery.subquery.as_ref().clone());
                1
            }
            Expr::Exists(exists) => {
                subqueries.push(exists.subquery.subquery.as_ref().clone());
                1
            }
            _ => 1,
        };
        sum = sum.saturating_add(parts);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

    use super::*;

    fn doubled(levels: usize) -> LogicalPlan {
        let one = LogicalPlanBuilder::empty(true).project([lit(true).alias("s")]).unwrap();
        let levels = (0..levels).fold(one, |plan, _| plan.project([col("s").eq(col("s")).alias("s")]).unwrap());
        levels.build().unwrap()
    }

    #[test]
    fn doubling_expressions_are_refused() {
        assert!(check(&doubled(10)).is_ok());
        assert!(matches!(check(&doubled(40)), Err(QueryError::Limit(_))));
        assert!(matches!(check(&doubled(200)), Err(QueryError::Limit(_))));
    }
}
