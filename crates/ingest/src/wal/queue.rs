//! What waits for the disk, bounded in bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::options::QUEUE_OVERHEAD;
use super::{Position, WalError, WalOptions};

/// Bytes of one group at most (a bigger record is a group of its own), so that the write buffer and the time of one
/// sync stay bounded.
const GROUP_BYTES: usize = 8 << 20;

/// When to try again: the queue empties within a second, the lake takes longer.
const RETRY_QUEUE_SECONDS: u32 = 1;
const RETRY_FULL_SECONDS: u32 = 5;

/// A record that waits, and who waits for it.
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

/// What is to be done next.
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
    waiting: VecDeque<PendingAppend>,
    trims: VecDeque<TrimRequest>,
    /// Of what waits and of the group that is being written.
    bytes: usize,
    /// On disk.
    stored: u64,
    /// A record found no room on disk, and the log has not become smaller since.
    full: bool,
    closed: bool,
}

/// The way in, shared by all callers and the committer.
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

    /// Accepts a record or says at once why not.
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
        queue.waiting.push_back(pending);
        drop(queue);
        self.wake.notify_one();
        Ok(answered)
    }

    /// Says at once that a record would find no room.
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

    /// Closes and lets go of everything that waits: whoever waits learns that the log is closed.
    pub(super) fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let waiting = std::mem::take(&mut queue.waiting);
        let trims = std::mem::take(&mut queue.trims);
        drop(queue);
        drop((waiting, trims));
    }

    /// The next thing to do; fills `group` with what waits, up to the limit of a group. Blocks for it if asked to.
    pub(super) fn take(&self, group: &mut Vec<PendingAppend>, block: bool) -> Work {
        let mut queue = self.queue.lock();
        loop {
            if let Some(trim) = queue.trims.pop_front() {
                return Work::Trim(trim);
            }
            if !queue.waiting.is_empty() {
                let mut bytes = 0;
                while let Some(next) = queue.waiting.front()
                    && (bytes == 0 || bytes + next.cost() <= GROUP_BYTES)
                {
                    bytes += next.cost();
                    group.extend(queue.waiting.pop_front());
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

    /// A group of `bytes` is done and so much is stored now; true if nothing waits.
    pub(super) fn done(&self, bytes: usize, stored: u64) -> bool {
        let mut queue = self.queue.lock();
        queue.bytes -= bytes;
        queue.full &= stored >= queue.stored;
        queue.stored = stored;
        queue.waiting.is_empty()
    }
}
