//! Events to step rows, and step rows to entries.

use std::future::ready;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use footfall_funnels::table::VISITOR;
use footfall_funnels::{Funnel, Matcher, Progress};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};

use super::runs::Runs;
use super::stage_exec::Stage;

/// Rows of which entries are made at a time.
const ROWS: usize = 16_384;

pub(super) type Batches = BoxStream<'static, Result<RecordBatch>>;

/// The events that match a step.
#[derive(Debug)]
pub(super) struct MatchSteps(pub(super) Arc<Matcher>);

impl Stage for MatchSteps {
    fn name(&self) -> &'static str {
        "FunnelStepsExec"
    }

    fn schema(&self) -> &SchemaRef {
        self.0.schema()
    }

    fn run(&self, events: SendableRecordBatchStream, _: &Arc<TaskContext>) -> Batches {
        let matcher = Arc::clone(&self.0);
        let steps = events.map(move |events| Ok(matcher.rows(&events?)?));
        not_empty(steps.boxed())
    }
}

/// The entries of visitors, each of whom is in one partition with all step rows, in any order.
///
/// Rows are sorted in memory, by numbers alone. Those that don't fit are written and merged.
#[derive(Debug)]
pub(super) struct FindEntries {
    funnels: Arc<[Funnel]>,
    schema: SchemaRef,
    visitor: Arc<dyn PhysicalExpr>,
}

impl FindEntries {
    /// Over step rows with the columns of `input`.
    pub(super) fn try_new(funnels: Arc<[Funnel]>, schema: SchemaRef, input: &SchemaRef) -> Result<Self> {
        Ok(Self {
            funnels,
            schema,
            visitor: Arc::new(Column::new_with_schema(VISITOR, input)?),
        })
    }
}

impl Stage for FindEntries {
    fn name(&self) -> &'static str {
        "FunnelEntriesExec"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn distribution(&self) -> Distribution {
        Distribution::KeyPartitioned(vec![Arc::clone(&self.visitor)])
    }

    fn run(&self, steps: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Batches {
        let found = find(
            Progress::new(&self.funnels, Arc::clone(&self.schema)),
            steps,
            Arc::clone(context),
        );
        not_empty(stream::once(found).try_flatten().boxed())
    }
}

fn not_empty(batches: Batches) -> Batches {
    batches.try_filter(|rows| ready(rows.num_rows() > 0)).boxed()
}

/// The entries in `steps`.
async fn find(
    mut progress: Progress,
    mut steps: SendableRecordBatchStream,
    context: Arc<TaskContext>,
) -> Result<Batches> {
    let memory = MemoryConsumer::new("FunnelEntries").register(context.memory_pool());
    let most = share(&context);
    let mut runs = Runs::new(steps.schema(), &context)?;
    while let Some(rows) = steps.next().await {
        progress.push(&rows?)?;
        if progress.memory() > most || memory.try_resize(progress.memory()).is_err() {
            runs.write(&mut progress).await?;
            memory.resize(0);
        }
    }
    if runs.is_empty() {
        let next = async |(mut progress, memory): (Progress, _)| {
            Ok(progress.entries(ROWS)?.map(|found| (found, (progress, memory))))
        };
        return Ok(stream::try_unfold((progress, memory), next).boxed());
    }
    runs.write(&mut progress).await?;
    memory.resize(0);
    let rows = runs.merged(memory.new_empty(), &context)?;
    Ok(entries_in_order(progress, memory, rows))
}

/// Bytes that one of a statement's parts may collect: together they leave a third of its memory to other operators.
fn share(context: &TaskContext) -> usize {
    let config = context.session_config();
    match context.memory_pool().memory_limit() {
        MemoryLimit::Finite(limit) => limit / 3 * 2 / config.target_partitions().max(1),
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    }
}

/// The entries in rows that come by visitor.
fn entries_in_order(progress: Progress, memory: MemoryReservation, steps: SendableRecordBatchStream) -> Batches {
    let next = async |(mut progress, memory, mut steps): (Progress, MemoryReservation, SendableRecordBatchStream)| {
        let found = match steps.next().await.transpose()? {
            Some(rows) => {
                progress.push(&rows)?;
                memory.try_resize(progress.memory())?;
                Some(progress.entries_of_ended()?)
            }
            None => progress.entries(usize::MAX)?,
        };
        Ok(found.map(|found| (found, (progress, memory, steps))))
    };
    stream::try_unfold((progress, memory, steps), next).boxed()
}
