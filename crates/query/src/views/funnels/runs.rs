//! Step rows that don't fit into memory: sorted runs on disk.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::sorts::streaming_merge::{SortedSpillFile, StreamingMergeBuilder};
use footfall_funnels::Progress;
use footfall_funnels::table::PROGRESS_ORDER;
use tokio::task::yield_now;

/// Rows of a batch of a run. Small, since a merge holds some of each run.
const ROWS: usize = 1_024;

/// Batches that are written before the thread is given back.
const BATCHES: usize = 64;

/// The runs of one partition.
pub(super) struct Runs {
    schema: SchemaRef,
    order: LexOrdering,
    spill: SpillManager,
    metrics: ExecutionPlanMetricsSet,
    files: Vec<SortedSpillFile>,
}

impl Runs {
    /// For rows with the columns of `schema`.
    pub(super) fn new(schema: SchemaRef, context: &TaskContext) -> Result<Self> {
        let order = PROGRESS_ORDER.iter().map(|name| {
            let column = Column::new_with_schema(name, &schema)?;
            Ok(PhysicalSortExpr::new_default(Arc::new(column)).asc())
        });
        let order = LexOrdering::new(order.collect::<Result<Vec<_>>>()?);
        let metrics = ExecutionPlanMetricsSet::new();
        let spill = SpillMetrics::new(&metrics, 0);
        Ok(Self {
            order: order.ok_or_else(|| internal_datafusion_err!("step rows have an order"))?,
            spill: SpillManager::new(context.runtime_env(), spill, Arc::clone(&schema)),
            schema,
            metrics,
            files: Vec::new(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes the rows as a run, and forgets them.
    pub(super) async fn write(&mut self, progress: &mut Progress) -> Result<()> {
        let mut file = self.spill.create_in_progress_file("FunnelEntries")?;
        let mut max_record_batch_memory = 0;
        for (number, rows) in progress.take_rows(ROWS, &self.schema).enumerate() {
            max_record_batch_memory = max_record_batch_memory.max(file.append_batch(&rows?)?);
            if number % BATCHES == BATCHES - 1 {
                yield_now().await;
            }
        }
        progress.clear();
        self.files.extend(file.finish()?.map(|file| SortedSpillFile {
            file,
            max_record_batch_memory,
        }));
        Ok(())
    }

    /// The rows of all runs in order.
    pub(super) fn merged(self, memory: MemoryReservation, context: &TaskContext) -> Result<SendableRecordBatchStream> {
        StreamingMergeBuilder::new()
            .with_sorted_spill_files(self.files)
            .with_spill_manager(self.spill)
            .with_schema(self.schema)
            .with_expressions(&self.order)
            .with_metrics(BaselineMetrics::new(&self.metrics, 0))
            .with_batch_size(context.session_config().batch_size())
            .with_reservation(memory)
            .build()
    }
}
