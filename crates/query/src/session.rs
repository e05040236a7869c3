//! DataFusion's state: built once, cloned for each statement.

use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use datafusion::common::Result;
use datafusion::common::alias::AliasGenerator;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::AggregateUDF;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::OptimizerRule;
use datafusion::prelude::SessionConfig;
use footfall_model::clock::Clock;
use object_store::ObjectStore;

use crate::catalog::{CATALOG, LakeView, SCHEMA};
use crate::cooperative::SliceTime;
use crate::functions::{self, PropertyOperators};
use crate::routing::RouteAggregates;
use crate::semantics::{self, DateArithmetic, IntervalProducts, RewriteOperators};
use crate::store::OneStore;
use crate::table::CheckIsolation;
use crate::{EngineOptions, interruptible};

/// Maximum nesting of parentheses and subqueries in SQL.
pub(crate) const MAX_NESTING: usize = 50;

/// DataFusion's name for folders of spilled data.
const SPILL_PREFIX: &str = "datafusion-";

/// The source of statements' states.
#[derive(Debug)]
pub(crate) struct SessionFactory {
    base: SessionState,
    /// Without physical optimizer rules: a view's plan becomes a part of a statement's, on which they run.
    view_base: SessionState,
    clock: Arc<dyn Clock>,
}

impl SessionFactory {
    pub(crate) fn new(runtime: Arc<RuntimeEnv>, options: &EngineOptions) -> Self {
        let base = SessionStateBuilder::new()
            .with_session_id(CATALOG.to_owned())
            .with_config(config(options))
            .with_runtime_env(runtime)
            .with_expr_planners(expr_planners())
            .with_scalar_functions([functions::scalar(), semantics::scalar_functions()].concat())
            .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
            .with_aggregate_functions(aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_analyzer_rules(interruptible::analyzer_rules())
            .with_optimizer_rules(optimizer_rules())
            .with_physical_optimizer_rules(interruptible::physical_optimizer_rules())
            .with_physical_optimizer_rule(Arc::new(CheckIsolation))
            .with_analyzer_rule(Arc::new(RewriteOperators::default()))
            .with_table_function_list(SessionStateDefaults::default_table_functions())
            .build();
        let view_base = SessionStateBuilder::new_from_existing(base.clone())
            .with_physical_optimizer_rules(Vec::new())
            .build();
        Self {
            base,
            view_base,
            clock: Arc::clone(&options.clock),
        }
    }

    /// The state of one statement, over its own view of the lake.
    pub(crate) fn state(&self, lake: LakeView) -> SessionState {
        self.over(&self.base, lake)
    }

    /// The state that plans a view as a part of a statement.
    pub(crate) fn view_state(&self, lake: LakeView) -> SessionState {
        self.over(&self.view_base, lake)
    }

    fn over(&self, base: &SessionState, lake: LakeView) -> SessionState {
        let mut state = base.clone();
        state.register_catalog_list(Arc::new(lake));
        let props = state.execution_props_mut();
        props.query_execution_start_time = DateTime::from_timestamp_micros(self.clock.now());
        // Its numbers appear in plans: counted over all statements, they would reveal how many others ran.
        props.alias_generator = Arc::new(AliasGenerator::new());
        state
    }
}

/// Spilling and caches, shared by all statements. Each gets its memory from [`crate::memory`].
pub(crate) fn runtime(store: &Arc<dyn ObjectStore>, options: &EngineOptions) -> Result<Arc<RuntimeEnv>> {
    clear_spill(&options.spill_dir)?;
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![options.spill_dir.clone()]))
        .with_max_temp_directory_size(options.spill_bytes);
    RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::new(OneStore(Arc::clone(store))))
        .with_disk_manager_builder(disk)
        .with_metadata_cache_limit(options.metadata_cache_bytes)
        .build_arc()
}

/// A killed process leaves its spilled data behind.
fn clear_spill(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SPILL_PREFIX) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// DataFusion's own rules. Aggregates are routed once their filters are pushed down, and before distinct counts are
/// turned into groups.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = interruptible::optimizer_rules();
    let before = rules
        .iter()
        .position(|rule| rule.name() == "single_distinct_aggregation_to_group_by");
    rules.insert(before.unwrap_or(rules.len()), Arc::new(RouteAggregates));
    rules
}

fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let functions = SessionStateDefaults::default_aggregate_functions();
    let functions = functions.into_iter().map(semantics::aggregate);
    functions.chain(functions::aggregates()).collect()
}

fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    let mut planners = SessionStateDefaults::default_expr_planners();
    planners.insert(0, Arc::new(PropertyOperators::default()));
    planners.insert(1, Arc::new(DateArithmetic));
    planners.insert(2, Arc::new(IntervalProducts::default()));
    planners
}

fn config(options: &EngineOptions) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(options.target_partitions.max(1))
        .with_extension(Arc::new(SliceTime(options.slice_time)));
    let settings = config.options_mut();
    settings.sql_parser.map_string_types_to_utf8view = false;
    settings.execution.parquet.schema_force_view_types = false;
    settings.execution.parquet.pushdown_filters = true;
    settings.execution.parquet.reorder_filters = true;
    // What each part of a sort reserves for merging what it spilled: it must leave memory for the sorting itself.
    let part = options.memory_bytes / (8 * options.target_partitions.max(1));
    settings.execution.sort_spill_reservation_bytes = settings.execution.sort_spill_reservation_bytes.min(part);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stale_spill_folders_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["datafusion-left", "mine"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("datafusion-left/part"), b"x").unwrap();
        clear_spill(dir.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["mine"]);
    }
}
