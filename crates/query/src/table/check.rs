//! The final check of a finished plan. It fails closed.

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
/// The site filter has no children that an optimizer could see, so no rule of today's DataFusion can break this. With a
/// future rule, or a mistake of ours, the result is an error instead of a leak.
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

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use datafusion::common::DFSchema;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::logical_expr::{Expr, cast, col, lit};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use footfall_lake::{DataFile, Origin};
    use footfall_model::table;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::super::prune::PrunedFiles;
    use super::super::scan::{Scan, TableReader};
    use super::*;

    /// A reader's scan with this condition.
    fn scan(condition: Expr) -> Arc<dyn ExecutionPlan> {
        let session = SessionStateBuilder::new().build();
        let schema = DFSchema::try_from(table::events().table_schema().as_ref().clone()).unwrap();
        let file = DataFile {
            path: Path::from("events/event_date=1970-01-01/x.parquet"),
            size: 1,
            rows: Some(1),
            written_at: 0,
            partition_date: 0,
            statistics: Box::default(),
            origin: Origin::Wal,
            tags: Vec::new(),
        };
        let scan = Scan {
            files: PrunedFiles {
                whole: Vec::new(),
                shared: vec![Arc::new(file)],
            },
            projection: None,
            conditions: vec![session.create_physical_expr(condition, &schema).unwrap()],
            limit: None,
        };
        let store = Arc::new(InMemory::new()) as _;
        let reader = TableReader::new(table::events(), &store, &RuntimeEnv::default()).unwrap();
        let sites = Arc::new(["mine".to_owned()].into());
        reader.scan_of_sites(scan, &sites, &session).unwrap()
    }

    fn above(scan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(CoalescePartitionsExec::new(scan))
    }

    #[test]
    fn plain_condition_behind_site_filter_passes() {
        check(&above(scan(col("city").eq(lit("Ghent"))))).unwrap();
    }

    #[test]
    fn condition_that_can_fail_is_refused() {
        let number = cast(col("user_id"), DataType::Int64).eq(lit(1_i64));
        assert!(check(&above(scan(number))).is_err());
    }

    #[test]
    fn scan_without_site_filter_is_refused() {
        let filtered = scan(col("city").eq(lit("Ghent")));
        let inner = filtered.downcast_ref::<SiteFilterExec>().unwrap().scan.clone().unwrap();
        assert!(check(&above(inner)).is_err());
    }
}
