//! What SQL can name beside `events`: views over segments and the events that none of them covers, each exact at every
//! moment.

mod rollup;

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use footfall_model::rollup::Rollup;

use crate::CompactionLog;
use crate::segments::ScopedLake;
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
    /// What `system.compactions` shows.
    pub compactions: Arc<CompactionLog>,
}

/// All views, in the order in which they are listed.
pub(crate) fn all(rollups: Vec<Rollup>) -> Vec<Box<dyn LakeTableView>> {
    rollups
        .into_iter()
        .map(|rollup| Box::new(RollupView::new(rollup)) as _)
        .collect()
}
