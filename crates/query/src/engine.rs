//! From SQL text to a stream of Arrow batches.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use footfall_lake::{Lake, Table};
use footfall_model::access::SiteScope;
use footfall_model::clock::Clock;
use footfall_model::table;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::caller::Caller;
use crate::control::Control;
use crate::cooperative::cooperative;
use crate::descriptions::{DescriptionKey, Descriptions};
use crate::governor::{Governed, Producer, Times, too_long};
use crate::memory::SharedMemory;
use crate::pins::Pins;
use crate::planner::{Description, PhysicalStatement, Planner};
use crate::public_tables::{PublicTables, TableInfo};
use crate::query_stream::{QueryStream, StatementOutcome};
use crate::result_cache::{Found, Keeping, ResultCache, Rows, StatementKey};
use crate::segments::LakeTables;
use crate::session::{self, SessionFactory};
use crate::slots::{Admission, Slot, Slots};
use crate::stack::planning;
use crate::system::QueryLog;
use crate::workers::Workers;
use crate::{EngineOptions, Provenance, QueryError, Views, system, views};

/// The rows of a statement, and where they come from.
pub struct Answer {
    /// Rows flow when it is polled; dropping it stops the query. Its errors are [`QueryError`]s: extract them with
    /// `QueryError::from`.
    pub rows: SendableRecordBatchStream,
    pub provenance: Provenance,
}

/// Runs read-only SQL, each statement over one pinned snapshot and only the caller's sites.
#[derive(Debug)]
pub struct Engine {
    planner: Arc<Planner>,
    /// Of the tables and views of every lake.
    infos: Vec<TableInfo>,
    slots: Slots,
    workers: Workers,
    memory: Arc<SharedMemory>,
    times: Times,
    queries: Arc<QueryLog>,
    results: ResultCache,
    descriptions: Descriptions,
    /// For callers who want none.
    no_results: ResultCache,
    clock: Arc<dyn Clock>,
}

/// What a statement holds from its beginning.
struct Begun {
    control: Arc<Control>,
    admission: Admission,
    slot: Slot,
    at: Instant,
}

/// Stops a statement that is still being planned when its caller is gone.
struct StopOnDrop(Option<Arc<Control>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(control) = &self.0 {
            control.stop(QueryError::Cancelled);
        }
    }
}

impl Engine {
    /// Over the newest snapshots of `events`, without views.
    ///
    /// # Errors
    /// As [`Engine::with_views`].
    pub fn new(events: Arc<Table>, options: &EngineOptions) -> Result<Self, QueryError> {
        Self::over(events, Vec::new(), None, Views::default(), options)
    }

    /// Over the newest snapshots of the lake's tables, with the views over its segments.
    ///
    /// # Errors
    /// The lake was opened without a table of them; the spill folder can't be created or cleared.
    pub fn with_views(lake: &Lake, views: Views, options: &EngineOptions) -> Result<Self, QueryError> {
        let (events, segments): (Vec<_>, Vec<_>) = lake
            .fixed_tables()
            .map(Arc::clone)
            .partition(|table| table.spec().name() == table::events().name());
        let events = events.into_iter().next();
        let events = events.ok_or_else(|| QueryError::Internal("the lake was opened without its events".into()))?;
        Self::over(events, segments, Some(lake), views, options)
    }

    fn over(
        events: Arc<Table>,
        segments: Vec<Arc<Table>>,
        configured: Option<&Lake>,
        views: Views,
        options: &EngineOptions,
    ) -> Result<Self, QueryError> {
        let runtime = session::runtime(events.store(), options)?;
        let sessions = SessionFactory::new(Arc::clone(&runtime), options);
        let funnels = views.funnels.clone().unwrap_or_default();
        let tables = LakeTables::new(
            events,
            segments,
            views.rollups(),
            configured,
            funnels,
            sessions,
            &runtime,
        )?;
        let queries = Arc::<QueryLog>::default();
        let tables = PublicTables::new(tables, views::all(&views), views.compactions, Arc::clone(&queries));
        Ok(Self {
            infos: tables.infos()?,
            planner: Arc::new(Planner {
                tables: Arc::new(tables),
                runtime,
                pins: Pins::default(),
                raw_limit: options.raw_limit,
            }),
            slots: Slots::new(options.limits()),
            workers: Workers::new(options.threads())?,
            memory: SharedMemory::new(options.memory_bytes),
            times: Times {
                statement: options.statement_timeout,
                idle: options.idle_timeout,
            },
            queries,
            results: ResultCache::new(options.result_cache_bytes),
            descriptions: Descriptions::default(),
            no_results: ResultCache::new(0),
            clock: Arc::clone(&options.clock),
        })
    }

