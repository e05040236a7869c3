//! From SQL text to a stream of Arrow batches.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use footfall_lake::Table;
use footfall_model::access::SiteScope;
use footfall_model::schema;
use tokio::time::{timeout, timeout_at};

use crate::catalog::{CATALOG, EVENTS, Lake, SCHEMA};
use crate::query_stream::{Outcome, QueryStream, Work, too_long};
use crate::session::{self, SessionFactory};
use crate::slots::Slots;
use crate::stack::with_room;
use crate::table::{LakeTable, TableReader};
use crate::workers::Workers;
use crate::{EngineOptions, QueryError, output, parameters, statement};

/// DataFusion's own check, behind [`statement::parse`]'s.
static READ_ONLY: LazyLock<SQLOptions> = LazyLock::new(|| {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
});

/// What a statement will return and wants bound.
#[derive(Debug, Clone)]
pub struct Description {
    /// Exactly the schema of the stream that `execute` returns.
    pub schema: SchemaRef,
    /// One field a parameter, in order, named "1", "2"…; of type `Null` where it can't be told.
    pub parameters: Vec<Field>,
}

/// A table that SQL can name.
#[derive(Debug, Clone)]
pub struct TableInfo {
    pub catalog: String,
    pub schema: String,
    pub name: String,
    /// `TABLE` or `VIEW`.
    pub kind: &'static str,
    pub columns: SchemaRef,
}

/// Runs read-only SQL, each statement over one pinned snapshot and the caller's sites alone.
#[derive(Debug)]
pub struct Engine {
    table: Arc<Table>,
    reader: Arc<TableReader>,
    sessions: SessionFactory,
    slots: Slots,
    workers: Workers,
    statement_timeout: Duration,
}

/// A statement over the snapshot that it will keep.
struct Planned {
    state: SessionState,
    plan: LogicalPlan,
    parameters: Vec<Field>,
}

impl Engine {
    /// Over the newest snapshots of `table`. Fails if the spill folder can't be made or cleared.
    pub fn new(table: Arc<Table>, options: &EngineOptions) -> Result<Self, QueryError> {
        let runtime = session::runtime(table.store(), options)?;
        Ok(Self {
            reader: Arc::new(TableReader::new(
                footfall_model::table::events(),
                table.store(),
                &runtime,
            )?),
            sessions: SessionFactory::new(runtime, options),
            slots: Slots::new(options.concurrent_queries, options.queue_timeout),
            workers: Workers::new(options.target_partitions)?,
            statement_timeout: options.statement_timeout,
            table,
        })
    }

    /// What `sql` returns. Where it depends on the type of a parameter that can't be told, see
    /// [`Engine::describe_bound`].
    pub async fn describe(&self, sites: &SiteScope, sql: &str) -> Result<Description, QueryError> {
        let work = async {
            let Planned {
                state,
                plan,
                parameters,
            } = self.plan(sites, sql).await?;
            let schema = match analyze(&state, plan.clone()) {
                Ok(analyzed) => output::schema_of(analyzed.schema().as_arrow()),
                // Types can't be reconciled before the parameters have any.
                Err(_) if parameters.iter().any(|p| p.data_type() == &DataType::Null) => {
                    output::schema_of(plan.schema().as_arrow())
                }
                Err(error) => return Err(error),
            };
            Ok(Description { schema, parameters })
        };
        self.in_time(Box::pin(work)).await
    }

    /// What `sql` returns once these values are bound: exactly the schema of [`Engine::execute`] with them.
    pub async fn describe_bound(
        &self,
        sites: &SiteScope,
        sql: &str,
        values: &[ScalarValue],
    ) -> Result<Description, QueryError> {
        let work = async {
            let planned = self.plan(sites, sql).await?;
            let bound = parameters::bind(planned.plan, &planned.parameters, values)?;
            let schema = output::schema_of(analyze(&planned.state, bound)?.schema().as_arrow());
            Ok(Description {
                schema,
                parameters: planned.parameters,
            })
        };
        self.in_time(Box::pin(work)).await
    }

    /// Rows start to flow when the stream is polled; dropping it stops the query. `parameters` bind by position to
    /// `$1`, `$2`… or `?`. The stream's errors are [`QueryError`]s: take them out with `QueryError::from`.
    pub async fn execute(
        &self,
        sites: &SiteScope,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let slot = self
            .slots
            .acquire()
            .await
            .inspect_err(|error| Outcome::begin().failed(error))?;
        let mut outcome = Outcome::begin();
        let deadline = outcome.began() + self.statement_timeout;
        let begun = timeout_at(deadline, Box::pin(with_room(self.begin(sites, sql, parameters)))).await;
        let (rows, schema) = begun
            .unwrap_or_else(|_| Err(too_long(self.statement_timeout)))
            .inspect_err(|error| outcome.failed(error))?;
        let work = Work {
            rows,
            outcome,
            _slot: slot,
        };
        Ok(QueryStream::start(work, schema, self.statement_timeout))
    }

    /// The tables that SQL can name.
    pub fn tables(&self) -> Vec<TableInfo> {
        vec![TableInfo {
            catalog: CATALOG.into(),
            schema: SCHEMA.into(),
            name: EVENTS.into(),
            kind: "TABLE",
            columns: schema::events(),
        }]
    }

    async fn begin(
        &self,
        sites: &SiteScope,
        sql: &str,
        values: &[ScalarValue],
    ) -> Result<(SendableRecordBatchStream, SchemaRef), QueryError> {
        let Planned {
            state,
            plan,
            parameters,
        } = self.plan(sites, sql).await?;
        let bound = parameters::bind(plan, &parameters, values)?;
        let analyzed = analyze(&state, bound)?;
        let schema = output::schema_of(analyzed.schema().as_arrow());
        let physical = physical(&state, analyzed).await?;
        Ok((self.workers.run(physical, state.task_ctx()), schema))
    }

    async fn plan(&self, sites: &SiteScope, sql: &str) -> Result<Planned, QueryError> {
        let statement = statement::parse(sql, sites)?;
        let events = LakeTable::new(self.table.snapshot(), sites.clone(), Arc::clone(&self.reader));
        let state = self.sessions.state(Lake {
            events: Arc::new(events),
        });
        let plan = state.statement_to_plan(statement).await?;
        READ_ONLY.verify_plan(&plan).map_err(refused)?;
        let parameters = parameters::fields(&plan)?;
        Ok(Planned {
            state,
            plan,
            parameters,
        })
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        let limit = self.statement_timeout;
        timeout(limit, with_room(work))
            .await
            .unwrap_or_else(|_| Err(too_long(limit)))
    }
}

/// With all types reconciled: only now is the schema final.
fn analyze(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan, QueryError> {
    let options = state.config_options();
    Ok(state.analyzer().execute_and_check(plan, options, |_, _| {})?)
}

async fn physical(state: &SessionState, analyzed: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
    // EXPLAIN records what the optimizer does, and only `optimize` knows how.
    let optimized = if matches!(analyzed, LogicalPlan::Explain(_)) {
        state.optimize(&analyzed)?
    } else {
        state.optimizer().optimize(analyzed, state, |_, _| {})?
    };
    Ok(state.query_planner().create_physical_plan(&optimized, state).await?)
}

fn refused(error: DataFusionError) -> QueryError {
    match QueryError::from(error) {
        QueryError::Invalid(text) => QueryError::Denied(format!("Footfall's SQL is read-only; {text}")),
        other => other,
    }
}
