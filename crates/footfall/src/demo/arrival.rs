//! Checks that queries see every sent event exactly once.

use std::time::Duration;

use anyhow::{Context, bail};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use tokio::time::{Instant, sleep};

use super::screen::Screen;
use super::traffic::SITE;
use crate::sql::client::Client;

const POLL: Duration = Duration::from_millis(250);

/// How long the count may stay unchanged.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a count means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CountVerdict {
    Complete,
    Waiting,
    TooMany,
    Lost,
}

/// The number of the site's events that queries see.
pub(super) async fn count(client: &mut Client) -> anyhow::Result<u64> {
    let sql = format!("SELECT count(*) AS events FROM events WHERE tracking_id = '{SITE}'");
    let (_, batches) = client.collect(&sql).await?;
    let column = batches
        .iter()
        .find(|batch| batch.num_rows() == 1)
        .and_then(|batch| batch.columns().first());
    let number = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let number = number.context("the server's count(*) is not a number")?;
    u64::try_from(number.value(0)).context("the server's count(*) is negative")
}

/// Waits until the site has exactly `sent` events beyond the `before` that it had, and returns that number.
pub(super) async fn wait_for(client: &mut Client, before: u64, sent: u64, screen: &Screen) -> anyhow::Result<u64> {
    let progress = screen.progress("visible", sent)?;
    let (mut found, mut since) = (0, Instant::now());
    loop {
        let now = count(client).await?.saturating_sub(before);
        if now != found {
            (found, since) = (now, Instant::now());
        }
        progress.set(found)?;
        match judge(found, sent, since.elapsed()) {
            CountVerdict::Complete => {
                progress.finish();
                return Ok(found);
            }
            CountVerdict::Waiting => sleep(POLL).await,
            CountVerdict::TooMany => {
                bail!("{sent} distinct events were sent, but {found} are there: some are stored twice")
            }
            CountVerdict::Lost => bail!(
                "{sent} distinct events were sent, but only {found} are there, and no more arrived for {} s",
                TIMEOUT.as_secs()
            ),
        }
    }
}

fn judge(found: u64, sent: u64, still_for: Duration) -> CountVerdict {
    match found.cmp(&sent) {
        std::cmp::Ordering::Equal => CountVerdict::Complete,
        std::cmp::Ordering::Greater => CountVerdict::TooMany,
        std::cmp::Ordering::Less if still_for < TIMEOUT => CountVerdict::Waiting,
        std::cmp::Ordering::Less => CountVerdict::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_applies_only_without_progress() {
        assert_eq!(judge(10, 10, Duration::ZERO), CountVerdict::Complete);
        assert_eq!(judge(11, 10, Duration::ZERO), CountVerdict::TooMany);
        assert_eq!(judge(9, 10, TIMEOUT / 2), CountVerdict::Waiting);
        assert_eq!(judge(9, 10, TIMEOUT), CountVerdict::Lost);
    }
}
