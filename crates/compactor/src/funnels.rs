//! Step rows as segments: of each merged file, the events that match a step of a funnel.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use footfall_funnels::coverage::Coverage;
use footfall_funnels::table::funnel_steps;
use footfall_funnels::{FunnelDefinitions, Matcher};
use footfall_model::table::{SpecError, TableSpec};

use crate::{Rows, SegmentBuilder, SegmentKind};

/// The segments of the funnels that are known when a merge begins.
#[derive(Debug, Clone)]
pub struct FunnelSegments(pub Arc<FunnelDefinitions>);

/// A row leaves at once: the rows have the order of their events.
#[derive(Debug)]
struct StepBuilder {
    matcher: Matcher,
    coverage: Coverage,
}

impl SegmentKind for FunnelSegments {
    fn tables(&self) -> Result<Vec<Arc<TableSpec>>, SpecError> {
        Ok(vec![Arc::clone(funnel_steps())])
    }

    fn builder(&self) -> Result<Box<dyn SegmentBuilder>, SpecError> {
        let set = self.0.current();
        Ok(Box::new(StepBuilder {
            matcher: Matcher::new(&set.funnels, Arc::clone(funnel_steps().file_schema())),
            coverage: Coverage {
                catalog: set.catalog.clone(),
                after: 0,
                up_to: set.revision,
            },
        }))
    }
}

impl SegmentBuilder for StepBuilder {
    fn push(&mut self, events: &RecordBatch, rows: &mut Rows) -> Result<(), ArrowError> {
        let steps = self.matcher.rows(events)?;
        if steps.num_rows() > 0 {
            rows.push(0, steps);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Rows) -> Result<(), ArrowError> {
        Ok(())
    }

    fn tags(&self) -> Vec<(String, String)> {
        vec![self.coverage.tag()]
    }
}
