//! A trickle of visits in real time, until the demo is stopped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::convert::Infallible;
use std::time::Duration;

use footfall_model::clock::{Clock, Micros, SystemClock};
use tokio::time::{MissedTickBehavior, interval};

use super::Summary;
use super::sender::Sender;
use super::traffic::{Hit, Parcel, Plan, SessionSource};

const TICK: Duration = Duration::from_millis(500);

/// The interval between new visits; each makes some ten events over a few minutes.
const VISIT_EVERY: Micros = 2_000_000;

/// Visits that began this long ago are still under way at the start.
const HEAD_START: Micros = 600_000_000;

/// Limit of pending events, so that they fit in one request after a pause; beyond it no more visits begin.
const MAX_PENDING: usize = 450;

/// Pending events, the next one first.
#[derive(Debug)]
struct InFlight {
    source: SessionSource,
    due: BinaryHeap<Reverse<Due>>,
    next_visit: Micros,
}

#[derive(Debug)]
struct Due(Hit);

impl InFlight {
    fn new(plan: Plan, now: Micros) -> Self {
        let mut pending = Self {
            // Other visits than the backfill's, of the same visitors.
            source: SessionSource::new(plan.seed.wrapping_add(1), plan.now, plan.events),
            due: BinaryHeap::new(),
            next_visit: now - HEAD_START,
        };
        // Skips what would have happened before the start, step by step, or the visits would not fit.
        while pending.next_visit <= now {
            pending.happened(pending.next_visit);
        }
        pending
    }

    /// The events due by `now`, a parcel for each kind of sender.
    fn happened(&mut self, now: Micros) -> Vec<Parcel> {
        while self.next_visit <= now {
            if self.due.len() < MAX_PENDING {
                let visit = self.source.session_from(self.next_visit);
                self.due.extend(visit.into_iter().map(|hit| Reverse(Due(hit))));
            }
            self.next_visit += VISIT_EVERY;
        }
        let mut parcels: Vec<Parcel> = Vec::new();
        while self.due.peek().is_some_and(|Reverse(due)| due.0.at <= now) {
            let Some(Reverse(Due(hit))) = self.due.pop() else { break };
            match parcels.iter_mut().find(|parcel| parcel.agent == hit.agent) {
                Some(parcel) => parcel.hits.push(hit),
                None => parcels.push(Parcel {
                    agent: hit.agent,
                    hits: vec![hit],
                }),
            }
        }
        parcels
    }
}

/// Returns only with an error.
pub(super) async fn trickle(plan: Plan, sender: &Sender) -> anyhow::Result<Summary> {
    match send(plan, sender).await? {}
}

async fn send(plan: Plan, sender: &Sender) -> anyhow::Result<Infallible> {
    let mut pending = InFlight::new(plan, SystemClock.now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for parcel in pending.happened(SystemClock.now()) {
            sender.send(&parcel).await?;
        }
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.at, &self.0.event_id).cmp(&(other.0.at, &other.0.event_id))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_happen_in_real_time() {
        let start = 1_770_028_200_000_000;
        let plan = Plan {
            seed: 1,
            now: start,
            days: 1,
            events: 1_000,
        };
        let mut pending = InFlight::new(plan, start);
        let (mut last, mut events, mut first_minute) = (0, 0, 0);
        for second in 0..1_800 {
            let now = start + second * 1_000_000;
            for parcel in pending.happened(now) {
                for hit in parcel.hits {
                    assert!(hit.at <= now && hit.at > now - 1_000_000, "late or early: {hit:?}");
                    last = last.max(hit.at);
                    events += 1;
                    first_minute += u32::from(second <= 60);
                }
            }
        }
        assert!((1_800..9_000).contains(&events), "one to five a second: {events}");
        assert!(first_minute > 60, "from the beginning: {first_minute}");
        assert!(last > start + 1_700_000_000);
    }

    #[test]
    fn suspended_machine_causes_no_flood() {
        let plan = Plan {
            seed: 1,
            now: 0,
            days: 1,
            events: 1_000,
        };
        let mut pending = InFlight::new(plan, 0);
        pending.happened(footfall_model::clock::DAY);
        assert!(pending.due.len() < 500);
    }
}
