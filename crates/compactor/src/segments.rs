//! Segments: the files of other tables that each cover one file of events and bear its name.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use footfall_model::rollup::Rollup;
use footfall_model::table::{SpecError, TableSpec};

use crate::aggregate::Aggregation;

/// What the compactor keeps beside the merged events: one or several tables of segments.
pub trait SegmentKind: Debug + Send + Sync {
    /// The tables, in the order in which [`Rows`] has them.
    ///
    /// # Errors
    /// A declaration is not a valid table.
    fn tables(&self) -> Result<Vec<Arc<TableSpec>>, SpecError>;

    /// Whether segments are kept when the events that they cover reach the end of their time.
    fn outlives_events(&self) -> bool {
        false
    }

    /// A builder for the files of one merge.
    ///
    /// # Errors
    /// As [`SegmentKind::tables`].
    fn builder(&self) -> Result<Box<dyn SegmentBuilder>, SpecError>;
}

/// Builds the segments that cover one file of events after the other.
pub trait SegmentBuilder: Debug + Send {
    /// Adds the file's next events: of the schema of `events` files, in their order, each event once. Appends the rows
    /// that are complete.
    ///
    /// # Errors
    /// The events are of another schema.
    fn push(&mut self, events: &RecordBatch, rows: &mut Rows) -> Result<(), ArrowError>;

    /// The file ends: appends the rows that are left. The next events begin a new file.
    ///
    /// # Errors
    /// Arrow's.
    fn finish(&mut self, rows: &mut Rows) -> Result<(), ArrowError>;

    /// Tags of the segments' files, for who reads them.
    fn tags(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Rows of segments that are complete, in the order of each table.
#[derive(Debug)]
pub struct Rows(Vec<Vec<RecordBatch>>);

impl Rows {
    /// No rows of `tables` tables.
    pub fn new(tables: usize) -> Self {
        Self(vec![Vec::new(); tables])
    }

    /// Appends to the table with this index.
    pub fn push(&mut self, table: usize, rows: RecordBatch) {
        self.0[table].push(rows);
    }

    /// The number of tables.
    pub fn tables(&self) -> usize {
        self.0.len()
    }

    /// Takes what has been appended, by table.
    pub fn take(&mut self) -> Vec<Vec<RecordBatch>> {
        self.0.iter_mut().map(std::mem::take).collect()
    }
}

/// The segments of rollups: all of them are aggregated together.
#[derive(Debug, Clone)]
pub struct RollupSegments(pub Vec<Rollup>);

impl SegmentKind for RollupSegments {
    fn tables(&self) -> Result<Vec<Arc<TableSpec>>, SpecError> {
        self.0.iter().map(|rollup| rollup.table().map(Arc::new)).collect()
    }

    fn outlives_events(&self) -> bool {
        true
    }

    fn builder(&self) -> Result<Box<dyn SegmentBuilder>, SpecError> {
        Ok(Box::new(Aggregation::new(&self.0)?))
    }
}
