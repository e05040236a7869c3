//! Retries for a lake that does not answer; the WAL keeps the events meanwhile.

use std::time::Duration;

use footfall_lake::LakeError;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::timer::Timer;

/// The first and the longest pause between attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Attempts of a stopping writer while the lake does not answer; the WAL keeps what could not be written.
const ATTEMPTS_AT_STOP: u32 = 3;

/// How long a stopping writer waits for an answer: supervisors kill a process that has not stopped after 30 s or more.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Retries with growing pauses while the lake does not answer; `None` if stopped meanwhile.
pub(super) async fn with_retries<T, F>(
    timer: &dyn Timer,
    stop: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Result<Option<T>, LakeError>
where
    F: Future<Output = Result<T, LakeError>>,
{
    let (mut pause, longest) = RETRY;
    let mut attempts = 0;
    let overdue = async {
        stop.cancelled().await;
        timer.sleep(STOP_TIMEOUT).await;
    };
    tokio::pin!(overdue);
    loop {
        // Dropping an attempt is as safe as a crash in the middle of it.
        let outcome = tokio::select! { biased;
            outcome = attempt() => outcome,
            () = &mut overdue => {
                tracing::warn!("stopping, but the lake does not answer; the next start continues from the WAL");
                return Ok(None);
            }
        };
        let error = match outcome {
            Ok(value) => return Ok(Some(value)),
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error),
        };
        attempts += 1;
        counter!("footfall_writer_retries_total").increment(1);
        tracing::warn!(%error, attempts, "the lake does not answer; the WAL keeps the events meanwhile");
        if stop.is_cancelled() && attempts >= ATTEMPTS_AT_STOP {
            tracing::warn!("stopping without the lake; the next start continues from the WAL");
            return Ok(None);
        }
        tokio::select! { biased;
            () = timer.sleep(pause) => {}
            () = stop.cancelled(), if !stop.is_cancelled() => {}
        }
        pause = (pause * 2).min(longest);
    }
}
