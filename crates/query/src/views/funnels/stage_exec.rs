//! An operator with one input whose computation is a [`Stage`].

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements};

use super::stages::Batches;

/// What is computed of each partition of the input.
pub(super) trait Stage: Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// Of its output.
    fn schema(&self) -> &SchemaRef;

    fn distribution(&self) -> Distribution {
        Distribution::UnspecifiedDistribution
    }

    /// The output of one partition of the input.
    fn run(&self, input: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Batches;
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
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let output = self.stage.run(input, &context);
        let schema = Arc::clone(self.stage.schema());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, output)))
    }
}
