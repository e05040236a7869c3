//! A rollup in SQL. Only what a statement needs of it is planned: a branch that gives none of the columns that it names
//! is not read (see [`footfall_model::rollup::RollupView`]).

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, Result, internal_datafusion_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use footfall_model::access::SiteScope;
use footfall_model::rollup::{Grain, Period, RollupView, SourceTable, TimeRange};
use futures::FutureExt;

use super::LakeTableView;
use super::sessions::SessionsView;
use crate::catalog::NamedTables;
use crate::segments::ScopedLake;
use crate::table::time_comparisons;

/// A declared view of a rollup.
#[derive(Debug)]
pub(crate) struct DeclaredView {
    view: Arc<RollupView>,
    /// Known once it has been planned: it is the same over every lake.
    schema: OnceLock<SchemaRef>,
}

impl DeclaredView {
    pub(crate) fn new(view: RollupView) -> Self {
        Self {
            view: Arc::new(view),
            schema: OnceLock::new(),
        }
    }

    fn schema(&self, lake: &ScopedLake) -> Result<SchemaRef> {
        if let Some(schema) = self.schema.get() {
            return Ok(Arc::clone(schema));
        }
        let state = lake.view_state(SourceTables(lake.clone()));
        // The tables are there: nothing waits.
        let planned = planned(&state, &self.view.sql(|_| true, TimeRange::ALL)).now_or_never();
        let plan = planned.ok_or_else(|| internal_datafusion_err!("planning the view {} waits", self.view.name))??;
        Ok(Arc::clone(
            self.schema.get_or_init(|| Arc::clone(plan.schema().inner())),
        ))
    }
}

impl LakeTableView for DeclaredView {
    fn name(&self) -> &str {
        &self.view.name
    }

    fn over(&self, lake: &ScopedLake) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(RollupTable {
            view: match &self.view.rollup.sites {
                SiteScope::All => Arc::clone(&self.view),
                SiteScope::Only(_) => Arc::new(self.view.for_sites(&lake.sites)),
            },
            schema: self.schema(lake)?,
            lake: lake.clone(),
        }))
    }
}

/// A view over one version of the lake, for one caller.
#[derive(Debug)]
struct RollupTable {
    view: Arc<RollupView>,
    schema: SchemaRef,
    lake: ScopedLake,
}

impl RollupTable {
    /// The view with the columns that are named, filtered and projected.
    async fn plan(
        &self,
        state: &SessionState,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<LogicalPlan> {
        let all = || (0..self.schema.fields().len()).collect();
        let projected = projection.cloned().unwrap_or_else(all);
        let projected = projected.iter().map(|index| self.schema.field(*index).name().as_str());
        let projected: Vec<&str> = projected.collect();
        let filtered: BTreeSet<&str> = filters.iter().flat_map(Expr::column_refs).map(Column::name).collect();
        let wanted = |name: &str| projected.contains(&name) || filtered.contains(name);
        let sql = self.view.sql(wanted, times(self.view.period, filters));
        let mut plan = LogicalPlanBuilder::from(planned(state, &sql).await?);
        if let Some(filter) = conjunction(filters.iter().cloned()) {
            plan = plan.filter(filter)?;
        }
        plan = plan.project(projected.into_iter().map(|name| Expr::Column(Column::from_name(name))))?;
        if let Some(limit) = limit {
            plan = plan.limit(0, Some(limit))?;
        }
        plan.build()
    }
}

#[async_trait]
impl TableProvider for RollupTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| {
            if depends_on_row_alone(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(answer).collect())
    }

    /// The statement's own analysis has reconciled the filters, so only the view's SQL is analyzed here. Physical rules
    /// run on the whole statement's plan.
    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let state = self.lake.view_state(SourceTables(self.lake.clone()));
        let plan = self.plan(&state, projection, filters, limit).await?;
        let plan = state.optimizer().optimize(plan, &state, |_, _| {})?;
        state.query_planner().create_physical_plan(&plan, &state).await
    }
}