    /// The description of `sql`. Where it depends on the type of a parameter that can't be inferred, see
    /// [`Engine::describe_bound`].
    pub async fn describe(&self, caller: impl Into<Caller>, sql: &str) -> Result<Description, QueryError> {
        let caller = caller.into();
        let lake = self.planner.pins.pin(self.planner.tables.pin());
        let key = DescriptionKey::new(sql, &[], &caller.sites, &lake);
        let work = |planner: Arc<Planner>, caller: Caller, sql: Arc<str>| async move {
            planner.prepare(lake, &caller, &sql).await?.describe()
        };
        let described = self.planned(caller, sql, work).await?;
        // With parameters it can't be run as it is.
        if described.parameters.is_empty() {
            self.descriptions.insert(key, &described.schema);
        }
        Ok(described)
    }

    /// The description of `sql` with these values bound: exactly the schema of [`Engine::execute`] with them.
    pub async fn describe_bound(
        &self,
        caller: impl Into<Caller>,
        sql: &str,
        values: &[ScalarValue],
    ) -> Result<Description, QueryError> {
        let caller = caller.into();
        let lake = self.planner.pins.pin(self.planner.tables.pin());
        let key = DescriptionKey::new(sql, values, &caller.sites, &lake);
        let values = values.to_vec();
        let work = |planner: Arc<Planner>, caller: Caller, sql: Arc<str>| async move {
            let prepared = planner.prepare(lake, &caller, &sql).await?;
            prepared.bind(&values)?.describe()
        };
        let described = self.planned(caller, sql, work).await?;
        self.descriptions.insert(key, &described.schema);
        Ok(described)
    }

    /// The columns of a statement with these values that was described lately, and the version of the lake that it would be
    /// run over: what [`Engine::describe_bound`] says, without planning. `None` if it was not described.
    pub fn describe_known(
        &self,
        caller: impl Into<Caller>,
        sql: &str,
        values: &[ScalarValue],
    ) -> Option<(SchemaRef, u64)> {
        let lake = self.planner.pins.pin(self.planner.tables.pin());
        let key = DescriptionKey::new(sql, values, &caller.into().sites, &lake);
        Some((self.descriptions.get(&key)?, lake.version()))
    }

    /// Rows flow when the stream is polled; dropping it stops the query. `parameters` bind by position to `$1`, `$2`…
    /// or `?`. The stream's errors are [`QueryError`]s: extract them with `QueryError::from`.
    pub async fn execute(
        &self,
        caller: impl Into<Caller>,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let answer = self.execute_at(caller, sql, parameters, None).await?;
        Ok(answer.rows)
    }

    /// As [`Engine::execute`], over the version of the lake that the statement was described over, or over the newest
    /// one if that was too long ago.
    pub async fn execute_at(
        &self,
        caller: impl Into<Caller>,
        sql: &str,
        parameters: &[ScalarValue],
        version: Option<u64>,
    ) -> Result<Answer, QueryError> {
        let caller = caller.into();
        let (log, token) = (Arc::clone(&self.queries), Arc::clone(&caller.token));
        let mut outcome = StatementOutcome::begin(log, self.clock.now(), token, sql);
        let lake = self.planner.pins.at(version, || self.planner.tables.pin());
        let key = StatementKey::new(sql, parameters, &caller, &lake);
        let results = if caller.cache { &self.results } else { &self.no_results };
        let lead = match results.find(&key).await {
            Found::Rows(rows, provenance) => return Ok(answered(&rows, Provenance::clone(&provenance), outcome)),
            Found::Nothing(lead) => lead,
        };
        let values = parameters.to_vec();
        let begun = self.begin(&caller).await.inspect_err(|error| outcome.failed(error))?;
        let control = Arc::clone(&begun.control);
        let work = |planner: Arc<Planner>, caller: Caller, sql: Arc<str>| async move {
            let prepared = planner.prepare(lake, &caller, &sql).await?.bind(&values)?;
            let physical = prepared.physical().await?;
            let context = TaskContext::from(&prepared.state);
            let plan = cooperative(Arc::clone(&physical.plan), &control)?;
            Ok((physical, plan, context, prepared.provenance()))
        };
        let planned = self.plan(begun, caller, sql, work).await;
        let (begun, (physical, plan, context, provenance)) = planned.inspect_err(|error| outcome.failed(error))?;
        let PhysicalStatement { schema, keeping, .. } = physical;
        if let Some(rows) = results.planned(&key, keeping, &provenance) {
            return Ok(answered(&rows, provenance, outcome));
        }
        // Nobody waits for what is not kept.
        let lead = lead.filter(|_| keeping != Keeping::Never);
        outcome.planned(Arc::clone(&plan), provenance.clone());
        let rows = self.run(begun, plan, context, schema, outcome);
        let rows = results.keep(&key, keeping, rows).await;
        drop(lead);
        Ok(Answer { rows, provenance })
    }

