//! The last look at a finished plan: it fails closed.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::site_filter::SiteFilterExec;
use crate::store;

/// Refuses a plan in which a reader's scan is not behind its site filter, or has conditions that can fail.
///
/// The site filter has no children that an optimizer could see, so no rule of today's DataFusion can break this; a
/// rule of tomorrow's, or a mistake of ours, is an error instead of a leak.
#[derive(Debug)]
pub(crate) struct CheckIsolation;

impl PhysicalOptimizerRule for CheckIsolation {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        check(&plan)?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "check_isolation"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn check(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    plan.apply(|node| {
        if let Some(filter) = node.downcast_ref::<SiteFilterExec>() {
            filter.check()?;
        } else if reads_for_readers(node) {
            return internal_err!("a scan of files that may hold other sites' rows is not behind its site filter");
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn reads_for_readers(node: &Arc<dyn ExecutionPlan>) -> bool {
    let Some(source) = node.downcast_ref::<DataSourceExec>() else {
        return false;
    };
    let files = source.data_source().downcast_ref::<FileScanConfig>();
    files.is_some_and(|files| files.object_store_url.as_str().trim_end_matches('/') == store::SHARED)
}
