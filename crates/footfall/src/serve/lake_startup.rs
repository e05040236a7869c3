//! The lake at the start: one that does not answer is waited for, one that can't be is refused.

use std::sync::Arc;
use std::time::Duration;

use footfall_lake::{Lake, LakeError};
use footfall_model::clock::Clock;
use tokio::time::{Instant, sleep};

use crate::config::Config;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// How long an attempt may be silent before that is said.
const SILENCE: Duration = Duration::from_secs(5);

/// Opens the lake, as soon as it answers. Until then nothing is listened to: no event is taken, no query answered.
///
/// # Errors
/// What no waiting mends: a wrong key, no such bucket, a table that is none.
pub(super) async fn open_with_retries(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Lake> {
    let began = Instant::now();
    loop {
        let attempt = super::open_lake(config, Arc::clone(&clock));
        tokio::pin!(attempt);
        let opened = loop {
            tokio::select! {
                opened = &mut attempt => break opened,
                () = sleep(SILENCE) => say(config, began, "nothing came back"),
            }
        };
        match opened {
            Err(error) if error.downcast_ref().is_some_and(LakeError::is_unreachable) => {
                say(config, began, &error.root_cause().to_string());
                sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

fn say(config: &Config, began: Instant, reason: &str) {
    tracing::warn!(
        lake = config.data,
        reason,
        seconds = began.elapsed().as_secs(),
        "the lake does not answer; the start waits for it"
    );
}
