//! Operators that yield, whatever they compute.
//!
//! DataFusion's operators compute until their input is pending, and a join or a window over a large input can do so
//! for minutes in one poll. Between any two operators stands a [`YieldExec`] of ours:
//!
//! ```text
//! HashJoinExec <- YieldExec(build) <- scan         paused, stopped? -> budget of the task left? -> poll the input
//!              <- YieldExec(probe) <- scan                             -> batch in slices that are joined in a moment
//! ```
//!
//! It gives the thread back after some milliseconds, waits while the statement is paused, fails once it is stopped,
//! and refuses batches that the operator above would multiply beyond all bounds.

mod exec;
mod limits;
mod role;
mod slices;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;

use crate::control::Control;
use exec::YieldExec;
use role::{Role, roles};
pub(crate) use slices::SliceTime;

/// `plan` with a yield point at each of its edges.
///
/// Runs after all optimization: the rules look for patterns of operators that these would hide.
pub(crate) fn cooperative(plan: Arc<dyn ExecutionPlan>, control: &Arc<Control>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(YieldExec::new(inner(plan, control)?, control, Role::Plain)))
}

fn inner(plan: Arc<dyn ExecutionPlan>, control: &Arc<Control>) -> Result<Arc<dyn ExecutionPlan>> {
    let children = plan.children().into_iter().cloned().collect::<Vec<_>>();
    let wrapped = children
        .into_iter()
        .zip(roles(plan.as_ref())?)
        .map(|(child, role)| {
            let child = inner(child, control)?;
            Ok(Arc::new(YieldExec::new(child, control, role)) as _)
        })
        .collect::<Result<Vec<_>>>()?;
    replace_children_if_necessary(plan, wrapped)
}
