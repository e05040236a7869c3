//! A running statement: its rows, its slot and its deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use metrics::{counter, histogram};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::slots::Slot;
use crate::{QueryError, output};

/// How a statement ended, and when it began; counted when dropped.
#[derive(Debug)]
pub(crate) struct Outcome {
    began: Instant,
    status: &'static str,
}

impl Outcome {
    /// Until it is told otherwise, the client went away.
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            status: "cancelled",
        }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn failed(&mut self, error: &QueryError) {
        self.status = error.status();
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        histogram!("footfall_query_seconds", "status" => self.status).record(self.began.elapsed());
    }
}

/// What a statement holds while it runs. All of it is given back at once.
pub(crate) struct Work {
    pub(crate) rows: SendableRecordBatchStream,
    pub(crate) outcome: Outcome,
    pub(crate) _slot: Slot,
}

enum State {
    QueryStream(Box<Work>),
    /// The deadline passed; the client is still to be told.
    Expired,
    Ended,
}

struct Shared {
    state: State,
    /// Whoever waits for rows while the deadline passes.
    waiting: Option<Waker>,
}

/// The rows of a statement, in the schema that was described. Dropping it stops the statement.
pub(crate) struct QueryStream {
    schema: SchemaRef,
    limit: Duration,
    shared: Arc<Mutex<Shared>>,
    /// Ends the statement at its deadline also when nobody asks for rows: a client that stalls holds no slot.
    _watchdog: SpawnedTask<()>,
}

impl QueryStream {
    pub(crate) fn start(work: Work, schema: SchemaRef, limit: Duration) -> SendableRecordBatchStream {
        let deadline = work.outcome.began() + limit;
        let shared = Arc::new(Mutex::new(Shared {
            state: State::QueryStream(Box::new(work)),
            waiting: None,
        }));
        let watchdog = SpawnedTask::spawn(expire(Arc::clone(&shared), deadline));
        Box::pin(Self {
            schema,
            limit,
            shared,
            _watchdog: watchdog,
        })
    }

    fn failed(error: QueryError) -> Poll<Option<Result<RecordBatch>>> {
        Poll::Ready(Some(Err(DataFusionError::External(Box::new(error)))))
    }
}

async fn expire(shared: Arc<Mutex<Shared>>, deadline: Instant) {
    tokio::time::sleep_until(deadline).await;
    let (stopped, waiting) = {
        let mut shared = shared.lock();
        let State::QueryStream(_) = &shared.state else {
            return;
        };
        let stopped = std::mem::replace(&mut shared.state, State::Expired);
        (stopped, shared.waiting.take())
    };
    if let State::QueryStream(mut work) = stopped {
        work.outcome.status = "limit";
    }
    if let Some(waker) = waiting {
        waker.wake();
    }
}

/// The answer for a statement that took longer than it may.
pub(crate) fn too_long(limit: Duration) -> QueryError {
    QueryError::Limit(format!(
        "the query took longer than {limit:?}; ask for a shorter time range or fewer columns"
    ))
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.shared.lock();
        let work = match &mut shared.state {
            State::QueryStream(work) => work,
            State::Expired => {
                shared.state = State::Ended;
                return Self::failed(too_long(self.limit));
            }
            State::Ended => return Poll::Ready(None),
        };
        let Poll::Ready(next) = work.rows.poll_next_unpin(cx) else {
            shared.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let failure = match next {
            None => {
                work.outcome.status = "ok";
                shared.state = State::Ended;
                return Poll::Ready(None);
            }
            Some(Ok(batch)) => match output::adapt(&batch, &self.schema) {
                Ok(batch) => {
                    counter!("footfall_query_rows_total").increment(batch.num_rows() as u64);
                    return Poll::Ready(Some(Ok(batch)));
                }
                Err(error) => QueryError::from(error),
            },
            Some(Err(error)) => QueryError::from(error),
        };
        work.outcome.failed(&failure);
        shared.state = State::Ended;
        Self::failed(failure)
    }
}

impl RecordBatchStream for QueryStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
