//! The segments that sessions are stitched together from.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use footfall_model::table::{SpecError, TableSpec};
use footfall_sessions::{EventParts, Rule, Stitcher, session_parts};

use crate::{Rows, SegmentBuilder, SegmentKind};

/// The segments of `session_parts`: the pieces of sessions that a file holds.
#[derive(Debug, Clone, Copy)]
pub struct SessionSegments;

impl SegmentKind for SessionSegments {
    fn tables(&self) -> Result<Vec<Arc<TableSpec>>, SpecError> {
        Ok(vec![Arc::clone(session_parts())])
    }

    fn builder(&self) -> Result<Box<dyn SegmentBuilder>, SpecError> {
        let parts = EventParts::whole();
        Ok(Box::new(SessionParts {
            stitcher: Stitcher::new(&parts, Rule::Parts),
            parts,
        }))
    }
}

/// Holds one part. Events come by visitor and time, so parts are complete in the order of their starts.
#[derive(Debug)]
struct SessionParts {
    parts: EventParts,
    stitcher: Stitcher,
}

impl SegmentBuilder for SessionParts {
    fn push(&mut self, events: &RecordBatch, rows: &mut Rows) -> Result<(), ArrowError> {
        let complete = self.stitcher.push(&self.parts.parts_of(events)?)?;
        if complete.num_rows() > 0 {
            rows.push(0, complete);
        }
        Ok(())
    }

    fn finish(&mut self, rows: &mut Rows) -> Result<(), ArrowError> {
        rows.push(0, self.stitcher.finish()?);
        Ok(())
    }
}
