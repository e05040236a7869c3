//! Measures how long the server waits for a client, excluding the time that the server itself takes between two reads.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Runs while the server waits for a client, up to a limit.
#[derive(Debug)]
pub(super) struct Stopwatch {
    limit: Duration,
    /// Elapsed in earlier runs.
    elapsed: Duration,
    running_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Stopwatch {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            elapsed: Duration::ZERO,
            running_since: None,
            alarm: None,
        }
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The next run starts from zero.
    pub(super) fn reset(&mut self) {
        self.elapsed = Duration::ZERO;
        self.running_since = None;
    }

    pub(super) fn pause(&mut self) {
        if let Some(since) = self.running_since.take() {
            self.elapsed += since.elapsed();
        }
    }

    /// Runs until it is paused; ready when the limit is reached.
    pub(super) fn poll_run(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let rest = self.limit.saturating_sub(self.elapsed);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(rest)));
        if self.running_since.is_none() {
            let now = Instant::now();
            self.running_since = Some(now);
            alarm.as_mut().reset(now + rest);
        }
        ready!(alarm.as_mut().poll(context));
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn stopwatch_counts_only_while_running() {
        let mut stopwatch = Stopwatch::new(LIMIT);
        assert!(timeout(LIMIT / 2, poll_fn(|c| stopwatch.poll_run(c))).await.is_err());
        stopwatch.pause();
        sleep(LIMIT * 2).await;
        assert!(poll_fn(|c| Poll::Ready(stopwatch.poll_run(c))).await.is_pending());
        let began = Instant::now();
        poll_fn(|c| stopwatch.poll_run(c)).await;
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn reset_restores_the_whole_limit() {
        let mut stopwatch = Stopwatch::new(LIMIT);
        assert!(timeout(LIMIT / 2, poll_fn(|c| stopwatch.poll_run(c))).await.is_err());
        stopwatch.reset();
        let began = Instant::now();
        poll_fn(|c| stopwatch.poll_run(c)).await;
        assert!(began.elapsed() >= LIMIT, "{:?}", began.elapsed());
    }
}
