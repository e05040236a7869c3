//! A running statement as its client sees it: rows, an end or an error.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::ExecutionPlan;
use footfall_model::clock::Micros;
use futures::{Stream, StreamExt};
use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::control::Control;
use crate::governor::{Governed, govern};
use crate::slots::Slot;
use crate::system::{QueryLog, QueryRecord};
use crate::{Provenance, QueryError, output};

/// How a statement ended, and when it began; counted and recorded when dropped.
#[derive(Debug)]
pub(crate) struct StatementOutcome {
    began: Instant,
    record: QueryRecord,
    log: Arc<QueryLog>,
    planned: Option<Planned>,
    cached: Option<Provenance>,
}

/// What is known of a statement once it is planned.
#[derive(Debug)]
struct Planned {
    plan: Arc<dyn ExecutionPlan>,
    provenance: Provenance,
}

impl StatementOutcome {
    /// Until another end is recorded, the client went away.
    pub(crate) fn begin(log: Arc<QueryLog>, started_at: Micros, token_id: Arc<str>, sql: &str) -> Self {
        Self {
            began: Instant::now(),
            record: QueryRecord {
                started_at,
                token_id,
                sql: QueryLog::kept(sql),
                status: "cancelled",
                ..QueryRecord::default()
            },
            log,
            planned: None,
            cached: None,
        }
    }

    pub(crate) fn planned(&mut self, plan: Arc<dyn ExecutionPlan>, provenance: Provenance) {
        self.planned = Some(Planned { plan, provenance });
    }

    /// A kept result was returned, of so many rows.
    pub(crate) fn answered(&mut self, rows: u64, provenance: Provenance) {
        counter!("footfall_query_rows_total").increment(rows);
        self.record.rows = rows;
        self.record.status = "ok";
        self.cached = Some(provenance);
    }

    pub(crate) fn failed(&mut self, error: &QueryError) {
        self.record.status = error.status();
    }
}

impl Drop for StatementOutcome {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        histogram!("footfall_query_seconds", "status" => self.record.status).record(took);
        let mut record = std::mem::take(&mut self.record);
        record.seconds = took.as_secs_f64();
        if let Some(Planned { plan, provenance }) = self.planned.take() {
            add_sources(&provenance, &mut record);
            record.missing_rollups = provenance.missing_rollups();
            add_read(plan.as_ref(), &mut record);
        }
        if let Some(provenance) = self.cached.take() {
            record.cached = true;
            add_sources(&provenance, &mut record);
        }
        self.log.push(record);
    }
}

fn add_sources(provenance: &Provenance, record: &mut QueryRecord) {
    record.snapshot = Some(provenance.version);
    let sources = provenance.sources();
    record.source = (!sources.is_empty()).then(|| QueryLog::kept(&sources.join("\n")));
}

/// Adds what the scans of a plan have read.
fn add_read(plan: &dyn ExecutionPlan, record: &mut QueryRecord) {
    if plan.name() == "DataSourceExec"
        && let Some(metrics) = plan.metrics()
    {
        // Rows that the scan's own conditions leave out are read too.
        let left_out = metrics.sum_by_name("pushdown_rows_pruned").map(|rows| rows.as_usize());
        let rows = metrics.output_rows().unwrap_or_default() + left_out.unwrap_or_default();
        record.rows_read += rows as u64;
        let bytes = metrics.sum_by_name("bytes_scanned").map(|bytes| bytes.as_usize());
        record.bytes_read += bytes.unwrap_or_default() as u64;
    }
    for child in plan.children() {
        add_read(child.as_ref(), record);
    }
}

/// A statement while it runs; dropped when it ends.
struct Running {
    control: Arc<Control>,
    rows: SendableRecordBatchStream,
    /// Releases the slot and acquires it again. Ends with the statement.
    _governor: SpawnedTask<()>,
}

impl Drop for Running {
    /// Operators that compute in tasks of their own notice at once.
    fn drop(&mut self) {
        self.control.stop(QueryError::Cancelled);
    }
}

/// The rows of a statement, in the described schema. Dropping it stops the statement.
pub(crate) struct QueryStream {
    schema: SchemaRef,
    outcome: StatementOutcome,
    running: Option<Running>,
}

impl QueryStream {
    pub(crate) fn start(
        rows: SendableRecordBatchStream,
        schema: SchemaRef,
        outcome: StatementOutcome,
        governed: Governed,
        slot: Slot,
    ) -> SendableRecordBatchStream {
        let running = Running {
            control: Arc::clone(&governed.control),
            rows,
            _governor: SpawnedTask::spawn(govern(governed, slot)),
        };
        Box::pin(Self {
            schema,
            outcome,
            running: Some(running),
        })
    }

    fn poll_rows(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch, QueryError>>> {
        let Some(running) = &mut self.running else {
            return Poll::Ready(None);
        };
        let next = match running.rows.poll_next_unpin(cx) {
            Poll::Ready(next) => next,
            // The operators may take a moment to notice.
            Poll::Pending => match running.control.poll_stopped(cx) {
                Poll::Ready(reason) => return Poll::Ready(Some(Err(reason))),
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(next.map(|batch| Ok(output::adapt(&batch?, &self.schema)?)))
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Poll::Ready(next) = self.poll_rows(cx) else {
            return Poll::Pending;
        };
        let item = match next {
            Some(Ok(batch)) => {
                counter!("footfall_query_rows_total").increment(batch.num_rows() as u64);
                self.outcome.record.rows += batch.num_rows() as u64;
                return Poll::Ready(Some(Ok(batch)));
            }
            None if self.running.is_none() => return Poll::Ready(None),
            None => {
                self.outcome.record.status = "ok";
                None
            }
            Some(Err(error)) => {
                self.outcome.failed(&error);
                Some(Err(DataFusionError::External(Box::new(error))))
            }
        };
        self.running = None;
        Poll::Ready(item)
    }
}

impl RecordBatchStream for QueryStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
