//! The view `sessions`: parts out of segments, parts out of events that no segment covers, stitched together.
//!
//! ```text
//! session_parts ------------------------------\
//!                                              union -> by visitor, sorted -> StitchExec(sessions)
//! uncovered events -> StitchExec(parts) ------/
//! ```

mod pruning;
mod stitch_exec;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::conjunction;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::union::UnionExec;
use footfall_sessions::SessionColumns;

use super::LakeTableView;
use crate::segments::{ScopedLake, Sources};
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
        let sources = lake.sources(footfall_sessions::TABLE)?;
        Ok(Arc::new(SessionsTable { sources }))
    }
}

/// The sessions of one version of the lake, for one caller.
#[derive(Debug)]
struct SessionsTable {
    sources: Sources,
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
        let Sources { segments, uncovered } = &self.sources;
        let parts = columns.parts();
        let of_segments = parts.schema().fields().iter();
        let of_segments = of_segments.map(|field| segments.schema().index_of(field.name()));
        let of_segments = of_segments.collect::<Result<Vec<_>, _>>()?;
        let segments = segments.scan(session, Some(&of_segments), &conditions, None).await?;
        let events = uncovered
            .scan(session, Some(&parts.event_columns()), &conditions, None)
            .await?;
        let events = StitchExec::parts(filtered(events, &visitors, session)?, parts);
        let all = UnionExec::try_new(vec![filtered(segments, &visitors, session)?, Arc::new(events)])?;
        Ok(Arc::new(StitchExec::sessions(all, columns)?))
    }
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
