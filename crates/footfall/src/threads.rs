//! The process's threads: the shared ones, and those dedicated to one piece of work.

use std::time::Duration;

use anyhow::Context;
use footfall_lake::OwnRuntime;
use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
use tokio::runtime::{Builder, Runtime};

/// For files and long computations. Delta's reader opens every version of a log at once; with tokio's limit of 512
/// threads each checkpoint would start a hundred of them, each of which keeps memory. Delta's reader also blocks such a
/// thread while others read: there must be more threads than tables that are read at the same time.
const BLOCKING_THREADS: usize = 6;

/// How long an idle thread stays: its freed memory returns to the system when it ends. With tokio's 10 s, one file per
/// second keeps all of them alive.
const BLOCKING_IDLE: Duration = Duration::from_secs(1);

/// One in this many tasks comes from the shared queue. Under overload a worker's own queue is never empty,
/// and with tokio's usual 61 a task in the shared queue waits many times as long as the others.
const TURNS_OF_OWN: u32 = 3;

/// The runtime of every command.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_IDLE)
        .global_queue_interval(TURNS_OF_OWN)
        .build()
        .context("the runtime can't be started")
}

/// The priority of work that gives way, from 0 (lowest) to 99: under full load it gets about a tenth of what a thread of
/// usual priority gets.
const LOW_PRIORITY: u8 = 25;

/// A runtime for one task and what it spawns.
#[derive(Debug)]
pub(crate) struct Threads(OwnRuntime);

impl Threads {
    /// One thread for the task, and at most this many for files and long computations.
    pub(crate) fn new(name: &'static str, blocking: usize) -> anyhow::Result<Self> {
        Self::start(name, blocking, &mut Builder::new_multi_thread())
    }

    /// As [`Threads::new`]; all of them give way to others.
    pub(crate) fn low_priority(name: &'static str, blocking: usize) -> anyhow::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        Self::start(name, blocking, builder.on_thread_start(give_way))
    }

    fn start(name: &'static str, blocking: usize, builder: &mut Builder) -> anyhow::Result<Self> {
        builder
            .worker_threads(1)
            .max_blocking_threads(blocking)
            .thread_keep_alive(BLOCKING_IDLE)
            .thread_name(name)
            .enable_all();
        let started = OwnRuntime::start(builder);
        Ok(Self(
            started.with_context(|| format!("the threads of {name} can't be started"))?,
        ))
    }

    /// Runs `work` to its end on these threads.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        Ok(self.0.handle().spawn(work).await?)
    }
}

/// Lowers this thread's priority, where the system has one.
fn give_way() {
    let lowered = ThreadPriorityValue::try_from(LOW_PRIORITY)
        .map_err(|error| error.to_owned())
        .and_then(|low| set_current_thread_priority(ThreadPriority::Crossplatform(low)).map_err(|e| format!("{e:?}")));
    if let Err(error) = lowered {
        tracing::debug!(error, "a thread keeps the usual priority");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn dedicated_threads_run_spawned_work() {
        let threads = Threads::new("tester", 1).unwrap();
        let names = threads.run(async {
            let name = || thread::current().name().map(str::to_owned);
            let blocking = tokio::task::spawn_blocking(name).await.unwrap();
            [name(), blocking].map(Option::unwrap)
        });
        assert_eq!(names.await.unwrap(), ["tester", "tester"]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn low_priority_threads_are_nice() {
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let after_name = stat.rsplit_once(") ").unwrap().1;
            after_name.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = nice();
        let threads = Threads::low_priority("tester", 1).unwrap();
        let [task, blocking] = threads
            .run(async move { [nice(), tokio::task::spawn_blocking(nice).await.unwrap()] })
            .await
            .unwrap();
        assert_eq!(task, blocking);
        assert!(task > before && task < 15, "{before} -> {task}");
        assert_eq!(nice(), before, "only theirs");
    }

    #[tokio::test]
    async fn panic_is_an_error() {
        let threads = Threads::new("tester", 1).unwrap();
        let ended = threads.run(async { assert!(thread::panicking(), "it does") }).await;
        assert!(ended.is_err());
    }
}
