//! A running statement's time: when it computes, when it is paused, when it is over.
//!
//! ```text
//! computing (has a slot; the statement timeout runs) -> its client takes no rows        -> parked (idle timeout runs)
//!                                                    -> others wait, quantum is used up -> paused
//! parked, paused -> its client takes rows again, its turn comes -> computing
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::QueryError;
use crate::control::Control;
use crate::slots::{Admission, QUANTUM, Slot};

/// A client that takes its next rows within this time costs its statement no change of slots.
const GRACE: Duration = Duration::from_millis(50);

/// What the task that makes a statement's rows is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Producer {
    Computing,
    /// The client has not taken the last batches yet.
    Blocked,
    /// All rows are made.
    Done,
}

/// How long a statement may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Computing, planning included.
    pub(crate) statement: Duration,
    /// Between two batches that the client takes.
    pub(crate) idle: Duration,
}

/// What one statement holds while it runs, beside its plan.
#[derive(Debug)]
pub(crate) struct Governed {
    pub(crate) control: Arc<Control>,
    pub(crate) admission: Admission,
    pub(crate) producer: watch::Receiver<Producer>,
    pub(crate) times: Times,
    /// What planning took.
    pub(crate) computed: Duration,
}

enum Pause {
    Timeout,
    Blocked,
    Preempted,
    Done,
}

/// Runs as long as the statement does; dropping it gives everything back.
pub(crate) async fn govern(mut governed: Governed, slot: Slot) {
    let control = Arc::clone(&governed.control);
    if let Err(reason) = turns(&mut governed, slot).await {
        control.stop(reason);
    }
}

async fn turns(governed: &mut Governed, mut slot: Slot) -> Result<(), QueryError> {
    loop {
        let began = Instant::now();
        let pause = governed.compute(began).await;
        governed.computed += began.elapsed();
        governed.control.pause();
        drop(slot);
        match pause {
            Pause::Timeout => return Err(too_long(governed.times.statement)),
            Pause::Done => return governed.delivered().await,
            Pause::Blocked => governed.unblocked().await?,
            Pause::Preempted => {}
        }
        slot = governed.admission.slot().await?;
        governed.control.resume();
    }
}

impl Governed {
    /// Until the statement has to give its slot back.
    async fn compute(&mut self, began: Instant) -> Pause {
        let deadline = began + self.times.statement.saturating_sub(self.computed);
        loop {
            let state = tokio::select! {
                () = sleep_until(deadline) => return Pause::Timeout,
                () = sleep(QUANTUM) => Producer::Computing,
                state = not_computing(&mut self.producer) => state,
            };
            match state {
                Producer::Done => return Pause::Done,
                Producer::Blocked if timeout(GRACE, self.not_blocked()).await.is_err() => return Pause::Blocked,
                Producer::Computing if self.admission.contended() => return Pause::Preempted,
                Producer::Blocked | Producer::Computing => {}
            }
        }
    }

    async fn not_blocked(&mut self) {
        // A producer that is gone is not blocked either.
        let _ = self.producer.wait_for(|state| *state != Producer::Blocked).await;
    }

    /// Until the client takes rows again.
    async fn unblocked(&mut self) -> Result<(), QueryError> {
        let idle = self.times.idle;
        timeout(idle, self.not_blocked()).await.map_err(|_| abandoned(idle))
    }

    /// The last rows are for the client to take.
    async fn delivered(&self) -> Result<(), QueryError> {
        sleep(self.times.idle).await;
        Err(abandoned(self.times.idle))
    }
}

async fn not_computing(producer: &mut watch::Receiver<Producer>) -> Producer {
    let changed = producer.wait_for(|state| *state != Producer::Computing).await;
    // A producer that is gone makes no more rows.
    changed.map_or(Producer::Done, |state| *state)
}

fn abandoned(idle: Duration) -> QueryError {
    QueryError::Timeout(format!(
        "no rows of the result were taken for {idle:?}; run the query again"
    ))
}

/// The answer for a statement that computed longer than it may.
pub(crate) fn too_long(limit: Duration) -> QueryError {
    QueryError::Timeout(format!(
        "the query computed longer than {limit:?}; ask for a shorter time range or fewer columns"
    ))
}
