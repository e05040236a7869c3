//! The scheduler: which statement computes next.
//!
//! A statement computes while it has a slot. Slots go to the principal that has the fewest, and among equals to the one
//! that has waited longest, and some are reserved for principals that have none; so a hundred statements of one
//! principal delay no other principal. A statement gives its
//! slot back when its client does not take rows, and after [`QUANTUM`] if another one should have it: see
//! [`crate::governor`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::QueryError;

/// How long a statement computes before another one may have its slot.
pub(crate) const QUANTUM: Duration = Duration::from_millis(200);

/// The id of a principal's token.
pub(crate) type Token = Arc<str>;

/// How many statements there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotLimits {
    /// Computing at once.
    pub(crate) slots: usize,
    /// Further slots for principals that have none: one step of another's statement can take longer than they should
    /// wait.
    pub(crate) reserved: usize,
    /// Begun and not ended: computing, or holding memory and rows.
    pub(crate) open: usize,
    pub(crate) open_per_principal: usize,
    /// Not begun.
    pub(crate) queued: usize,
    pub(crate) queued_per_principal: usize,
    /// How long a statement may wait to begin.
    pub(crate) timeout: Duration,
}

type SharedQueue = Arc<Mutex<Queue<oneshot::Sender<Grant>>>>;

/// What a statement gets when its turn comes; the admission if it begins.
type Grant = (Slot, Option<Admission>);

/// The slots of an engine.
#[derive(Debug)]
pub(crate) struct Slots {
    queue: SharedQueue,
    limits: SlotLimits,
}

/// A statement that has begun. It counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    queue: SharedQueue,
    token: Token,
}

/// The right to compute. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    queue: SharedQueue,
    token: Token,
}

impl Slots {
    pub(crate) fn new(limits: SlotLimits) -> Self {
        let limits = SlotLimits {
            slots: limits.slots.max(1),
            open: limits.open.max(1),
            open_per_principal: limits.open_per_principal.max(1),
            ..limits
        };
        Self {
            queue: Arc::new(Mutex::new(Queue::new(limits))),
            limits,
        }
    }

    /// Waits until a statement of `token` may begin.
    ///
    /// # Errors
    /// `Limit` if too many wait already, or if it could not begin in time.
    pub(crate) async fn begin(&self, token: &Token) -> Result<(Admission, Slot), QueryError> {
        let waiting = Waiting::enter(&self.queue, token, true)?;
        let Ok(granted) = timeout(self.limits.timeout, waiting.granted()).await else {
            return Err(QueryError::Limit(format!(
                "the server computes {} queries at once and could not begin this one within {:?}; try again later, or \
                 end results that are still open",
                self.limits.slots, self.limits.timeout
            )));
        };
        match granted? {
            (slot, Some(admission)) => Ok((admission, slot)),
            (_, None) => Err(QueryError::Internal("a statement began without being admitted".into())),
        }
    }
}

impl Admission {
    /// Waits until the statement may go on.
    pub(crate) async fn slot(&self) -> Result<Slot, QueryError> {
        let (slot, _) = Waiting::enter(&self.queue, &self.token, false)?.granted().await?;
        Ok(slot)
    }

    /// Whether another statement should have this one's slot.
    pub(crate) fn contended(&self) -> bool {
        self.queue.lock().contended(&self.token)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let granted = {
            let mut queue = self.queue.lock();
            queue.close(&self.token);
            queue.grant()
        };
        send(&self.queue, granted);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        gauge!("footfall_queries_running").decrement(1);
        let granted = {
            let mut queue = self.queue.lock();
            queue.release(&self.token);
            queue.grant()
        };
        send(&self.queue, granted);
    }
}

/// A queue entry, removed when dropped.
struct Waiting {
    queue: SharedQueue,
    token: Token,
    id: u64,
    receiver: oneshot::Receiver<Grant>,
}

impl Waiting {
    fn enter(queue: &SharedQueue, token: &Token, fresh: bool) -> Result<Self, QueryError> {
        let (sender, receiver) = oneshot::channel();
        let (id, granted) = {
            let mut locked = queue.lock();
            let id = locked.enter(token, fresh, sender)?;
            (id, locked.grant())
        };
        let waiting = Self {
            queue: Arc::clone(queue),
            token: Arc::clone(token),
            id,
            receiver,
        };
        send(queue, granted);
        Ok(waiting)
    }

