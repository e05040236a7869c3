//! What SQL can name beside `events`: views over segments and the events that none of them covers, each exact at every
//! moment.

pub(crate) mod funnels;
pub(crate) mod rollup;
mod sessions;

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::ViewTable;
use footfall_funnels::FunnelDefinitions;
use footfall_model::rollup::{Rollup, RollupView};
use futures::FutureExt;

use crate::CompactionLog;
use crate::catalog::Tables;
use crate::segments::ScopedLake;
use funnels::{CoverCache, FunnelProgressView, FunnelResultsView};
use rollup::DeclaredView;
use sessions::SessionsView;

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
    pub rollups: Vec<RollupView>,
    /// Whether the lake has the parts of sessions.
    pub sessions: bool,
    /// `None`: without the views of funnels.
    pub funnels: Option<Arc<FunnelDefinitions>>,
    /// What `system.compactions` shows.
    pub compactions: Arc<CompactionLog>,
}

impl Views {
    /// The rollups whose segments they read.
    pub(crate) fn rollups(&self) -> Vec<Rollup> {
        let mut rollups: Vec<Rollup> = Vec::new();
        for view in &self.rollups {
            if !rollups.iter().any(|known| known.name == view.rollup.name) {
                rollups.push(view.rollup.clone());
            }
        }
        rollups
    }
}

/// All views, in the order in which they are listed.
pub(crate) fn all(views: &Views) -> Vec<Box<dyn LakeTableView>> {
    let rollups = views.rollups.iter().cloned();
    let mut all: Vec<Box<dyn LakeTableView>> = rollups.map(|view| Box::new(DeclaredView::new(view)) as _).collect();
    if views.sessions {
        all.push(Box::new(SessionsView));
    }
    if views.funnels.is_some() {
        let cache = Arc::<CoverCache>::default();
        all.push(Box::new(FunnelProgressView(Arc::clone(&cache))));
        all.push(Box::new(FunnelResultsView(cache)));
    }
    all
}

/// Plans a view's SQL over tables that only it sees.
fn plan_view(name: &str, sql: &str, lake: &ScopedLake, tables: Tables) -> Result<Arc<dyn TableProvider>> {
    let state = lake.view_state(tables);
    // The tables are there: nothing waits.
    let planned = state.create_logical_plan(sql).now_or_never();
    let plan = planned.ok_or_else(|| internal_datafusion_err!("planning the view {name} waits"))??;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
