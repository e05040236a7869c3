//! The lake at startup: an unavailable lake is retried, an unusable one is an error.

use std::sync::Arc;
use std::time::Duration;

use footfall_lake::{Lake, LakeError};
use footfall_model::clock::Clock;
use tokio::time::{Instant, sleep};

use crate::config::Config;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// How long an attempt may take before a message is logged.
const SILENCE: Duration = Duration::from_secs(5);

/// Opens the lake, as soon as it answers. Until then the server does not listen: it takes no event and no query.
///
/// # Errors
/// What no retry fixes: a wrong key, no such bucket, a folder that is not a table.
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
        "the lake does not answer; startup waits for it"
    );
}