    fn run(
        &self,
        begun: Begun,
        plan: Arc<dyn ExecutionPlan>,
        context: TaskContext,
        schema: SchemaRef,
        outcome: StatementOutcome,
    ) -> SendableRecordBatchStream {
        let (state, producer) = watch::channel(Producer::Computing);
        let rows = self.workers.run(plan, self.with_memory(context), state);
        let governed = Governed {
            control: begun.control,
            admission: begun.admission,
            producer,
            times: self.times,
            computed: begun.at.elapsed(),
        };
        QueryStream::start(rows, schema, outcome, governed, begun.slot)
    }

    /// The tables that a caller's SQL can name.
    pub fn tables(&self, sites: &SiteScope) -> Vec<TableInfo> {
        let named = |info: &&TableInfo| *sites == SiteScope::All || info.schema != system::SCHEMA;
        let configured = self.planner.tables.configured_infos(sites);
        self.infos.iter().filter(named).cloned().chain(configured).collect()
    }

    /// Whether no statement holds a thread or memory.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.memory.used() == 0 && self.workers.tasks() == 0
    }

    /// The context with the statement's own share of the memory.
    fn with_memory(&self, context: TaskContext) -> Arc<TaskContext> {
        let runtime = RuntimeEnv {
            memory_pool: self.memory.statement(),
            ..RuntimeEnv::clone(&self.planner.runtime)
        };
        Arc::new(context.with_runtime(Arc::new(runtime)))
    }

    async fn begin(&self, caller: &Caller) -> Result<Begun, QueryError> {
        let (admission, slot) = self.slots.begin(&caller.token).await?;
        Ok(Begun {
            control: Arc::default(),
            admission,
            slot,
            at: Instant::now(),
        })
    }

    async fn planned<T, W>(
        &self,
        caller: Caller,
        sql: &str,
        work: impl FnOnce(Arc<Planner>, Caller, Arc<str>) -> W,
    ) -> Result<T, QueryError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let begun = self.begin(&caller).await?;
        let (_, planned) = self.plan(begun, caller, sql, work).await?;
        Ok(planned)
    }

    /// Plans on a query thread, within the statement's time. `begun` stays with the work until it ends, even if the
    /// caller has gone.
    async fn plan<T, W>(
        &self,
        begun: Begun,
        caller: Caller,
        sql: &str,
        work: impl FnOnce(Arc<Planner>, Caller, Arc<str>) -> W,
    ) -> Result<(Begun, T), QueryError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let deadline = begun.at + self.times.statement;
        let control = Arc::clone(&begun.control);
        let mut stop = StopOnDrop(Some(Arc::clone(&control)));
        let work = work(Arc::clone(&self.planner), caller, sql.into());
        let work = planning(Arc::clone(&control), Box::pin(work));
        let detached = self.workers.detached(async move { (begun, work.await) });
        match timeout_at(deadline, detached).await {
            Ok(done) => {
                let (begun, planned) = done?;
                stop.0 = None;
                Ok((begun, planned?))
            }
            Err(_) => {
                control.stop(too_long(self.times.statement));
                Err(too_long(self.times.statement))
            }
        }
    }
}

/// A kept result.
fn answered(rows: &Rows, provenance: Provenance, mut outcome: StatementOutcome) -> Answer {
    let provenance = provenance.of_kept_result();
    outcome.answered(rows.count(), provenance.clone());
    Answer {
        rows: rows.stream(),
        provenance,
    }
}
