//! The only thread that writes: takes queued records as a group, commits it, answers. While it syncs, the next group
//! is queued.

use std::sync::Arc;

use tokio::sync::watch;

use super::queue::{AppendQueue, PendingAppend, TrimRequest, Work};
use super::read::RecordReader;
use super::store::SegmentStore;
use super::{Position, Record, WalError};

/// What one turn of a [`Committer`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitterTurn {
    /// A group was written or the WAL trimmed.
    Worked,
    /// Nothing is queued.
    Idle,
    /// The WAL was closed and everything accepted is done.
    Closed,
}

/// Does the disk I/O. [`super::LocalWal::open`] runs it on a thread; a simulator calls [`Committer::turn`].
#[derive(Debug)]
pub struct Committer {
    store: SegmentStore,
    queue: Arc<AppendQueue>,
    reader: Arc<RecordReader>,
    durable: watch::Sender<Position>,
    /// Reused.
    group: Vec<PendingAppend>,
    /// The last group failed; so that a full disk is logged once and not with every request.
    failing: bool,
}

impl Committer {
    pub(super) fn new(
        store: SegmentStore,
        queue: Arc<AppendQueue>,
        reader: Arc<RecordReader>,
        durable: watch::Sender<Position>,
    ) -> Self {
        let committer = Self {
            store,
            queue,
            reader,
            durable,
            group: Vec::new(),
            failing: false,
        };
        committer.gauges();
        committer
    }

    /// Works until the WAL is closed.
    pub(super) fn run(mut self) {
        while self.work(true) != CommitterTurn::Closed {}
    }

    /// Does one queued piece of work, if any.
    pub fn turn(&mut self) -> CommitterTurn {
        self.work(false)
    }

    fn work(&mut self, block: bool) -> CommitterTurn {
        match self.queue.take(&mut self.group, block) {
            Work::Group => self.commit(),
            Work::Trim(request) => self.trim(request),
            Work::Nothing => return CommitterTurn::Idle,
            Work::Closed => {
                self.store.seal(true);
                return CommitterTurn::Closed;
            }
        }
        CommitterTurn::Worked
    }

    fn commit(&mut self) {
        let cost = self.group.iter().map(PendingAppend::cost).sum();
        let committed = self.store.commit(self.group.iter().map(|pending| &pending.payload));
        match &committed {
            Ok(first) => {
                let payloads = self.group.iter().map(|pending| pending.payload.clone());
                let records = (*first..)
                    .zip(payloads)
                    .map(|(position, payload)| Record { position, payload });
                self.reader.publish(&self.store, records);
                self.durable.send_replace(self.store.last());
            }
            Err(_) => self.reader.publish(&self.store, std::iter::empty()),
        }
        self.report(committed.as_ref().err());
        // Before the answers: if the process is killed after an answer, the seal is there.
        if self.queue.done(cost, self.store.bytes()) {
            self.store.seal(false);
        }
        for (nth, pending) in self.group.drain(..).enumerate() {
            // A caller that no longer waits needs no answer.
            let _ = pending.answer.send(match &committed {
                Ok(first) => Ok(first + nth as Position),
                Err(error) => Err(error.repeat()),
            });
        }
    }

    fn trim(&mut self, request: TrimRequest) {
        let TrimRequest { position, answer } = request;
        self.reader.forget(position, self.store.first_after_trim(position));
        let trimmed = self.store.trim(position);
        self.reader.publish(&self.store, std::iter::empty());
        self.queue.done(0, self.store.bytes());
        self.gauges();
        if let Err(error) = &trimmed {
            tracing::warn!(%error, position, "the WAL could not be trimmed");
        }
        let _ = answer.send(trimmed);
    }

    /// Updates metrics, and logs when the disk begins to fail and when it works again.
    fn report(&mut self, failed: Option<&WalError>) {
        if let Some(error) = failed {
            metrics::counter!("footfall_wal_failed_groups_total").increment(1);
            if !self.failing {
                tracing::error!(%error, "the WAL cannot store events; they are refused until it can");
            }
        } else {
            metrics::counter!("footfall_wal_appends_total").increment(self.group.len() as u64);
            let bytes: usize = self.group.iter().map(|pending| pending.payload.len()).sum();
            metrics::counter!("footfall_wal_bytes_total").increment(bytes as u64);
            if self.failing {
                tracing::info!(last = self.store.last(), "the WAL stores events again");
            }
        }
        self.failing = failed.is_some();
        self.gauges();
    }

    fn gauges(&self) {
        metrics::gauge!("footfall_wal_last_position").set(self.store.last() as f64);
        metrics::gauge!("footfall_wal_bytes").set(self.store.bytes() as f64);
    }
}

impl Drop for Committer {
    /// However it ends, no caller waits for an answer that does not come.
    fn drop(&mut self) {
        self.queue.abandon();
    }
}