    async fn granted(mut self) -> Result<Grant, QueryError> {
        let granted = (&mut self.receiver).await;
        granted.map_err(|_| QueryError::Internal("the engine has stopped".into()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queue.lock().leave(&self.token, self.id);
    }
}

/// Hands the slots over. What a statement that has gone meanwhile would have got is given back.
fn send(queue: &SharedQueue, granted: Vec<Granted<oneshot::Sender<Grant>>>) {
    for Granted { token, fresh, waiter } in granted {
        gauge!("footfall_queries_running").increment(1);
        let admission = fresh.then(|| Admission {
            queue: Arc::clone(queue),
            token: Arc::clone(&token),
        });
        let slot = Slot {
            queue: Arc::clone(queue),
            token,
        };
        drop(waiter.send((slot, admission)));
    }
}

/// The waiting and the computing statements: plain data.
#[derive(Debug)]
struct Queue<W> {
    limits: SlotLimits,
    running: usize,
    open: usize,
    queued: usize,
    shares: BTreeMap<Token, Share<W>>,
    /// Counts what was entered and granted.
    tick: u64,
}

#[derive(Debug)]
struct Share<W> {
    running: usize,
    open: usize,
    /// The tick of its last grant.
    served: u64,
    /// Statements that are under way and want to go on.
    paused: VecDeque<(u64, W)>,
    /// Statements that have not begun.
    fresh: VecDeque<(u64, W)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Granted<W> {
    token: Token,
    fresh: bool,
    waiter: W,
}

impl<W> Default for Share<W> {
    fn default() -> Self {
        Self {
            running: 0,
            open: 0,
            served: 0,
            paused: VecDeque::new(),
            fresh: VecDeque::new(),
        }
    }
}

impl<W> Share<W> {
    fn may_begin(&self, limits: &SlotLimits, open: usize) -> bool {
        !self.fresh.is_empty() && open < limits.open && self.open < limits.open_per_principal
    }

    fn waits(&self, limits: &SlotLimits, open: usize) -> bool {
        !self.paused.is_empty() || self.may_begin(limits, open)
    }

    fn is_gone(&self) -> bool {
        self.running + self.open == 0 && self.paused.is_empty() && self.fresh.is_empty()
    }
}

impl<W> Queue<W> {
    fn new(limits: SlotLimits) -> Self {
        Self {
            limits,
            running: 0,
            open: 0,
            queued: 0,
            shares: BTreeMap::new(),
            tick: 0,
        }
    }

    /// The id to leave by.
    fn enter(&mut self, token: &Token, fresh: bool, waiter: W) -> Result<u64, QueryError> {
        self.tick += 1;
        let share = self.shares.entry(Arc::clone(token)).or_default();
        if !fresh {
            share.paused.push_back((self.tick, waiter));
            return Ok(self.tick);
        }
        let most = self.limits.queued_per_principal;
        if self.queued >= self.limits.queued || share.fresh.len() >= most {
            return Err(QueryError::Limit(format!(
                "too many queries wait to begin ({} in all, {most} of one token are allowed); try again later",
                self.limits.queued
            )));
        }
        self.queued += 1;
        share.fresh.push_back((self.tick, waiter));
        Ok(self.tick)
    }

    fn leave(&mut self, token: &Token, id: u64) {
        if let Some(share) = self.shares.get_mut(token) {
            let before = share.fresh.len();
            share.fresh.retain(|(waiting, _)| *waiting != id);
            share.paused.retain(|(waiting, _)| *waiting != id);
            self.queued -= before - share.fresh.len();
        }
        self.forget(token);
    }

    /// Gives free slots away.
    fn grant(&mut self) -> Vec<Granted<W>> {
        let mut granted = Vec::new();
        loop {
            let (limits, open, running) = (&self.limits, self.open, self.running);
            let waiting = self.shares.iter_mut().filter(|(_, share)| share.waits(limits, open));
            let Some((token, share)) = waiting.min_by_key(|(_, share)| (share.running, share.served)) else {
                break;
            };
            let slots = limits.slots + if share.running == 0 { limits.reserved } else { 0 };
            if running >= slots {
                break;
            }
            // A statement that has not begun may be a short one.
            let fresh = share.may_begin(limits, open);
            let next = if fresh {
                share.fresh.pop_front()
            } else {
                share.paused.pop_front()
            };
            let Some((_, waiter)) = next else { break };
            self.tick += 1;
            share.served = self.tick;
            share.running += 1;
            share.open += usize::from(fresh);
            self.running += 1;
            self.open += usize::from(fresh);
            self.queued -= usize::from(fresh);
            let token = Arc::clone(token);
            granted.push(Granted { token, fresh, waiter });
        }
        granted
    }

    fn release(&mut self, token: &Token) {
        self.running -= 1;
        if let Some(share) = self.shares.get_mut(token) {
            share.running -= 1;
        }
        self.forget(token);
    }

    fn close(&mut self, token: &Token) {
        self.open -= 1;
        if let Some(share) = self.shares.get_mut(token) {
            share.open -= 1;
        }
        self.forget(token);
    }

    /// Whether a principal with no more slots than `token` is waiting.
    fn contended(&self, token: &Token) -> bool {
        let mine = self.shares.get(token).map_or(0, |share| share.running);
        let mut waiting = self
            .shares
            .values()
            .filter(|share| share.waits(&self.limits, self.open));
        waiting.any(|share| share.running <= mine)
    }

    fn forget(&mut self, token: &Token) {
        if self.shares.get(token).is_some_and(Share::is_gone) {
            self.shares.remove(token);
        }
    }
}

#[cfg(test)]
mod tests;
