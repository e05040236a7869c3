//! Events to step rows, and step rows to entries.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, LexOrdering, LexRequirement, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use footfall_funnels::table::{PROGRESS_ORDER, VISITOR};
use footfall_funnels::{Funnel, Matcher, Progress};

use super::stage_exec::{RunningStage, Stage};

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

    fn begin(&self, _: &TaskContext) -> Box<dyn RunningStage> {
        Box::new(Matching(Arc::clone(&self.0)))
    }
}

struct Matching(Arc<Matcher>);

impl RunningStage for Matching {
    fn push(&mut self, events: &RecordBatch) -> Result<RecordBatch> {
        Ok(self.0.rows(events)?)
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        Ok(RecordBatch::new_empty(Arc::clone(self.0.schema())))
    }
}

/// The entries of visitors, each of whom is in one partition with all step rows, in order.
#[derive(Debug)]
pub(super) struct FindEntries {
    funnels: Arc<[Funnel]>,
    schema: SchemaRef,
    visitor: Vec<Arc<dyn PhysicalExpr>>,
    order: Option<LexOrdering>,
}

impl FindEntries {
    /// Over step rows with the columns of `input`.
    pub(super) fn try_new(funnels: Arc<[Funnel]>, schema: SchemaRef, input: &SchemaRef) -> Result<Self> {
        let column = |name: &&str| Ok(Arc::new(Column::new_with_schema(name, input)?) as Arc<dyn PhysicalExpr>);
        let order = PROGRESS_ORDER.iter().map(column);
        let order = order.map(|column| Ok(PhysicalSortExpr::new_default(column?).asc()));
        Ok(Self {
            funnels,
            schema,
            visitor: VISITOR.iter().map(column).collect::<Result<_>>()?,
            order: LexOrdering::new(order.collect::<Result<Vec<_>>>()?),
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
        Distribution::KeyPartitioned(self.visitor.clone())
    }

    fn ordering(&self) -> Option<OrderingRequirements> {
        let order = self.order.clone()?;
        Some(OrderingRequirements::new(LexRequirement::from(order)))
    }

    fn begin(&self, context: &TaskContext) -> Box<dyn RunningStage> {
        Box::new(Finding {
            progress: Progress::new(&self.funnels, Arc::clone(&self.schema)),
            memory: MemoryConsumer::new("FunnelEntries").register(context.memory_pool()),
        })
    }
}

struct Finding {
    progress: Progress,
    memory: MemoryReservation,
}

impl RunningStage for Finding {
    fn push(&mut self, steps: &RecordBatch) -> Result<RecordBatch> {
        let entries = self.progress.push(steps)?;
        self.memory.try_resize(self.progress.memory())?;
        Ok(entries)
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let entries = self.progress.finish()?;
        self.memory.free();
        Ok(entries)
    }
}
