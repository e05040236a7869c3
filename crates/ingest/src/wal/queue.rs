//! Appends and trims queued for the disk, bounded in bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::options::QUEUE_OVERHEAD;
use super::{Position, WalError, WalOptions};

/// Bytes of one group at most (a bigger record is a group of its own), so that the write buffer and the time of one
/// sync stay bounded.
const GROUP_BYTES: usize = 8 << 20;

/// When a caller should retry: the queue empties within a second, the lake takes longer.
const RETRY_QUEUE_SECONDS: u32 = 1;
const RETRY_FULL_SECONDS: u32 = 5;

/// A queued record, and the channel for its answer.
#[derive(Debug)]
pub(super) struct PendingAppend {
    pub(super) payload: Bytes,
    pub(super) answer: oneshot::Sender<Result<Position, WalError>>,
}

impl PendingAppend {
    pub(super) fn cost(&self) -> usize {
        self.payload.len() + QUEUE_OVERHEAD
    }
}

#[derive(Debug)]
pub(super) struct TrimRequest {
    pub(super) position: Position,
    pub(super) answer: oneshot::Sender<Result<(), WalError>>,
}

/// The next thing to do.
#[derive(Debug)]
pub(super) enum Work {
    /// The group was filled.
    Group,
    Trim(TrimRequest),
    Nothing,
    /// Closed, and everything that was accepted is done.
    Closed,
}

#[derive(Debug, Default)]
struct Queue {
    appends: VecDeque<PendingAppend>,
    trims: VecDeque<TrimRequest>,
    /// Of queued records and of the group that is being written.
    bytes: usize,
    /// On disk.
    stored: u64,
    /// A record did not fit on disk, and the WAL has not become smaller since.
    full: bool,
    closed: bool,
}

/// The queue, shared by all callers and the committer.
#[derive(Debug)]
pub(super) struct AppendQueue {
    queue: Mutex<Queue>,
    wake: Condvar,
    queue_bytes: usize,
    max_record_bytes: usize,
    max_log_bytes: u64,
}

impl AppendQueue {
    pub(super) fn new(options: &WalOptions, stored: u64) -> Self {
        Self {
            queue: Mutex::new(Queue {
                stored,
                ..Queue::default()
            }),
            wake: Condvar::new(),
            queue_bytes: options.queue_bytes,
            max_record_bytes: options.max_record_bytes,
            max_log_bytes: options.max_log_bytes,
        }
    }

    /// Queues a record, or returns at once why not.
    pub(super) fn append(&self, payload: Bytes) -> Result<oneshot::Receiver<Result<Position, WalError>>, WalError> {
        if payload.len() > self.max_record_bytes {
            return Err(WalError::TooLarge {
                bytes: payload.len(),
                limit: self.max_record_bytes,
            });
        }
        let (answer, answered) = oneshot::channel();
        let pending = PendingAppend { payload, answer };
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(WalError::Closed);
        }
        let bytes = queue.bytes + pending.cost();
        if bytes > self.queue_bytes {
            return Err(WalError::Overloaded {
                retry_after_seconds: RETRY_QUEUE_SECONDS,
            });
        }
        if queue.stored + bytes as u64 > self.max_log_bytes {
            queue.full = true;
            return Err(WalError::Overloaded {
                retry_after_seconds: RETRY_FULL_SECONDS,
            });
        }
        queue.bytes = bytes;
        queue.appends.push_back(pending);
        drop(queue);
        self.wake.notify_one();
        Ok(answered)
    }

    /// Fails at once if the WAL is full.
    pub(super) fn check_room(&self) -> Result<(), WalError> {
        match self.queue.lock().full {
            false => Ok(()),
            true => Err(WalError::Overloaded {
                retry_after_seconds: RETRY_FULL_SECONDS,
            }),
        }
    }

    pub(super) fn trim(&self, position: Position) -> Result<oneshot::Receiver<Result<(), WalError>>, WalError> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(WalError::Closed);
        }
        queue.trims.push_back(TrimRequest { position, answer });
        drop(queue);
        self.wake.notify_one();
        Ok(answered)
    }

    /// Accepts nothing more; what was accepted is still done.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_all();
    }

    /// Closes and drops everything queued: callers get [`WalError::Closed`].
    pub(super) fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let appends = std::mem::take(&mut queue.appends);
        let trims = std::mem::take(&mut queue.trims);
        drop(queue);
        drop((appends, trims));
    }

    /// The next thing to do; fills `group` with queued records, up to the limit of a group. Waits for work if `block`.
    pub(super) fn take(&self, group: &mut Vec<PendingAppend>, block: bool) -> Work {
        let mut queue = self.queue.lock();
        loop {
            if let Some(trim) = queue.trims.pop_front() {
                return Work::Trim(trim);
            }
            if !queue.appends.is_empty() {
                let mut bytes = 0;
                while let Some(next) = queue.appends.front()
                    && (bytes == 0 || bytes + next.cost() <= GROUP_BYTES)
                {
                    bytes += next.cost();
                    group.extend(queue.appends.pop_front());
                }
                return Work::Group;
            }
            if queue.closed {
                return Work::Closed;
            }
            if !block {
                return Work::Nothing;
            }
            self.wake.wait(&mut queue);
        }
    }

    /// A group of `bytes` is done and `stored` bytes are on disk now; true if nothing is queued.
    pub(super) fn done(&self, bytes: usize, stored: u64) -> bool {
        let mut queue = self.queue.lock();
        queue.bytes -= bytes;
        queue.full &= stored >= queue.stored;
        queue.stored = stored;
        queue.appends.is_empty()
    }
}
