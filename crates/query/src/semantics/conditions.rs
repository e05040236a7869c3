//! What no condition can hold: functions of several rows.

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// # Errors
/// A condition of WHERE or JOIN has an aggregate or a window function. The optimizer would call that an internal error.
pub(super) fn refuse_functions_of_rows(plan: &LogicalPlan) -> Result<()> {
    let clause = match plan {
        LogicalPlan::Join(_) => "JOIN",
        LogicalPlan::Filter(_) => "WHERE",
        _ => return Ok(()),
    };
    let of_rows = |expr: &Expr| matches!(expr, Expr::AggregateFunction(_) | Expr::WindowFunction(_));
    for expr in plan.expressions() {
        if expr.exists(|part| Ok(of_rows(part)))? {
            return plan_err!("aggregates and window functions are not allowed in a condition of {clause}: {expr}");
        }
    }
    Ok(())
}
