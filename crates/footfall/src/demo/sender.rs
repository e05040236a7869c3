//! Sends parcels over HTTP as a client should: it retries what the server asks for again.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};

use super::traffic::Parcel;

/// Attempts of a request, the first included: about a minute in all.
const ATTEMPTS: u32 = 12;

/// The pause after the first refusal; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One in this many requests is compressed: most trackers do not compress, some do.
const GZIP_EVERY: u64 = 8;

/// Bytes of a reply that are shown.
const SHOWN: usize = 500;

#[derive(Debug)]
pub(super) struct Sender {
    client: reqwest::Client,
    url: String,
    requests: AtomicU64,
}

/// What a reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplyVerdict {
    Stored,
    Again(Duration),
    Refused,
}

impl Sender {
    pub(super) fn new(http: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            // The server is in this process.
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .context("the HTTP client can't be created")?;
        Ok(Self {
            client,
            url: format!("{http}/api/v1/events"),
            requests: AtomicU64::new(0),
        })
    }

    /// Returns when all of it is stored.
    pub(super) async fn send(&self, parcel: &Parcel) -> anyhow::Result<()> {
        let json = serde_json::to_vec(&parcel.hits)?;
        let compressed = self.requests.fetch_add(1, Ordering::Relaxed) % GZIP_EVERY == GZIP_EVERY - 1;
        let body = bytes::Bytes::from(if compressed { gzip(&json)? } else { json });
        for attempt in 1..=ATTEMPTS {
            let mut request = self.client.post(&self.url).body(body.clone());
            request = request
                .header(USER_AGENT, parcel.agent)
                .header(CONTENT_TYPE, "application/json");
            if compressed {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
            let reply = match request.send().await {
                Ok(reply) => reply,
                // The events have ids, so that a retry stores them once.
                Err(_) if attempt < ATTEMPTS => {
                    tokio::time::sleep(backoff(attempt)).await;
                    continue;
                }
                Err(error) => return Err(error).context("the events can't be sent"),
            };
            let status = reply.status();
            match judge(status, retry_after(&reply), attempt) {
                ReplyVerdict::Stored => return Ok(()),
                ReplyVerdict::Again(pause) => tokio::time::sleep(pause).await,
                ReplyVerdict::Refused => {
                    let text = reply.text().await.unwrap_or_default();
                    let shown: String = text.chars().take(SHOWN).collect();
                    bail!("the server answered {status} to {} events: {shown}", parcel.hits.len());
                }
            }
        }
        bail!("the server asked to try again {ATTEMPTS} times")
    }
}

/// `200` is no success here: it says that some events were rejected.
fn judge(status: StatusCode, retry_after: Option<Duration>, attempt: u32) -> ReplyVerdict {
    match status {
        StatusCode::NO_CONTENT => ReplyVerdict::Stored,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if attempt < ATTEMPTS => {
            ReplyVerdict::Again(retry_after.unwrap_or_else(|| backoff(attempt)).min(LONGEST_PAUSE))
        }
        _ => ReplyVerdict::Refused,
    }
}

fn backoff(attempt: u32) -> Duration {
    let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

fn retry_after(reply: &reqwest::Response) -> Option<Duration> {
    let seconds = reply.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_follow_the_server_and_are_bounded() {
        let wish = Some(Duration::from_secs(3));
        assert_eq!(
            judge(StatusCode::TOO_MANY_REQUESTS, wish, 1),
            ReplyVerdict::Again(Duration::from_secs(3))
        );
        assert_eq!(
            judge(StatusCode::SERVICE_UNAVAILABLE, None, 3),
            ReplyVerdict::Again(Duration::from_millis(400))
        );
        let hours = Some(Duration::from_hours(9));
        assert_eq!(
            judge(StatusCode::SERVICE_UNAVAILABLE, hours, 1),
            ReplyVerdict::Again(LONGEST_PAUSE)
        );
        assert_eq!(
            judge(StatusCode::SERVICE_UNAVAILABLE, wish, ATTEMPTS),
            ReplyVerdict::Refused
        );
    }

    #[test]
    fn partial_acceptance_is_a_failure() {
        assert_eq!(judge(StatusCode::NO_CONTENT, None, 1), ReplyVerdict::Stored);
        for status in [
            StatusCode::OK,
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::PAYLOAD_TOO_LARGE,
        ] {
            assert_eq!(judge(status, None, 1), ReplyVerdict::Refused, "{status}");
        }
    }

    #[test]
    fn pauses_double_up_to_limit() {
        assert_eq!(backoff(1), Duration::from_millis(100));
        assert_eq!(backoff(4), Duration::from_millis(800));
        assert_eq!(backoff(40), LONGEST_PAUSE);
    }
}
