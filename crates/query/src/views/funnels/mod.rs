//! Funnels in SQL: how far each visitor got, and the numbers of each day.
//!
//! ```text
//! segments of step rows ---------------------+
//! events that none covers -> MatchSteps -----+-> FindEntries: an entry is a row
//! ```
//!
//! A segment is used if it holds the steps of all funnels that the statement asks for. Which those are, and what range of
//! time, [`filters`] reads from the statement's conditions.

mod cover;
mod filters;
mod function;
mod provider;
mod runs;
mod stage_exec;
mod stages;

use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use footfall_funnels::Funnel;

use super::{LakeTableView, plan_view};
use crate::catalog::Tables;
use crate::segments::ScopedLake;
pub(super) use cover::CoverCache;
pub(crate) use cover::uncovered;
pub(crate) use function::functions;
pub(crate) use provider::FunnelEntries;

pub(crate) const PROGRESS: &str = "funnel_progress";
const RESULTS: &str = "funnel_results";

/// The names of the views' sources, which only they can use.
const ENTRIES: &str = "entries";
const STEPS: &str = "steps";

/// The specification's columns for the first four steps stand beside the list of all.
const PROGRESS_SQL: &str = "\
    SELECT tracking_id, funnel_id, client_id, client_hash, date, entered_at, steps_completed, step_times, \
    steps_completed >= 1 AS step0_completed, step_times[1] AS step0_timestamp, \
    steps_completed >= 2 AS step1_completed, step_times[2] AS step1_timestamp, \
    steps_completed >= 3 AS step2_completed, step_times[3] AS step2_timestamp, \
    steps_completed >= 4 AS step3_completed, step_times[4] AS step3_timestamp, \
    fully_converted, time_to_convert, deepest_of_day, \
    country, device, browser, os, source, utm_source, utm_medium, utm_campaign, channel \
    FROM entries";

/// Of each visitor the deepest entry of the day. A visitor has reached step i if it has completed more than i steps.
const RESULTS_SQL: &str = "\
    SELECT tracking_id, funnel_id, date, step_index, step_name, user_count, \
    CASE WHEN before = 0 THEN 0.0 ELSE CAST(user_count AS DOUBLE) / CAST(before AS DOUBLE) END AS conversion_rate, \
    avg_time_to_next_step \
    FROM (\
    SELECT e.tracking_id, e.funnel_id, e.date, s.step_index, s.step_name, \
    count(*) FILTER (WHERE e.steps_completed > s.step_index) AS user_count, \
    count(*) FILTER (WHERE e.steps_completed >= s.step_index) AS before, \
    avg(CAST(CAST(e.step_times[s.step_index + 2] AS BIGINT) - CAST(e.step_times[s.step_index + 1] AS BIGINT) AS DOUBLE)) \
    / 1000000.0 AS avg_time_to_next_step \
    FROM entries e JOIN steps s ON e.tracking_id = s.tracking_id AND e.funnel_id = s.funnel_id \
    WHERE e.deepest_of_day GROUP BY 1, 2, 3, 4, 5)";

/// A row for each entry of a visitor into a funnel.
#[derive(Debug)]
pub(super) struct FunnelProgressView(pub(super) Arc<CoverCache>);

/// A row for each funnel, day and step.
#[derive(Debug)]
pub(super) struct FunnelResultsView(pub(super) Arc<CoverCache>);

impl LakeTableView for FunnelProgressView {
    fn name(&self) -> &str {
        PROGRESS
    }

    fn over(&self, lake: &ScopedLake) -> Result<Arc<dyn TableProvider>> {
        let entries = FunnelEntries::new(lake, &self.0);
        let tables = Tables::from([(ENTRIES.to_owned(), Arc::new(entries) as _)]);
        plan_view(PROGRESS, PROGRESS_SQL, lake, tables)
    }
}

impl LakeTableView for FunnelResultsView {
    fn name(&self) -> &str {
        RESULTS
    }

    fn over(&self, lake: &ScopedLake) -> Result<Arc<dyn TableProvider>> {
        let entries = FunnelEntries::new(lake, &self.0);
        let steps = steps(&entries.funnels)?;
        let tables = Tables::from([
            (ENTRIES.to_owned(), Arc::new(entries) as _),
            (STEPS.to_owned(), Arc::new(steps) as _),
        ]);
        plan_view(RESULTS, RESULTS_SQL, lake, tables)
    }
}

/// The steps of funnels, numbered from 0.
fn steps(funnels: &[Funnel]) -> Result<MemTable> {
    let steps = funnels.iter().flat_map(|funnel| {
        let numbered = (0_i32..).zip(&funnel.definition.steps);
        numbered.map(move |(index, step)| (funnel, index, step.name.as_str()))
    });
    let steps: Vec<_> = steps.collect();
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![
        text("tracking_id"),
        text("funnel_id"),
        Field::new("step_index", DataType::Int32, false),
        text("step_name"),
    ]));
    let sites = steps.iter().map(|(funnel, ..)| &funnel.tracking_id);
    let ids = steps.iter().map(|(funnel, ..)| &funnel.id);
    let rows = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(StringArray::from_iter_values(sites)),
            Arc::new(StringArray::from_iter_values(ids)),
            Arc::new(Int32Array::from_iter_values(steps.iter().map(|(_, index, _)| *index))),
            Arc::new(StringArray::from_iter_values(steps.iter().map(|(.., name)| name))),
        ],
    )?;
    MemTable::try_new(schema, vec![vec![rows]])
}
