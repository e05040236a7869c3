//! The stream at an edge of the plan.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use tokio::task::coop;

use super::role::Shaper;
use crate::busy::Busy;
use crate::control::{Control, Phase, enter};

/// Computing that uses up one unit of the 128 that tokio gives a task before it must yield: some 6 ms in all.
const UNIT: Duration = Duration::from_micros(50);

/// More units than a task ever has.
const MAX_UNITS: u128 = 128;

pub(super) struct YieldStream {
    input: SendableRecordBatchStream,
    control: Arc<Control>,
    shaper: Shaper,
    /// What the operator above computes with a batch is its task's time too.
    busy: Busy,
}

impl YieldStream {
    pub(super) fn new(input: SendableRecordBatchStream, control: Arc<Control>, shaper: Shaper) -> Self {
        Self {
            input,
            control,
            shaper,
            busy: Busy::default(),
        }
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        loop {
            if let Some(batch) = self.shaper.next() {
                return Poll::Ready(Some(Ok(batch)));
            }
            let control = &self.control;
            let input = &mut self.input;
            let polled = enter(control, Phase::Executing, || input.poll_next_unpin(cx));
            match ready!(polled) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(batch)) => {
                    if let Err(refusal) = self.shaper.accept(batch) {
                        return Poll::Ready(Some(Err(refusal)));
                    }
                }
            }
        }
    }
}

impl Stream for YieldStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some((time, of_this_poll)) = self.busy.stop() {
            self.shaper.took(time);
            if of_this_poll {
                spend(time, cx);
            }
        }
        if let Err(reason) = ready!(self.control.poll_running(cx)) {
            return Poll::Ready(Some(Err(DataFusionError::External(Box::new(reason)))));
        }
        let unit = ready!(coop::poll_proceed(cx));
        let began = Instant::now();
        let polled = self.poll_input(cx);
        spend(began.elapsed(), cx);
        // Also if it is pending: giving the unit back would give back all that was spent.
        unit.made_progress();
        if polled.is_ready() {
            self.busy.start();
        }
        polled
    }
}

impl RecordBatchStream for YieldStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

/// Takes from the task's budget what it computed.
fn spend(time: Duration, cx: &mut Context<'_>) {
    let units = (time.as_micros() / UNIT.as_micros()).min(MAX_UNITS);
    for _ in 0..units {
        if !coop::has_budget_remaining() {
            return;
        }
        if let Poll::Ready(unit) = coop::poll_proceed(cx) {
            unit.made_progress();
        }
    }
}