/// The plan of a view's SQL, with all types reconciled.
async fn planned(state: &SessionState, sql: &str) -> Result<LogicalPlan> {
    let plan = state.create_logical_plan(sql).await?;
    state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})
}

/// Whether a condition can be evaluated below the statement's other operators.
fn depends_on_row_alone(filter: &Expr) -> bool {
    let asks_others = |part: &Expr| {
        matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        )
    };
    !filter.is_volatile() && !filter.exists(|part| Ok(asks_others(part))).unwrap_or(true)
}

/// The times of the events that rows which pass the filters are made of, as far as the period's column says so. Longer
/// periods than hours are decided by the date, which files are pruned by.
fn times(period: Period, filters: &[Expr]) -> TimeRange {
    let mut times = TimeRange::ALL;
    if !matches!(period, Period::Buckets(Grain::QuarterHour | Grain::Hour)) {
        return times;
    }
    let width = period.micros();
    for (operator, at) in time_comparisons(filters, period.column()) {
        if matches!(operator, Operator::Gt | Operator::GtEq | Operator::Eq) {
            times.from = times.from.max(Some(at));
        }
        if matches!(operator, Operator::Lt | Operator::LtEq | Operator::Eq) {
            let last = if operator == Operator::Lt {
                at.saturating_sub(1)
            } else {
                at
            };
            let end = last.div_euclid(width).saturating_add(1).saturating_mul(width);
            times.until = Some(times.until.map_or(end, |until| until.min(end)));
        }
    }
    times
}

/// The tables that views' own SQL names.
#[derive(Debug)]
struct SourceTables(ScopedLake);

impl NamedTables for SourceTables {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(match SourceTable::named(name) {
            Some(SourceTable::Segments(rollup, days)) => Some(self.0.segments_of_days(rollup, days)?),
            Some(SourceTable::Uncovered(rollup)) => Some(self.0.sources(rollup)?.uncovered),
            Some(SourceTable::Events) => Some(self.0.events()),
            Some(SourceTable::Sessions) => Some(SessionsView.over(&self.0)?),
            None => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{col, lit};

    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn at(micros: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
    }

    fn hours(filters: &[Expr]) -> (Option<i64>, Option<i64>) {
        let TimeRange { from, until } = times(Period::Buckets(Grain::Hour), filters);
        (from, until)
    }

    #[test]
    fn hours_bound_the_times_of_events() {
        let hour = || col("hour");
        assert_eq!(hours(&[hour().gt_eq(at(5 * HOUR))]), (Some(5 * HOUR), None));
        assert_eq!(hours(&[hour().lt(at(5 * HOUR))]), (None, Some(5 * HOUR)));
        assert_eq!(hours(&[hour().lt(at(5 * HOUR + 1))]), (None, Some(6 * HOUR)));
        assert_eq!(hours(&[hour().lt_eq(at(5 * HOUR))]), (None, Some(6 * HOUR)));
        assert_eq!(hours(&[hour().eq(at(5 * HOUR))]), (Some(5 * HOUR), Some(6 * HOUR)));
        let both = [hour().between(at(HOUR), at(9 * HOUR)), hour().lt(at(3 * HOUR))];
        assert_eq!(hours(&both), (Some(HOUR), Some(3 * HOUR)));
        assert_eq!(hours(&[hour().not_eq(at(0))]), (None, None));
        assert_eq!(hours(&[col("first_event").gt(at(0))]), (None, None));
        assert_eq!(times(Period::Week, &[col("week").gt(at(0))]), TimeRange::ALL);
    }

    #[test]
    fn conditions_on_subqueries_and_chance_stay_above() {
        assert!(depends_on_row_alone(&col("country").eq(lit("BE"))));
        assert!(!depends_on_row_alone(&Expr::OuterReferenceColumn(
            Arc::new(arrow::datatypes::Field::new(
                "x",
                arrow::datatypes::DataType::Utf8,
                true
            )),
            Column::from_name("x"),
        )));
        let random = datafusion::functions::math::random();
        assert!(!depends_on_row_alone(&random.call(Vec::new()).lt(lit(0.5))));
    }
}
