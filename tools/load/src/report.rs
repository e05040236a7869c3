//! What is printed at the end.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::crawl::Crawlers;
use crate::latency::{Histogram, Quantiles};
use crate::pace::Schedule;
use crate::tally::{Tally, WINDOW};

/// The result of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// From the first request to the last reply.
    pub(crate) seconds: f64,
    pub(crate) events_acknowledged: u64,
    pub(crate) events_per_second: f64,
    /// Sent but not replied to: these may be stored or not.
    pub(crate) events_unanswered: u64,
    /// Requests by status of the reply.
    pub(crate) replies: BTreeMap<String, u64>,
    /// What went wrong on connections.
    pub(crate) errors: BTreeMap<String, u64>,
    /// The first reply of each status that was not 204.
    pub(crate) samples: BTreeMap<String, String>,
    /// With a rate: due, but no connection was free.
    pub(crate) requests_not_sent: u64,
    /// Bytes of requests, heads included.
    pub(crate) bytes: u64,
    /// Of accepted requests, from the first byte sent.
    pub(crate) reply_ms: Option<Quantiles>,
    /// With a rate: of accepted requests, from the moment that they were due.
    pub(crate) due_ms: Option<Quantiles>,
    /// Of refused requests.
    pub(crate) refusal_ms: Option<Quantiles>,
    /// `reply_ms` of each ten seconds of the run; `None`: nothing was accepted in them.
    pub(crate) windows: Vec<Window>,
    pub(crate) slow: Option<Crawlers>,
    pub(crate) half_open: Option<Crawlers>,
}

/// A part of the run.
#[derive(Debug, Serialize)]
pub(crate) struct Window {
    /// Of the run, in seconds.
    pub(crate) from: u64,
    /// Requests that were accepted.
    pub(crate) accepted: u64,
    pub(crate) reply_ms: Option<Quantiles>,
}

impl Report {
    pub(crate) fn new(tally: Tally, schedule: &Schedule, slow: Option<Crawlers>, half_open: Option<Crawlers>) -> Self {
        let seconds = tally.length(schedule.start()).as_secs_f64();
        Self {
            seconds,
            events_acknowledged: tally.acknowledged,
            events_per_second: if seconds > 0.0 {
                tally.acknowledged as f64 / seconds
            } else {
                0.0
            },
            events_unanswered: tally.unanswered,
            requests_not_sent: schedule.left(),
            bytes: tally.bytes,
            reply_ms: tally.accepted.quantiles(),
            due_ms: schedule.is_steady().then(|| tally.since_due.quantiles()).flatten(),
            refusal_ms: tally.refused.quantiles(),
            windows: windows(&tally),
            replies: tally.replies,
            errors: tally.errors,
            samples: tally.samples,
            slow,
            half_open,
        }
    }
}

fn windows(tally: &Tally) -> Vec<Window> {
    let part = |(nth, times): (u64, &Histogram)| Window {
        from: nth * WINDOW.as_secs(),
        accepted: times.count(),
        reply_ms: times.quantiles(),
    };
    (0..).zip(&tally.windows).map(part).collect()
}
