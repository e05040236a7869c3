//! `EXPLAIN` says first how each aggregate over events is answered, and what would help.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::explain::ExplainExec;

use crate::routing::StatementRouting;

/// `plan`; if it explains a statement, with a row for the decisions of `routing`.
pub(crate) fn with_routing(plan: Arc<dyn ExecutionPlan>, routing: &StatementRouting) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(explained) = plan.downcast_ref::<ExplainExec>() else {
        return Ok(plan);
    };
    let decisions = routing.decisions();
    if decisions.is_empty() {
        return Ok(plan);
    }
    let missing = routing.missing();
    let mut text = String::new();
    for (nth, decision) in decisions.iter().enumerate() {
        // Writing to a text can't fail.
        let _ = writeln!(text, "aggregate {}: {decision}", nth + 1);
        if let Some(missing) = missing.iter().find(|missing| missing.aggregate == nth) {
            let _ = writeln!(text, "  {missing}");
        }
    }
    let shown = explained.stringified_plans().iter();
    let shown = shown.filter(|plan| plan.should_display(explained.verbose()));
    let rows = shown.map(|plan| (plan.plan_type.to_string(), plan.plan.to_string()));
    let (types, plans): (Vec<_>, Vec<_>) = [("routing".to_owned(), text)].into_iter().chain(rows).unzip();
    let schema = plan.schema();
    let columns = vec![
        Arc::new(StringArray::from(types)) as _,
        Arc::new(StringArray::from(plans)) as _,
    ];
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(MemorySourceConfig::try_new_exec(&[vec![rows]], schema, None)?)
}
