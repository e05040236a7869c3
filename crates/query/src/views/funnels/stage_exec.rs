//! An operator with one input whose computation is a [`Stage`].

use std::fmt::{self, Debug};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, OrderingRequirements, Partitioning, PhysicalExpr,
};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements};
use futures::{Stream, StreamExt};

/// What is computed of each partition of the input.
pub(super) trait Stage: Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// Of its output.
    fn schema(&self) -> &SchemaRef;

    fn distribution(&self) -> Distribution {
        Distribution::UnspecifiedDistribution
    }

    fn ordering(&self) -> Option<OrderingRequirements> {
        None
    }

    fn begin(&self, context: &TaskContext) -> Box<dyn RunningStage>;
}

/// The computation of one partition.
pub(super) trait RunningStage: Send {
    /// Takes the next rows.
    fn push(&mut self, rows: &RecordBatch) -> Result<RecordBatch>;

    /// The input has ended.
    fn finish(&mut self) -> Result<RecordBatch>;
}

#[derive(Debug)]
pub(super) struct StageExec {
    input: Arc<dyn ExecutionPlan>,
    stage: Arc<dyn Stage>,
    properties: Arc<PlanProperties>,
}

impl StageExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, stage: Arc<dyn Stage>) -> Self {
        let partitions = input.properties().partitioning.partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(stage.schema())),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            input,
            stage,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for StageExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => f.write_str(self.stage.name()),
            DisplayFormatType::TreeRender => Ok(()),
        }
    }
}

impl ExecutionPlan for StageExec {
    fn name(&self) -> &'static str {
        "StageExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![self.stage.distribution()])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.stage.ordering()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("{} has one input", self.stage.name());
        };
        Ok(Arc::new(Self::new(input, Arc::clone(&self.stage))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let running = self.stage.begin(&context);
        Ok(Box::pin(StageStream {
            schema: Arc::clone(self.stage.schema()),
            input: Some(self.input.execute(partition, context)?),
            running,
        }))
    }
}

struct StageStream {
    schema: SchemaRef,
    /// `None` after its end.
    input: Option<SendableRecordBatchStream>,
    running: Box<dyn RunningStage>,
}

impl Stream for StageStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while let Some(input) = &mut this.input {
            let rows = match ready!(input.poll_next_unpin(cx)) {
                Some(rows) => this.running.push(&rows?)?,
                None => {
                    this.input = None;
                    this.running.finish()?
                }
            };
            if rows.num_rows() > 0 {
                return Poll::Ready(Some(Ok(rows)));
            }
        }
        Poll::Ready(None)
    }
}

impl RecordBatchStream for StageStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
