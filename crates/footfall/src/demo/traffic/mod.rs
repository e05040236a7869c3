//! Generated traffic that looks like a shop's: pure, and the same for the same seed and time.
//!
//! ```text
//! rhythm (how many, when) -> visitor (who) -> session (what, along the site's graph) -> delivery (parcels)
//! ```
//!
//! Memory is bounded by the open parcels, whatever the number of events.

mod catalogue;
mod delivery;
mod people;
mod rhythm;
mod session;

use std::ops::Range;

use footfall_model::clock::{DAY, Micros};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(super) use delivery::{Counts, Parcel};
pub(super) use session::Hit;

use delivery::Delivery;
use people::Visitor;

/// The site that all events belong to.
pub(super) const SITE: &str = "demo";

/// The site's URL.
pub(super) const HOME: &str = "https://demo.example";

/// The share of sessions that are crawlers'. They see about twice as many pages as a visitor.
const BOT_SESSIONS: f64 = 0.015;

/// Events per visitor: each returns about twice on average, and a few very often.
const EVENTS_PER_VISITOR: u64 = 12;

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// No event is later; UTC microseconds.
    pub(super) now: Micros,
    /// Days up to now that the events are spread over; at least 1.
    pub(super) days: u16,
    /// Distinct events, exactly.
    pub(super) events: u64,
}

/// The parcels of a plan, the oldest day first, each the body of one request.
#[derive(Debug)]
pub(super) struct Traffic {
    source: SessionSource,
    /// Events left of each day, the current day first.
    days: std::vec::IntoIter<(Range<Micros>, u64)>,
    today: (Range<Micros>, u64),
    delivery: Delivery,
}

/// The generator of sessions.
#[derive(Debug)]
pub(super) struct SessionSource {
    rng: StdRng,
    seed: u64,
    visitors: u64,
    now: Micros,
    /// Events made so far, which number them.
    made: u64,
}

impl Traffic {
    pub(super) fn new(plan: Plan) -> Self {
        let mut days = rhythm::days(plan.now, plan.days, plan.events).into_iter();
        Self {
            source: SessionSource::new(plan.seed, plan.now, plan.events),
            today: days.next().unwrap_or((plan.now..plan.now, 0)),
            days,
            delivery: Delivery::new(plan.seed),
        }
    }

    /// What was handed out so far.
    pub(super) fn counts(&self) -> Counts {
        self.delivery.counts()
    }

    /// False if there are no more.
    fn fill(&mut self) -> bool {
        while self.today.1 == 0 {
            match self.days.next() {
                Some(day) => self.today = day,
                None => return false,
            }
        }
        let (window, left) = &mut self.today;
        let mut hits = self.source.session(window);
        hits.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= hits.len() as u64;
        for hit in hits {
            self.delivery.take(hit);
        }
        true
    }
}

impl Iterator for Traffic {
    type Item = Parcel;

    fn next(&mut self) -> Option<Parcel> {
        loop {
            if let Some(parcel) = self.delivery.ready() {
                return Some(parcel);
            }
            if !self.fill() {
                return self.delivery.remainder();
            }
        }
    }
}

impl SessionSource {
    /// `events`: the planned number, which determines the number of visitors.
    pub(super) fn new(seed: u64, now: Micros, events: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            seed,
            visitors: (events / EVENTS_PER_VISITOR).max(20),
            now,
            made: 0,
        }
    }

    /// A whole session that begins in `window`, if it has time to end before now.
    fn session(&mut self, window: &Range<Micros>) -> Vec<Hit> {
        let visitor = self.visitor();
        let start = rhythm::moment(&mut self.rng, window, visitor.home.offset_minutes);
        let mut hits = session::generate(&mut self.rng, &visitor, start);
        let end = hits.last().map_or(start, |hit| hit.at);
        let late_by = (end - self.now).max(0);
        for hit in &mut hits {
            hit.at -= late_by;
            self.number(hit);
        }
        hits
    }

    /// A session that begins at `start` and may go on past it.
    pub(super) fn session_from(&mut self, start: Micros) -> Vec<Hit> {
        let visitor = self.visitor();
        let mut hits = session::generate(&mut self.rng, &visitor, start);
        for hit in &mut hits {
            self.number(hit);
        }
        hits
    }

    fn number(&mut self, hit: &mut Hit) {
        hit.event_id = format!("{:016x}-{:x}", self.seed, self.made);
        self.made += 1;
    }

    fn visitor(&mut self) -> Visitor {
        if self.rng.random_bool(BOT_SESSIONS) {
            return Visitor::bot(&mut self.rng);
        }
        // Heavy-tailed: a visitor's density falls with its number, so that the first ones return again and again.
        let u: f64 = self.rng.random();
        let number = (u.powf(2.5) * self.visitors as f64) as u64;
        Visitor::person(self.seed, number)
    }
}

#[cfg(test)]
mod tests;
