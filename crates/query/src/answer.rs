//! The stream that a caller gets: the promised schema, the time limit, the slot given back at the end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{FutureExt, Stream, StreamExt, ready};
use metrics::{counter, gauge, histogram};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use crate::QueryError;

/// The schema that clients are told: types that all of them know, and every column nullable, because a planner's
/// "never null" changes with its optimizations while what was announced must not.
pub(crate) fn announced(schema: &Schema) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), plain(field.data_type()), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        DataType::List(item) => DataType::List(Arc::new(plain_field(item))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| plain_field(field)).collect()),
        other => other.clone(),
    }
}

fn plain_field(field: &Field) -> Field {
    field.clone().with_data_type(plain(field.data_type()))
}

pub(crate) struct Answer {
    schema: SchemaRef,
    inner: SendableRecordBatchStream,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
    running: Running,
    ended: bool,
}

impl Answer {
    pub(crate) fn new(schema: SchemaRef, inner: SendableRecordBatchStream, limit: Duration, running: Running) -> Self {
        Self {
            schema,
            inner,
            limit,
            deadline: Box::pin(tokio::time::sleep(limit)),
            running,
            ended: false,
        }
    }

    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let columns = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                false => cast(column, field.data_type()),
            })
            .collect::<Result<_, _>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns,
            &rows,
        )?)
    }
}

impl RecordBatchStream for Answer {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Stream for Answer {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.deadline.poll_unpin(cx).is_ready() {
            self.ended = true;
            self.running.status = "timeout";
            let limit = self.limit;
            let error = QueryError::Limit(format!("the query ran longer than {limit:?} and was stopped"));
            return Poll::Ready(Some(Err(error.into())));
        }
        let next = match ready!(self.inner.poll_next_unpin(cx)) {
            Some(Ok(batch)) => {
                counter!("footfall_query_rows_total").increment(batch.num_rows() as u64);
                Some(self.conform(&batch))
            }
            Some(Err(error)) => Some(Err(error)),
            None => {
                self.running.status = "ok";
                None
            }
        };
        if let Some(Err(error)) = next {
            self.ended = true;
            self.running.status = "error";
            return Poll::Ready(Some(Err(QueryError::of(&error).into())));
        }
        Poll::Ready(next)
    }
}

/// A statement's slot and its entry in the metrics; both end when it is dropped.
pub(crate) struct Running {
    _slot: OwnedSemaphorePermit,
    started: Instant,
    /// What it is if it ends now.
    status: &'static str,
}

impl Running {
    pub(crate) fn new(slot: OwnedSemaphorePermit) -> Self {
        gauge!("footfall_queries_running").increment(1.0);
        Self {
            _slot: slot,
            started: Instant::now(),
            status: "error",
        }
    }

    /// Rows may flow: from now on an early end is the caller's wish.
    pub(crate) fn planned(mut self) -> Self {
        self.status = "cancelled";
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        gauge!("footfall_queries_running").decrement(1.0);
        histogram!("footfall_query_seconds", "status" => self.status).record(self.started.elapsed());
    }
}
