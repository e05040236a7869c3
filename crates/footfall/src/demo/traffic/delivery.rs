//! Delivery of events: in parcels of one sender kind, some of them repeated, some late.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::session::Hit;

/// Events of a request.
const PARCEL: usize = 200;

/// The share that is sent again, as by a client that did not receive the reply.
const TWICE: f64 = 0.01;

/// The share that is held back until the end, as by a phone without a network.
const LATE: f64 = 0.01;

/// Limit of late events; beyond it the oldest are sent.
const MAX_LATE: usize = 5_000;

/// One request: events of one kind of sender, because the `User-Agent` is the request's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parcel {
    pub(crate) agent: &'static str,
    pub(crate) hits: Vec<Hit>,
}

/// What was handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Distinct events.
    pub(crate) events: u64,
    /// Repetitions of those.
    pub(crate) duplicates: u64,
    /// Of the distinct events, those that came after the rest.
    pub(crate) late: u64,
}

/// Takes events and hands out parcels.
#[derive(Debug)]
pub(super) struct Delivery {
    rng: StdRng,
    open: BTreeMap<&'static str, Vec<Hit>>,
    /// Repetitions queued for the next parcel of their kind.
    again: BTreeMap<&'static str, Vec<Hit>>,
    late: VecDeque<Hit>,
    full: VecDeque<Parcel>,
    counts: Counts,
    /// No more events come.
    closed: bool,
}

impl Delivery {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            // Not the generator's own sequence: delivery must not change the events.
            rng: StdRng::seed_from_u64(!seed),
            open: BTreeMap::new(),
            again: BTreeMap::new(),
            late: VecDeque::new(),
            full: VecDeque::new(),
            counts: Counts::default(),
            closed: false,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn take(&mut self, hit: Hit) {
        self.counts.events += 1;
        if self.rng.random_bool(TWICE) {
            self.counts.duplicates += 1;
            self.again.entry(hit.agent).or_default().push(hit.clone());
        }
        if self.rng.random_bool(LATE) {
            self.counts.late += 1;
            self.late.push_back(hit);
            if self.late.len() > MAX_LATE
                && let Some(oldest) = self.late.pop_front()
            {
                self.pack(oldest);
            }
        } else {
            self.pack(hit);
        }
    }

    /// A full parcel.
    pub(super) fn ready(&mut self) -> Option<Parcel> {
        self.full.pop_front()
    }

    /// The rest, when no more events come: partial parcels, then late ones, then repetitions.
    pub(super) fn remainder(&mut self) -> Option<Parcel> {
        if !self.closed {
            self.closed = true;
            self.close_all();
            for hit in std::mem::take(&mut self.late) {
                self.pack(hit);
            }
            self.close_all();
            for (agent, hits) in std::mem::take(&mut self.again) {
                self.full.push_back(Parcel { agent, hits });
            }
        }
        self.ready()
    }

    fn pack(&mut self, hit: Hit) {
        let agent = hit.agent;
        let hits = self.open.entry(agent).or_default();
        hits.push(hit);
        if hits.len() >= PARCEL {
            let hits = std::mem::take(hits);
            self.full.push_back(Parcel { agent, hits });
            // A repetition is sent in another request.
            if let Some(again) = self.again.remove(agent) {
                self.open.insert(agent, again);
            }
        }
    }

    fn close_all(&mut self) {
        for (agent, hits) in std::mem::take(&mut self.open) {
            if !hits.is_empty() {
                self.full.push_back(Parcel { agent, hits });
            }
        }
    }
}
