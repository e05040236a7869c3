//! What an edge of the plan has to watch, decided from the operator above it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, InListExpr, LikeExpr, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec, SymmetricHashJoinExec,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

use super::limits::{self, WindowCost};
use super::slices::{SliceTime, Slices};

/// What the operator above does with the rows.
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// Nothing that multiplies them.
    Plain,
    /// Computes columns, some of them of long constants: so many rows at a time.
    Rows(usize),
    /// Computes what may take long for a row: in slices that take a moment.
    Timed,
    /// Came out of a projection, whose values may be long.
    Projected,
    /// Copies each as often as it has a partner.
    Joined,
    /// Likewise, and looks for its partners among all rows of the other side: in slices that take a moment.
    Probe,
    /// Copies each beside a batch of the other side, which has to know the bytes of the widest row.
    CrossBuild(Arc<AtomicUsize>),
    CrossProbe(Arc<AtomicUsize>),
    /// Copies a row as often as its list has items: columns that are lists.
    Unnest(Vec<usize>),
    /// Holds all of them, and computes for each.
    Window(WindowCost),
    /// Holds some of them, and computes for each.
    BoundedWindow(WindowCost),
    /// Copies the only row into each batch.
    Subquery,
}

/// The roles of the inputs of `plan`, in order.
pub(super) fn roles(plan: &dyn ExecutionPlan) -> Result<Vec<Role>> {
    if plan.is::<HashJoinExec>() || plan.is::<NestedLoopJoinExec>() {
        return Ok(vec![Role::Joined, Role::Probe]);
    }
    if plan.is::<CrossJoinExec>() {
        let widest = Arc::new(AtomicUsize::new(0));
        return Ok(vec![Role::CrossBuild(Arc::clone(&widest)), Role::CrossProbe(widest)]);
    }
    if plan.is::<SortMergeJoinExec>() || plan.is::<SymmetricHashJoinExec>() || plan.is::<PiecewiseMergeJoinExec>() {
        return Ok(vec![Role::Joined, Role::Joined]);
    }
    if let Some(unnest) = plan.downcast_ref::<UnnestExec>() {
        let lists = unnest
            .list_column_indices()
            .iter()
            .map(|list| list.index_in_input_schema);
        return Ok(vec![Role::Unnest(lists.collect())]);
    }
    if let Some(window) = plan.downcast_ref::<WindowAggExec>() {
        return Ok(vec![Role::Window(limits::window_cost(window.window_expr()))]);
    }
    if let Some(window) = plan.downcast_ref::<BoundedWindowAggExec>() {
        return Ok(vec![Role::BoundedWindow(limits::window_cost(window.window_expr()))]);
    }
    let Costs { constants, slow } = costs(plan)?;
    let inputs = plan.children().into_iter().enumerate().map(|(index, input)| {
        if plan.is::<ScalarSubqueryExec>() && index > 0 {
            Role::Subquery
        } else if let Some(rows) = limits::rows_with_constants(constants) {
            Role::Rows(rows)
        } else if slow {
            Role::Timed
        } else if input.is::<ProjectionExec>() {
            Role::Projected
        } else {
            Role::Plain
        }
    });
    Ok(inputs.collect())
}

#[derive(Debug, Default)]
struct Costs {
    /// The bytes of constants that are copied for each row; the values of IN are not.
    constants: usize,
    /// Whether a row may take long.
    slow: bool,
}

fn costs(plan: &dyn ExecutionPlan) -> Result<Costs> {
    let mut costs = Costs::default();
    plan.apply_expressions(&mut |root: &Arc<dyn PhysicalExpr>| {
        root.apply(|part| {
            if part.downcast_ref::<InListExpr>().is_some() {
                return Ok(TreeNodeRecursion::Jump);
            }
            if let Some(literal) = part.downcast_ref::<Literal>() {
                costs.constants += literal.value().size();
            }
            costs.slow |= is_slow(part);
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(costs)
}

/// Patterns are compiled and matched, and long values made, in a time that depends on the statement's author.
fn is_slow(part: &Arc<dyn PhysicalExpr>) -> bool {
    const SLOW: [&str; 12] = [
        "regexp_like",
        "regexp_match",
        "regexp_replace",
        "regexp_count",
        "regexp_instr",
        "levenshtein",
        "array_sort",
        "repeat",
        "lpad",
        "rpad",
        "array_repeat",
        "array_resize",
    ];
    if let Some(call) = part.downcast_ref::<ScalarFunctionExpr>() {
        return SLOW.contains(&call.fun().name());
    }
    let Some(binary) = part.downcast_ref::<BinaryExpr>() else {
        return part.downcast_ref::<LikeExpr>().is_some();
    };
    matches!(
        binary.op(),
        Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch
    )
}

impl Role {
    pub(super) fn shaper(&self, context: &TaskContext) -> Shaper {
        let held =
            matches!(self, Self::Window(_)).then(|| MemoryConsumer::new("Window").register(context.memory_pool()));
        let slice_time = context.session_config().get_extension::<SliceTime>();
        Shaper {
            role: self.clone(),
            slices: Slices::new(slice_time.as_deref().copied().unwrap_or_default()),
            rows: 0,
            bytes: 0,
            held,
        }
    }
}

/// One stream's batches on their way to the operator above.
#[derive(Debug)]
pub(super) struct Shaper {
    role: Role,
    slices: Slices,
    /// Seen so far.
    rows: usize,
    bytes: usize,
    /// What the operator above holds without asking the pool.
    held: Option<MemoryReservation>,
}

impl Shaper {
    /// Takes the input's next batch.
    ///
    /// # Errors
    /// If the operator above would make too much of it.
    pub(super) fn accept(&mut self, batch: RecordBatch) -> Result<()> {
        match &self.role {
            Role::Plain | Role::Timed | Role::Rows(_) => {}
            Role::Projected => limits::projected(&batch)?,
            Role::CrossBuild(widest) => {
                widest.fetch_max(limits::joined(&batch)?, Ordering::Relaxed);
            }
            Role::Joined | Role::Probe | Role::CrossProbe(_) => {
                limits::joined(&batch)?;
            }
            Role::Unnest(lists) => limits::unnested(&batch, lists)?,
            Role::Subquery => limits::subquery(&batch)?,
            Role::Window(cost) | Role::BoundedWindow(cost) => {
                self.rows += batch.num_rows();
                self.bytes += batch.get_array_memory_size();
                limits::window(*cost, self.rows, self.bytes, self.held.is_some())?;
            }
        }
        if let Some(held) = &self.held {
            held.try_grow(limits::window_bytes(&batch))?;
        }
        self.slices.put(batch);
        Ok(())
    }

    /// What the operator above gets next; `None` if the input has to be asked.
    pub(super) fn next(&mut self) -> Option<RecordBatch> {
        match &self.role {
            Role::Timed | Role::Probe | Role::BoundedWindow(_) => self.slices.next_timed(),
            Role::Rows(rows) => self.slices.next(*rows),
            Role::CrossProbe(widest) => self.slices.next(limits::rows_beside(widest.load(Ordering::Relaxed))),
            _ => self.slices.next(usize::MAX),
        }
    }

    /// The operator above was busy for so long since it got the last batch.
    pub(super) fn took(&mut self, time: Duration) {
        self.slices.took(time);
    }
}
