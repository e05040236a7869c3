//! From SQL text to a physical plan over one pinned snapshot.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use crate::caller::Caller;
use crate::pins::Pins;
use crate::public_tables::PublicTables;
use crate::quarter_hours::by_quarters;
use crate::routing::StatementRouting;
use crate::segments::PinnedLake;
use crate::statement::Parsed;
use crate::{QueryError, explain, output, parameters, plan_size, statement};

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
}

/// A statement and the snapshot that it keeps.
pub(crate) struct PinnedStatement {
    pub(crate) state: SessionState,
    plan: LogicalPlan,
    pub(crate) routing: StatementRouting,
    pub(crate) samples: Vec<f64>,
    parameters: Vec<Field>,
    pub(crate) version: u64,
}

impl Planner {
    pub(crate) async fn prepare(
        &self,
        lake: PinnedLake,
        caller: &Caller,
        sql: &str,
    ) -> Result<PinnedStatement, QueryError> {
        let Parsed { statement, samples } = statement::parse(sql, &caller.sites)?;
        let version = lake.version();
        let routing = StatementRouting::new(caller.routing);
        let state = self.tables.state(lake, caller.sites.clone(), &routing);
        let plan = state.statement_to_plan(statement).await?;
        READ_ONLY.verify_plan(&plan).map_err(refused)?;
        plan_size::check(&plan)?;
        let parameters = parameters::fields(&plan)?;
        Ok(PinnedStatement {
            state,
            plan,
            routing,
            samples,
            parameters,
            version,
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
            version: self.version,
        })
    }

    pub(crate) async fn physical(&self) -> Result<(Arc<dyn ExecutionPlan>, SchemaRef), QueryError> {
        let analyzed = analyze(&self.state, self.plan.clone())?;
        let schema = output::schema_of(analyzed.schema().as_arrow());
        let plan = physical(&self.state, analyzed).await?;
        Ok((explain::with_routing(plan, &self.routing)?, schema))
    }
}

/// With all types reconciled: only then is the schema final.
fn analyze(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan, QueryError> {
    let options = state.config_options();
    Ok(state.analyzer().execute_and_check(plan, options, |_, _| {})?)
}

async fn physical(state: &SessionState, analyzed: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
    // EXPLAIN shows what the optimizer does, and only `optimize` records it.
    let optimized = if matches!(analyzed, LogicalPlan::Explain(_)) {
        state.optimize(&analyzed)?
    } else {
        state.optimizer().optimize(analyzed, state, |_, _| {})?
    };
    let optimized = by_quarters(optimized)?;
    Ok(state.query_planner().create_physical_plan(&optimized, state).await?)
}

fn refused(error: DataFusionError) -> QueryError {
    match QueryError::from(error) {
        QueryError::Invalid(text) => QueryError::Denied(format!("Footfall's SQL is read-only; {text}")),
        other => other,
    }
}
