//! From SQL text to a stream of Arrow batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SQLOptions;
use footfall_lake::Table;
use footfall_model::access::SiteScope;
use footfall_model::schema;

use crate::admission::Admission;
use crate::answer::{Answer, Running, announced};
use crate::events::{Events, Source};
use crate::session::{self, CATALOG, EVENTS, EngineOptions, SCHEMA};
use crate::{QueryError, guard, placeholders};

/// Names the table's store in plans.
const STORE: &str = "footfall://shard-00/";

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
    source: Source,
    base: SessionState,
    admission: Admission,
    statement_timeout: Duration,
}

impl Engine {
    /// Fails if the spill folder can't be made.
    pub fn new(table: Arc<Table>, options: &EngineOptions) -> Result<Self, QueryError> {
        let runtime = session::runtime(options)?;
        let url = ObjectStoreUrl::parse(STORE)?;
        runtime.register_object_store(url.as_ref(), Arc::clone(table.store()));
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(Arc::clone(table.store()), footers);
        Ok(Self {
            source: Source {
                url,
                reader: Arc::new(reader),
            },
            base: session::base(options, runtime),
            admission: Admission::new(options.concurrent_queries, options.queue_timeout),
            statement_timeout: options.statement_timeout,
            table,
        })
    }

    /// What `sql` will return, without running it.
    pub async fn describe(&self, sites: &SiteScope, sql: &str) -> Result<Description, QueryError> {
        self.describe_bound(sites, sql, &[]).await
    }

    /// As [`Engine::describe`], with parameters bound: their types may decide the columns'.
    pub async fn describe_bound(
        &self,
        sites: &SiteScope,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<Description, QueryError> {
        let (_, plan) = self.plan(sites, sql).await?;
        let wanted = parameter_fields(&plan)?;
        let plan = match parameters.is_empty() {
            true => plan,
            false => bind(plan, &wanted, parameters)?,
        };
        Ok(Description {
            schema: announced(plan.schema().as_arrow()),
            parameters: wanted,
        })
    }

    /// Rows start to flow when the stream is polled; dropping it stops the query. `parameters` bind by position to
    /// `$1`, `$2`… or `?`.
    ///
    /// The stream's errors are [`QueryError`]s inside `DataFusionError::External`; [`QueryError::of`] takes them out.
    pub async fn execute(
        &self,
        sites: &SiteScope,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let running = Running::new(self.admission.enter().await?);
        let (state, plan) = self.plan(sites, sql).await?;
        let plan = bind(plan.clone(), &parameter_fields(&plan)?, parameters)?;
        let schema = announced(plan.schema().as_arrow());
        let physical = state.create_physical_plan(&plan).await?;
        let rows = execute_stream(physical, state.task_ctx())?;
        Ok(Box::pin(Answer::new(
            schema,
            rows,
            self.statement_timeout,
            running.planned(),
        )))
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

    async fn plan(&self, sites: &SiteScope, sql: &str) -> Result<(SessionState, LogicalPlan), QueryError> {
        let statement = guard::parse(&placeholders::number(sql)?)?;
        let events = Events::new(self.table.snapshot(), sites.clone(), self.source.clone());
        let state = session::of_statement(&self.base, Arc::new(events))?;
        let plan = state.statement_to_plan(statement).await?;
        // The second line of defence: the guard has let only reading statements through.
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)?;
        Ok((state, plan))
    }
}

/// `$1` to the highest number that the statement names, in numeric order.
fn parameter_fields(plan: &LogicalPlan) -> Result<Vec<Field>, QueryError> {
    let mut types = BTreeMap::new();
    for (name, data_type) in plan.get_parameter_types()? {
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let number = number.filter(|number| (1..=65_535).contains(number));
        let number =
            number.ok_or_else(|| QueryError::Invalid(format!("{name} is no parameter; write ? or $1, $2…")))?;
        types.insert(number, data_type.unwrap_or(DataType::Null));
    }
    let count = types.keys().last().copied().unwrap_or_default();
    let field = |number| {
        let data_type = types.get(&number).cloned().unwrap_or(DataType::Null);
        Field::new(number.to_string(), data_type, true)
    };
    Ok((1..=count).map(field).collect())
}

fn bind(plan: LogicalPlan, wanted: &[Field], given: &[ScalarValue]) -> Result<LogicalPlan, QueryError> {
    if wanted.len() != given.len() {
        return Err(QueryError::Invalid(format!(
            "the statement has {} parameters, but {} were given",
            wanted.len(),
            given.len()
        )));
    }
    if given.is_empty() {
        return Ok(plan);
    }
    let values = wanted.iter().zip(given).map(|(field, value)| match field.data_type() {
        DataType::Null => Ok(value.clone()),
        data_type if *data_type == value.data_type() => Ok(value.clone()),
        data_type => value.cast_to(data_type).map_err(|_| {
            let (number, given) = (field.name(), value.data_type());
            QueryError::Invalid(format!(
                "parameter {number} is {value} of type {given}, expected {data_type}"
            ))
        }),
    });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    Ok(plan.with_param_values(ParamValues::from(values))?)
}
