//! The operator that merges parts of sessions.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning, PhysicalExpr,
    PhysicalSortExpr,
};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements, PlanProperties,
};
use footfall_sessions::{EventParts, Rule, SessionColumns, Stitcher, part_order};
use futures::{Stream, StreamExt};

const HASH: &str = "client_hash";

/// Merges parts of sessions as they pass: holds one session and one batch.
#[derive(Debug)]
pub(super) struct StitchExec {
    input: Arc<dyn ExecutionPlan>,
    step: Step,
    /// Of the input: by visitor and time.
    order: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
}

#[derive(Debug, Clone)]
enum Step {
    /// Events to parts. Files are sorted, so most events of a session are neighbours; what comes apart is merged above.
    Parts(EventParts),
    /// Parts to sessions.
    Sessions(SessionColumns),
    /// Parts that are whole sessions.
    Settled(SessionColumns),
}

impl StitchExec {
    /// Parts of the events of `input`, one or several for each session.
    pub(super) fn parts(input: Arc<dyn ExecutionPlan>, parts: &EventParts) -> Self {
        Self::new(input, Step::Parts(parts.clone()), None)
    }

    /// Sessions of the parts of `input`, each of which is one.
    pub(super) fn settled(input: Arc<dyn ExecutionPlan>, columns: SessionColumns) -> Self {
        Self::new(input, Step::Settled(columns), None)
    }

    /// Sessions of the parts of `input`.
    pub(super) fn sessions(input: Arc<dyn ExecutionPlan>, columns: SessionColumns) -> Result<Self> {
        let sorted = part_order().map(|name| {
            let column = Column::new_with_schema(name, &input.schema())?;
            Ok(PhysicalSortExpr::new_default(Arc::new(column)).asc())
        });
        let order = LexOrdering::new(sorted.into_iter().collect::<Result<Vec<_>>>()?);
        Ok(Self::new(input, Step::Sessions(columns), order))
    }

    fn new(input: Arc<dyn ExecutionPlan>, step: Step, order: Option<LexOrdering>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(step.schema())),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            input,
            step,
            order,
            properties: Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative)),
        }
    }
}

impl Step {
    fn schema(&self) -> &SchemaRef {
        match self {
            Self::Parts(parts) => parts.schema(),
            Self::Sessions(columns) | Self::Settled(columns) => columns.schema(),
        }
    }

    fn stitcher(&self) -> Stitcher {
        match self {
            Self::Parts(parts) => Stitcher::new(parts, Rule::Parts),
            Self::Sessions(columns) | Self::Settled(columns) => Stitcher::new(columns.parts(), Rule::Sessions),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Parts(_) => "parts",
            Self::Sessions(_) => "sessions",
            Self::Settled(_) => "settled",
        }
    }
}

impl DisplayAs for StitchExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                let schema = self.step.schema();
                let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                write!(f, "StitchExec: {}=[{}]", self.step.name(), columns.join(", "))
            }
            DisplayFormatType::TreeRender => writeln!(f, "{}", self.step.name()),
        }
    }
}

impl ExecutionPlan for StitchExec {
    fn name(&self) -> &'static str {
        "StitchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// All parts of a visitor must be in one partition: its hash suffices.
    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let distribution = match &self.order {
            Some(order) => {
                Distribution::KeyPartitioned(order.iter().map(|by| Arc::clone(&by.expr)).filter(is_hash).collect())
            }
            None => Distribution::UnspecifiedDistribution,
        };
        InputDistributionRequirements::new(vec![distribution])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![self.order.is_some()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut recursion = TreeNodeRecursion::Continue;
        for by in self.order.iter().flat_map(|order| order.iter()) {
            recursion = visit(&by.expr)?;
        }
        Ok(recursion)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("StitchExec has one input");
        };
        Ok(Arc::new(Self::new(input, self.step.clone(), self.order.clone())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("Stitch").register(context.memory_pool());
        Ok(Box::pin(cooperative(StitchStream {
            input: Some(self.input.execute(partition, context)?),
            stitcher: self.step.stitcher(),
            step: self.step.clone(),
            memory,
        })))
    }
}

fn is_hash(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Column>()
        .is_some_and(|column| column.name() == HASH)
}

struct StitchStream {
    /// `None` at the end.
    input: Option<SendableRecordBatchStream>,
    stitcher: Stitcher,
    step: Step,
    memory: MemoryReservation,
}

impl StitchStream {
    fn push(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        // The batch, the state of each row, and what is made of them.
        let rows = match &self.step {
            Step::Settled(_) => 0,
            Step::Parts(_) | Step::Sessions(_) => batch.num_rows().saturating_mul(Stitcher::ROW_BYTES),
        };
        self.memory.try_resize(rows + 2 * batch.get_array_memory_size())?;
        match &self.step {
            Step::Parts(parts) => Ok(self.stitcher.push(&parts.parts_of(batch)?)?),
            Step::Sessions(columns) => Ok(columns.project(&self.stitcher.push(batch)?)?),
            Step::Settled(columns) => Ok(columns.project(batch)?),
        }
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let left = self.stitcher.finish()?;
        self.memory.free();
        match &self.step {
            Step::Parts(_) => Ok(left),
            Step::Sessions(columns) | Step::Settled(columns) => Ok(columns.project(&left)?),
        }
    }
}

impl Stream for StitchStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while let Some(input) = &mut this.input {
            let complete = match ready!(input.poll_next_unpin(cx)) {
                Some(batch) => this.push(&batch?)?,
                None => {
                    this.input = None;
                    this.finish()?
                }
            };
            if complete.num_rows() > 0 {
                return Poll::Ready(Some(Ok(complete)));
            }
        }
        Poll::Ready(None)
    }
}

impl RecordBatchStream for StitchStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.step.schema())
    }
}
