//! What is printed at the end.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::crawl::Crawlers;
use crate::latency::Quantiles;
use crate::pace::Schedule;
use crate::tally::Tally;

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
    pub(crate) slow: Option<Crawlers>,
    pub(crate) half_open: Option<Crawlers>,
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
            replies: tally.replies,
            errors: tally.errors,
            samples: tally.samples,
            slow,
            half_open,
        }
    }
}
