//! Outcomes of the requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::latency::Histogram;

/// Times of replies are also kept apart by so much of the run, to see whether they grow.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Of a reply that was not 204.
const SAMPLE_BYTES: usize = 500;

/// Counts of one thread, merged at the end.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests by status of the reply.
    pub(crate) replies: BTreeMap<String, u64>,
    /// The first reply of each status that was not 204.
    pub(crate) samples: BTreeMap<String, String>,
    /// Events that the server has acknowledged.
    pub(crate) acknowledged: u64,
    /// Events whose request was sent, wholly or in part, and not replied to, or whose gRPC stream failed: some of them
    /// may be stored.
    pub(crate) unanswered: u64,
    /// What went wrong on connections, by kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Bytes of requests that were replied to.
    pub(crate) bytes: u64,
    pub(crate) accepted: Histogram,
    pub(crate) refused: Histogram,
    /// Accepted, from the moment that they were due.
    pub(crate) since_due: Histogram,
    pub(crate) last_reply: Option<Instant>,
    /// Accepted, by the [`WINDOW`] of the run in which the reply came.
    pub(crate) windows: Vec<Histogram>,
    /// When the run began; without it there are no windows.
    began: Option<Instant>,
}

/// One request's times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) due: Instant,
    pub(crate) sent: Instant,
    pub(crate) replied: Instant,
}

impl Tally {
    /// Of a run that began at `began`.
    pub(crate) fn since(began: Instant) -> Self {
        Self {
            began: Some(began),
            ..Self::default()
        }
    }

    /// A reply that acknowledges `acknowledged` events; 0: it refuses the request.
    pub(crate) fn reply(&mut self, status: &str, acknowledged: u64, bytes: usize, times: Times, body: &[u8]) {
        count(&mut self.replies, status);
        if !body.is_empty() && !self.samples.contains_key(status) {
            let shown = String::from_utf8_lossy(&body[..body.len().min(SAMPLE_BYTES)]);
            self.samples.insert(status.to_owned(), shown.into_owned());
        }
        self.acknowledged += acknowledged;
        self.bytes += bytes as u64;
        let since = |from: Instant| times.replied.saturating_duration_since(from);
        if acknowledged > 0 {
            self.accepted.add(since(times.sent));
            self.since_due.add(since(times.due));
            if let Some(began) = self.began {
                let window = usize::try_from(since(began).as_secs() / WINDOW.as_secs()).unwrap_or(usize::MAX);
                at(&mut self.windows, window).add(since(times.sent));
            }
        } else {
            self.refused.add(since(times.sent));
        }
        self.last_reply = self.last_reply.max(Some(times.replied));
    }

    pub(crate) fn error(&mut self, kind: &str, unanswered: u64) {
        count(&mut self.errors, kind);
        self.unanswered += unanswered;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        add(&mut self.replies, other.replies);
        add(&mut self.errors, other.errors);
        for (status, sample) in other.samples {
            self.samples.entry(status).or_insert(sample);
        }
        self.acknowledged += other.acknowledged;
        self.unanswered += other.unanswered;
        self.bytes += other.bytes;
        self.accepted.merge(&other.accepted);
        self.refused.merge(&other.refused);
        self.since_due.merge(&other.since_due);
        self.last_reply = self.last_reply.max(other.last_reply);
        for (window, theirs) in other.windows.iter().enumerate() {
            at(&mut self.windows, window).merge(theirs);
        }
    }

    /// From `start` to the last reply.
    pub(crate) fn length(&self, start: Instant) -> Duration {
        self.last_reply
            .map_or(Duration::ZERO, |last| last.saturating_duration_since(start))
    }
}

/// The nth of a list that grows as it is needed.
fn at(windows: &mut Vec<Histogram>, nth: usize) -> &mut Histogram {
    if windows.len() <= nth {
        windows.resize(nth + 1, Histogram::default());
    }
    &mut windows[nth]
}

pub(crate) fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}

pub(crate) fn add(counts: &mut BTreeMap<String, u64>, others: BTreeMap<String, u64>) {
    for (key, count) in others {
        *counts.entry(key).or_default() += count;
    }
}
