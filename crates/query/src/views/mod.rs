//! What SQL can name beside `events`: views over segments and the events that none of them covers, each exact at every
//! moment.

mod funnels;
mod rollup;

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::ViewTable;
use footfall_funnels::FunnelDefinitions;
use footfall_model::rollup::Rollup;

use futures::FutureExt;

use crate::catalog::Tables;
use crate::segments::ScopedLake;
use funnels::{CoverCache, FunnelProgressView, FunnelResultsView};
use rollup::RollupView;

/// A named view.
pub(crate) trait LakeTableView: Debug + Send + Sync {
    fn name(&self) -> &str;

    /// The view over one version of the lake, for one caller.
    ///
    /// # Errors
    /// The view can't be planned.
    fn over(&self, lake: &ScopedLake) -> Result<Arc<dyn TableProvider>>;
}

/// What the views of an engine are made from.
#[derive(Debug, Clone, Default)]
pub struct Views {
    pub rollups: Vec<Rollup>,
    /// `None`: without the views of funnels.
    pub funnels: Option<Arc<FunnelDefinitions>>,
}

/// All views, in the order in which they are listed.
pub(crate) fn all(views: Views) -> Vec<Box<dyn LakeTableView>> {
    let rollups = views.rollups.into_iter();
    let mut all: Vec<Box<dyn LakeTableView>> = rollups.map(|rollup| Box::new(RollupView::new(rollup)) as _).collect();
    if views.funnels.is_some() {
        let cache = Arc::<CoverCache>::default();
        all.push(Box::new(FunnelProgressView(Arc::clone(&cache))));
        all.push(Box::new(FunnelResultsView(cache)));
    }
    all
}

/// Plans a view's SQL over tables that only it sees.
fn plan_view(name: &str, sql: &str, lake: &ScopedLake, tables: Tables) -> Result<Arc<dyn TableProvider>> {
    let state = lake.state(tables);
    // The tables are there: nothing waits.
    let planned = state.create_logical_plan(sql).now_or_never();
    let plan = planned.ok_or_else(|| internal_datafusion_err!("planning the view {name} waits"))??;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
