//! Time and tasks of a simulation: one thread, a seeded random choice of the next task, and a clock that jumps to the
//! next moment at which something is due.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use footfall_model::clock::{Clock, Micros};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::random::Random;
use super::trace::Trace;
use crate::writer::Timer;

/// 2026-11-01: when every simulation begins.
pub(super) const BEGIN: Micros = 1_793_491_200_000_000;

/// Simulated time, in microseconds since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Time(Arc<Mutex<Timers>>);

#[derive(Debug, Default)]
struct Timers {
    now: u64,
    asked: u64,
    due: BTreeMap<(u64, u64), Waker>,
}

impl Time {
    pub(super) fn micros(&self) -> u64 {
        self.0.lock().now
    }

    pub(super) fn sleep_until(&self, at: u64) -> Sleep {
        Sleep {
            time: self.clone(),
            at,
            asked: None,
        }
    }

    pub(super) fn sleep_millis(&self, millis: u64) -> Sleep {
        self.sleep_until(self.micros() + millis * 1_000)
    }

    /// Advances to the next moment at which something is due. If that is not before `limit`, advances to `limit` and
    /// returns false.
    fn advance(&self, limit: u64) -> bool {
        let timers = &mut *self.0.lock();
        let next = timers.due.keys().next().map_or(u64::MAX, |(at, _)| *at);
        if next >= limit {
            timers.now = timers.now.max(limit);
            return false;
        }
        timers.now = timers.now.max(next);
        let later = timers.due.split_off(&(timers.now, u64::MAX));
        let now = std::mem::replace(&mut timers.due, later);
        now.into_values().for_each(Waker::wake);
        true
    }
}

impl Clock for Time {
    fn now(&self) -> Micros {
        BEGIN + self.micros().cast_signed()
    }
}

impl Timer for Time {
    fn now(&self) -> Duration {
        Duration::from_micros(self.micros())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sleep_until(self.micros().saturating_add(micros)).boxed()
    }
}

#[derive(Debug)]
pub(super) struct Sleep {
    time: Time,
    at: u64,
    asked: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let timers = &mut *time.0.lock();
        if timers.now >= self.at {
            return Poll::Ready(());
        }
        let at = self.at;
        let key = *self.asked.get_or_insert_with(|| {
            timers.asked += 1;
            (at, timers.asked)
        });
        timers.due.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.asked {
            self.time.0.lock().due.remove(&key);
        }
    }
}

pub(super) type TaskId = u64;

type Ready = Arc<Mutex<BTreeSet<TaskId>>>;

struct Task {
    name: String,
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

struct WakeTask {
    id: TaskId,
    ready: Ready,
}

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        self.ready.lock().insert(self.id);
    }
}

/// The result of one turn of the executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExecutorTurn {
    Polled(TaskId),
    /// The clock advanced.
    Advanced,
    /// Nothing happens before the limit; the clock has advanced to it.
    Rest,
}

/// Runs tasks one poll at a time.
pub(super) struct Executor {
    time: Time,
    random: Random,
    trace: Trace,
    ready: Ready,
    frozen: BTreeSet<TaskId>,
    tasks: BTreeMap<TaskId, Task>,
    spawned: TaskId,
}

impl Executor {
    pub(super) fn new(time: Time, random: Random, trace: Trace) -> Self {
        Self {
            time,
            random,
            trace,
            ready: Ready::default(),
            frozen: BTreeSet::new(),
            tasks: BTreeMap::new(),
            spawned: 0,
        }
    }

    pub(super) fn spawn(&mut self, name: String, future: impl Future<Output = ()> + 'static) -> TaskId {
        self.spawned += 1;
        let id = self.spawned;
        let ready = Arc::clone(&self.ready);
        let waker = Waker::from(Arc::new(WakeTask { id, ready }));
        let future = Box::pin(future);
        self.tasks.insert(id, Task { name, future, waker });
        self.ready.lock().insert(id);
        id
    }

    /// Drops the task at its current await point.
    pub(super) fn kill(&mut self, id: TaskId) {
        self.frozen.remove(&id);
        self.ready.lock().remove(&id);
        drop(self.tasks.remove(&id));
    }

    /// Does not poll the task until it is thawed.
    pub(super) fn freeze(&mut self, id: TaskId) {
        self.frozen.insert(id);
    }

    pub(super) fn thaw(&mut self, id: TaskId) {
        self.frozen.remove(&id);
    }

    pub(super) fn is_done(&self, id: TaskId) -> bool {
        !self.tasks.contains_key(&id)
    }

    /// Polls one task that is ready, or advances the clock, up to `limit`.
    pub(super) fn turn(&mut self, limit: u64) -> ExecutorTurn {
        loop {
            let candidates: Vec<TaskId> = {
                let ready = self.ready.lock();
                ready.iter().filter(|id| !self.frozen.contains(id)).copied().collect()
            };
            if candidates.is_empty() {
                return match self.time.advance(limit) {
                    true => ExecutorTurn::Advanced,
                    false => ExecutorTurn::Rest,
                };
            }
            let id = self.random.pick(&candidates);
            self.ready.lock().remove(&id);
            // A finished task may still be woken.
            if let Some(task) = self.tasks.get_mut(&id) {
                self.trace.note(format_args!("{} {}", self.time.micros(), task.name));
                if task.future.poll_unpin(&mut Context::from_waker(&task.waker)).is_ready() {
                    self.tasks.remove(&id);
                }
                return ExecutorTurn::Polled(id);
            }
        }
    }
}
