//! The threads that queries run on: their own, so that planning and computing keep neither the collection of events
//! nor the deadline of another query waiting.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use footfall_lake::OwnRuntime;
use futures::StreamExt;
use tokio::runtime::Builder;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;

use crate::QueryError;
use crate::governor::Producer;

/// Batches that a query may be ahead of its client.
const BATCHES_AHEAD: usize = 2;

/// A runtime for queries alone.
#[derive(Debug)]
pub(crate) struct Workers(OwnRuntime);

impl Workers {
    pub(crate) fn new(threads: usize) -> Result<Self, QueryError> {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(threads.max(1))
            .thread_name("footfall-query")
            .enable_all();
        let started = OwnRuntime::start(&mut builder);
        started
            .map(Self)
            .map_err(|error| QueryError::Internal(format!("the threads for queries can't be started: {error}")))
    }

    /// Those that have not ended.
    #[cfg(test)]
    pub(crate) fn tasks(&self) -> usize {
        self.0.handle().metrics().num_alive_tasks()
    }

    /// Plans: does `work`, whose steps take long, on a thread of its own, so that no task waits in the queue of a
    /// thread that is busy with it. It goes on when the returned future is dropped.
    ///
    /// # Errors
    /// `Internal` if the work panics or the threads are gone.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, QueryError> {
        let handle = self.0.handle().clone();
        let done = self.0.handle().spawn_blocking(move || handle.block_on(work)).await;
        done.map_err(|error| QueryError::Internal(format!("the query could not be planned: {error}")))
    }

    /// Runs `plan` here; its rows can be read anywhere. Dropping the stream stops it at its next pause.
    pub(crate) fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
        state: watch::Sender<Producer>,
    ) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(plan.schema(), BATCHES_AHEAD);
        let rows = stream.tx();
        let work = async move {
            let mut batches = execute_stream(plan, context)?;
            while let Some(batch) = batches.next().await {
                match rows.try_send(batch) {
                    Ok(()) => {}
                    Err(TrySendError::Closed(_)) => return Ok(()),
                    Err(TrySendError::Full(batch)) => {
                        state.send_replace(Producer::Blocked);
                        if rows.send(batch).await.is_err() {
                            return Ok(());
                        }
                        state.send_replace(Producer::Computing);
                    }
                }
            }
            // What the operators hold is given back before the last rows are read.
            drop(batches);
            state.send_replace(Producer::Done);
            Ok(())
        };
        stream.spawn_on(work, self.0.handle());
        stream.build()
    }
}
