//! How far a visitor got: the semantics of a funnel.
//!
//! An attempt begins at an event that matches the first step. Each further step is the first later event that matches
//! it: no other choice gets deeper, since an earlier event leaves at least as much to follow. An attempt ends at the
//! last step within the window, which runs from the first.
//!
//! The options of a funnel end an attempt early ([`Rules`]). They mean what ClickHouse's `windowFunnel` has under their names,
//! for each attempt by itself. With [`FunnelScope::Session`] it ends with its session at the latest: each session is computed
//! by itself. No two of them have events in the same quarter hour, so an entry is of one session.
//!
//! All attempts of a visitor come out of one pass from the last event to the first. What it keeps is, for each number of
//! steps taken, the times at which the further ones are taken; an event of step `i` comes before what is known of step
//! `i + 1`. An event of the first step thus finds its whole attempt.

use footfall_model::clock::{DAY, Micros};
use footfall_sessions::split;

use crate::FunnelScope;

/// Attempts that begin in the same quarter hour are one entry. Every time zone begins its days at one.
const ENTRY: Micros = 900_000_000;

/// An event that matches a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepEvent {
    pub time: Micros,
    /// Bit `i`: it matches step `i`.
    pub steps: u32,
}

/// The deepest attempt among those of a visitor that begin in the same quarter hour (UTC); of equally deep ones the
/// first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The index of the event that takes the first step.
    pub first: usize,
    /// When each step that was reached was taken.
    pub times: Vec<Micros>,
    /// Whether it is the deepest of the visitor's entries of its day (UTC), the first of equally deep ones.
    pub deepest_of_day: bool,
}

/// What decides how far an attempt gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many steps the funnel has.
    pub steps: usize,
    /// How long after the first step others may be taken.
    pub window: Micros,
    /// How long after a step the next one may be taken.
    pub step_window: Micros,
    /// An event that is none of the steps taken so far ends an attempt, unless it takes the next.
    pub strict_order: bool,
    /// An event that repeats a step but the first ends an attempt, unless it takes the next.
    pub strict_deduplication: bool,
    /// Steps at the same time are not taken one after the other.
    pub strict_increase: bool,
    pub scope: FunnelScope,
}

impl Rules {
    /// Whether an event of these steps, which does not take the next one, ends an attempt that has taken `taken` steps.
    fn ends(&self, steps: u32, taken: usize) -> bool {
        let of_taken = steps & ((1 << taken) - 1);
        (self.strict_order && of_taken == 0) || (self.strict_deduplication && of_taken & !1 != 0)
    }
}

/// Finds the entries of visitors into one funnel.
#[derive(Debug)]
pub struct EntryFinder {
    rules: Rules,
    following: Following,
}

impl EntryFinder {
    pub fn new(rules: Rules) -> Self {
        Self {
            following: Following::new(rules),
            rules,
        }
    }

    /// The entries of one visitor, in the order of time.
    ///
    /// `events` are in the order of time and arrival; with [`Rules::strict_order`] or [`FunnelScope::Session`] all of
    /// the visitor's, those of no step included.
    pub fn entries(&mut self, events: &[StepEvent]) -> Vec<Entry> {
        let mut entries = Vec::new();
        match self.rules.scope {
            FunnelScope::Visitor => self.find(events, 0, &mut entries),
            FunnelScope::Session => {
                let mut first = 0;
                for session in split(events, |event| event.time) {
                    self.find(session, first, &mut entries);
                    first += session.len();
                }
            }
        }
        mark_deepest(&mut entries);
        entries
    }

    /// Appends the entries of these events; `first`: the index of the first of them.
    fn find(&mut self, events: &[StepEvent], first: usize, entries: &mut Vec<Entry>) {
        self.following.forget();
        let before = entries.len();
        for (index, event) in events.iter().enumerate().rev() {
            self.following.prepend(*event);
            if event.steps & 1 == 0 {
                continue;
            }
            let attempt = self.following.attempt();
            let in_window = |time: &&Micros| **time - event.time <= self.rules.window;
            let depth = attempt.iter().take_while(in_window).count();
            let attempt = || Entry {
                first: first + index,
                times: attempt[..depth].to_vec(),
                deepest_of_day: false,
            };
            match entries[before..].last_mut() {
                Some(entry) if period(entry, ENTRY) == event.time.div_euclid(ENTRY) => {
                    if depth >= entry.times.len() {
                        *entry = attempt();
                    }
                }
                _ => entries.push(attempt()),
            }
        }
        entries[before..].reverse();
    }
}

fn mark_deepest(entries: &mut [Entry]) {
    for day in entries.chunk_by_mut(|a, b| period(a, DAY) == period(b, DAY)) {
        let deepest = day.iter().map(|entry| entry.times.len()).max();
        if let Some(entry) = day.iter_mut().find(|entry| Some(entry.times.len()) == deepest) {
            entry.deepest_of_day = true;
        }
    }
}

fn period(entry: &Entry, length: Micros) -> Micros {
    entry.times[0].div_euclid(length)
}

/// For each number of steps that may have been taken, when the further ones are taken by the events that are known.
#[derive(Debug)]
struct Following {
    rules: Rules,
    /// By the number of steps taken, of which the last was taken before the first of these events.
    after: Vec<Vec<Micros>>,
    /// The same for a last step that was taken at the time of the first of these events; for
    /// [`Rules::strict_increase`].
    at_once: Vec<Vec<Micros>>,
    /// The time of the first of these events.
    time: Option<Micros>,
}

impl Following {
    fn new(rules: Rules) -> Self {
        Self {
            after: vec![Vec::new(); rules.steps + 1],
            at_once: vec![Vec::new(); if rules.strict_increase { rules.steps + 1 } else { 0 }],
            time: None,
            rules,
        }
    }

    /// No event is known.
    fn forget(&mut self) {
        self.after.iter_mut().chain(&mut self.at_once).for_each(Vec::clear);
        self.time = None;
    }

    /// The event comes before all that are known.
    fn prepend(&mut self, event: StepEvent) {
        let rules = self.rules;
        if rules.strict_increase && self.time != Some(event.time) {
            self.at_once.clone_from(&self.after);
        }
        self.time = Some(event.time);
        let may_end = rules.strict_order || rules.strict_deduplication;
        // Ascending, so that what follows is what followed before: an event is not followed by itself.
        for taken in 0..rules.steps {
            let takes = event.steps >> taken & 1 == 1;
            if takes {
                self.take(taken, event.time);
            }
            // An attempt that has taken no step is none yet.
            if taken > 0 && may_end && rules.ends(event.steps, taken) {
                if !takes {
                    self.after[taken].clear();
                }
                if rules.strict_increase {
                    self.at_once[taken].clear();
                }
            }
        }
    }

    /// An event of this time takes the next step after those that are taken.
    fn take(&mut self, taken: usize, time: Micros) {
        let mut this = std::mem::take(&mut self.after[taken]);
        let next = match self.rules.strict_increase {
            true => &self.at_once[taken + 1],
            false => &self.after[taken + 1],
        };
        let in_time = next.first().is_some_and(|next| next - time <= self.rules.step_window);
        this.clear();
        this.push(time);
        this.extend_from_slice(if in_time { next } else { &[] });
        self.after[taken] = this;
    }

    /// The times of the next attempt.
    fn attempt(&self) -> &[Micros] {
        &self.after[0]
    }
}

#[cfg(test)]
mod tests;
