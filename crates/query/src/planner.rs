//! From SQL text to a physical plan over one pinned snapshot.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use footfall_model::access::SiteScope;

use crate::caller::Caller;
use crate::pins::Pins;
use crate::public_tables::PublicTables;
use crate::quarter_hours::by_quarters;
use crate::result_cache::{Keeping, fingerprint};
use crate::routing::{RawLimit, StatementRouting};
use crate::scan_log::ScanLog;
use crate::segments::PinnedLake;
use crate::statement::Parsed;
use crate::views::funnels::FunnelEntries;
use crate::{Provenance, QueryError, explain, output, parameters, plan_size, statement};

/// DataFusion's own check, in addition to that of [`statement::parse`].
static READ_ONLY: LazyLock<SQLOptions> = LazyLock::new(|| {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
});

/// The columns and the parameters of a statement.
#[derive(Debug, Clone)]
pub struct Description {
    /// Exactly the schema of the stream that `execute` returns.
    pub schema: SchemaRef,
    /// One field per parameter, in order, named "1", "2"…; of type `Null` if the type can't be inferred.
    pub parameters: Vec<Field>,
    /// The version of the lake that it was planned over; pass it to `execute_at` to run over the same one.
    pub version: u64,
}

/// From text to plans.
#[derive(Debug)]
pub(crate) struct Planner {
    pub(crate) tables: Arc<PublicTables>,
    pub(crate) runtime: Arc<RuntimeEnv>,
    pub(crate) pins: Pins,
    pub(crate) raw_limit: RawLimit,
}

/// A statement and the snapshot that it keeps.
pub(crate) struct PinnedStatement {
    pub(crate) state: SessionState,
    plan: LogicalPlan,
    routing: StatementRouting,
    samples: Vec<f64>,
    scans: ScanLog,
    parameters: Vec<Field>,
    lake: PinnedLake,
    sites: SiteScope,
}

/// What runs.
pub(crate) struct PhysicalStatement {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// Of the rows that clients get.
    pub(crate) schema: SchemaRef,
    pub(crate) keeping: Keeping,
}

impl Planner {
    pub(crate) async fn prepare(
        &self,
        lake: PinnedLake,
        caller: &Caller,
        sql: &str,
    ) -> Result<PinnedStatement, QueryError> {
        let Parsed { statement, samples } = statement::parse(sql, &caller.sites)?;
        let routing = StatementRouting::new(caller.budget(self.raw_limit));
        let scans = ScanLog::default();
        let state = self.tables.state(lake.clone(), caller.sites.clone(), &routing, &scans);
        let plan = state.statement_to_plan(statement).await?;
        READ_ONLY.verify_plan(&plan).map_err(refused)?;
        plan_size::check(&plan)?;
        let parameters = parameters::fields(&plan)?;
        Ok(PinnedStatement {
            state,
            plan,
            routing,
            samples,
            scans,
            parameters,
            lake,
            sites: caller.sites.clone(),
        })
    }
}

impl PinnedStatement {
    pub(crate) fn bind(self, values: &[ScalarValue]) -> Result<Self, QueryError> {
        Ok(Self {
            plan: parameters::bind(self.plan, &self.parameters, values)?,
            ..self
        })
    }

    pub(crate) fn provenance(self) -> Provenance {
        Provenance::new(self.lake.version(), &self.sites, self.routing, self.samples)
    }

    pub(crate) fn describe(self) -> Result<Description, QueryError> {
        let schema = match analyze(&self.state, self.plan.clone()) {
            Ok(analyzed) => output::schema_of(analyzed.schema().as_arrow()),
            // Types can't be reconciled while a parameter has none.
            Err(_) if self.parameters.iter().any(|p| p.data_type() == &DataType::Null) => {
                output::schema_of(self.plan.schema().as_arrow())
            }
            Err(error) => return Err(error),
        };
        Ok(Description {
            schema,
            parameters: self.parameters,
            version: self.lake.version(),
        })
    }

    pub(crate) async fn physical(&self) -> Result<PhysicalStatement, QueryError> {
        let analyzed = analyze(&self.state, self.plan.clone())?;
        let schema = output::schema_of(analyzed.schema().as_arrow());
        let written = volatility(&analyzed)?;
        let optimized = optimize(&self.state, analyzed)?;
        if !explains(&optimized) {
            self.routing.check()?;
        }
        let plan = self.state.query_planner().create_physical_plan(&optimized, &self.state);
        let plan = plan.await?;
        Ok(PhysicalStatement {
            keeping: self.keeping(&optimized, &schema, written),
            plan: explain::with_routing(plan, &self.routing)?,
            schema,
        })
    }

    /// How the result may be kept, once the scans are planned. `written`: before the time was put into the plan.
    fn keeping(&self, optimized: &LogicalPlan, schema: &SchemaRef, written: Volatility) -> Keeping {
        let Some(files) = self.scans.files().filter(|_| !explains(optimized)) else {
            return Keeping::Never;
        };
        let Ok(contents) = contents(optimized) else {
            return Keeping::Never;
        };
        let fingerprint = || {
            fingerprint(&(
                optimized,
                contents,
                schema.fields(),
                files,
                &self.sites,
                self.lake.definitions(),
            ))
        };
        match written {
            Volatility::Immutable => Keeping::ByText(fingerprint()),
            Volatility::Stable => Keeping::ByPlan(fingerprint()),
            Volatility::Volatile => Keeping::Never,
        }
    }
}

fn explains(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_))
}

/// What tables of a plan hold beside files of the lake, in the plan's order: of tables themselves a plan's hash has only the
/// names.
fn contents(plan: &LogicalPlan) -> Result<Vec<String>, QueryError> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            if let Some(series) = provider.downcast_ref::<GenerateSeriesTable>() {
                found.push(format!("{series:?}"));
            } else if let Some(entries) = provider.downcast_ref::<FunnelEntries>() {
                found.push(format!("{:?}", entries.funnels));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Of the least constant function of a plan.
fn volatility(plan: &LogicalPlan) -> Result<Volatility, QueryError> {
    let mut found = Volatility::Immutable;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr {
                    found = found.max(call.func.signature().volatility);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// With all types reconciled: only then is the schema final.
fn analyze(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan, QueryError> {
    let options = state.config_options();
    Ok(state.analyzer().execute_and_check(plan, options, |_, _| {})?)
}

fn optimize(state: &SessionState, analyzed: LogicalPlan) -> Result<LogicalPlan, QueryError> {
    // EXPLAIN shows what the optimizer does, and only `optimize` records it.
    let optimized = if matches!(analyzed, LogicalPlan::Explain(_)) {
        state.optimize(&analyzed)?
    } else {
        state.optimizer().optimize(analyzed, state, |_, _| {})?
    };
    Ok(by_quarters(optimized)?)
}

fn refused(error: DataFusionError) -> QueryError {
    match QueryError::from(error) {
        QueryError::Invalid(text) => QueryError::Denied(format!("Footfall's SQL is read-only; {text}")),
        other => other,
    }
}
