//! A rollup in SQL: its segments, merged with the same aggregation of events that none of them covers.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use footfall_model::rollup::Rollup;

use super::{LakeTableView, plan_view};
use crate::catalog::Tables;
use crate::segments::ScopedLake;

/// The names of the view's sources, which only the view can use.
const SEGMENTS: &str = "segments";
const UNCOVERED: &str = "uncovered_events";

#[derive(Debug)]
pub(crate) struct RollupView {
    name: String,
    sql: String,
}

impl RollupView {
    pub(super) fn new(rollup: Rollup) -> Self {
        Self {
            sql: rollup.view_sql(SEGMENTS, UNCOVERED),
            name: rollup.name,
        }
    }
}

impl LakeTableView for RollupView {
    fn name(&self) -> &str {
        &self.name
    }

    fn over(&self, lake: &ScopedLake) -> Result<Arc<dyn TableProvider>> {
        let sources = lake.sources(&self.name)?;
        let tables = Tables::from([
            (SEGMENTS.to_owned(), sources.segments),
            (UNCOVERED.to_owned(), sources.uncovered),
        ]);
        plan_view(&self.name, &self.sql, lake, tables)
    }
}
