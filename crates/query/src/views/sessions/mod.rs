//! The view `sessions`: parts out of segments, parts out of events that no segment covers, stitched together.
//!
//! ```text
//! session_parts of whole days: settled parts -> StitchExec(settled) -----------------------\
//!                              the others ----\                                             union
//! session_parts of other days -----------------union -> by visitor, sorted -> StitchExec(sessions)
//! uncovered events -> StitchExec(parts) ------/
//! ```
//!
//! Of a day that one segment has as a whole, nearly all parts are sessions: these are far from midnight, so that nothing
//! can be stitched to them. To sort the others is cheap.

mod pruning;
mod stitch_exec;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, col, not};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use footfall_model::rollup::Days;
use footfall_sessions::{SETTLED, SessionColumns};

use super::LakeTableView;
use crate::segments::ScopedLake;
use crate::table::is_plain;
use stitch_exec::StitchExec;

const NAME: &str = "sessions";

#[derive(Debug)]
pub(super) struct SessionsView;

impl LakeTableView for SessionsView {
    fn name(&self) -> &str {
        NAME
    }

    fn over(&self, lake: &ScopedLake) -> Result<Arc<dyn TableProvider>> {
        let parts = |days| lake.segments_of_days(footfall_sessions::TABLE, days);
        Ok(Arc::new(SessionsTable {
            whole_days: parts(Days::Whole)?,
            other_days: parts(Days::Rest)?,
            uncovered: lake.sources(footfall_sessions::TABLE)?.uncovered,
        }))
    }
}

/// The sessions of one version of the lake, for one caller.
#[derive(Debug)]
struct SessionsTable {
    /// Parts of days that one segment has as a whole.
    whole_days: Arc<dyn TableProvider>,
    other_days: Arc<dyn TableProvider>,
    /// Events that no segment covers.
    uncovered: Arc<dyn TableProvider>,
}

#[async_trait]
impl TableProvider for SessionsTable {
    fn schema(&self) -> SchemaRef {
        SessionColumns::schema_of_all()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// Conditions leave out events of other visitors and days; those of the days nearby remain, so all are checked again.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match pruning::prunes(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = SessionColumns::new(projection.map(Vec::as_slice))?;
        let visitors = pruning::of_visitors(filters);
        let conditions = [&visitors[..], &pruning::days(filters)].concat();
        let parts = columns.parts();
        let of_parts = |table, names: Vec<String>, chosen: Option<Expr>| {
            let conditions = conditions.iter().cloned().chain(chosen.clone()).collect();
            scanned(session, table, names, conditions, visitors.clone(), chosen)
        };
        let to_stitch: Vec<_> = parts
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let whole = columns.of_whole_sessions().iter().map(ToString::to_string).collect();
        let settled = of_parts(&self.whole_days, whole, Some(col(SETTLED))).await?;
        let unsettled = of_parts(&self.whole_days, to_stitch.clone(), Some(not(col(SETTLED)))).await?;
        let others = of_parts(&self.other_days, to_stitch, None).await?;
        let events = self
            .uncovered
            .scan(session, Some(&parts.event_columns()), &conditions, None)
            .await?;
        let events = StitchExec::parts(filtered(events, &visitors, session)?, parts);
        let all = UnionExec::try_new(vec![unsettled, others, Arc::new(events)])?;
        let settled = StitchExec::settled(settled, columns.clone());
        let stitched = StitchExec::sessions(all, columns)?;
        UnionExec::try_new(vec![Arc::new(settled), Arc::new(stitched)])
    }
}

/// The columns with these names of the rows that are `chosen`. Rows and files for which `conditions` don't hold may be left out,
/// and rows for which `checked` does not hold are, as far as that can't fail.
async fn scanned(
    session: &dyn Session,
    table: &Arc<dyn TableProvider>,
    names: Vec<String>,
    conditions: Vec<Expr>,
    checked: Vec<Expr>,
    chosen: Option<Expr>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let read = checked
        .iter()
        .chain(&chosen)
        .flat_map(Expr::column_refs)
        .map(Column::name);
    let read: BTreeSet<usize> = names
        .iter()
        .map(String::as_str)
        .chain(read)
        .map(|name| table.schema().index_of(name))
        .collect::<Result<_, _>>()?;
    let read: Vec<usize> = read.into_iter().collect();
    let rows = table.scan(session, Some(&read), &conditions, None).await?;
    let mut rows = filtered(rows, &checked, session)?;
    if let Some(chosen) = chosen {
        let of_rows = DFSchema::try_from(rows.schema())?;
        rows = Arc::new(FilterExec::try_new(
            session.create_physical_expr(chosen, &of_rows)?,
            rows,
        )?);
    }
    let schema = rows.schema();
    let columns = names.iter().map(|name| {
        let column = PhysicalColumn::new_with_schema(name, &schema)?;
        Ok((Arc::new(column) as _, name.clone()))
    });
    Ok(Arc::new(ProjectionExec::try_new(
        columns.collect::<Result<Vec<(Arc<dyn PhysicalExpr>, String)>>>()?,
        rows,
    )?))
}

/// The rows for which the conditions hold, as far as these can't fail.
fn filtered(
    input: Arc<dyn ExecutionPlan>,
    conditions: &[Expr],
    session: &dyn Session,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let of_input = DFSchema::try_from(Arc::clone(&schema))?;
    let physical = conditions.iter().filter_map(|condition| {
        let condition = session.create_physical_expr(condition.clone(), &of_input).ok()?;
        is_plain(&condition, &schema).then_some(condition)
    });
    let physical: Vec<_> = physical.collect();
    if physical.is_empty() {
        return Ok(input);
    }
    Ok(Arc::new(FilterExec::try_new(conjunction(physical), input)?))
}
