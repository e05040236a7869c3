//! How far a visitor got: the semantics of a funnel.
//!
//! An attempt begins at an event that matches the first step. Each further step is the first later event that matches
//! it: no other choice gets deeper, since an earlier event leaves at least as much to follow. An attempt ends at the
//! last step within the window, which runs from the first.
//!
//! All attempts of a visitor come out of one pass from the last event to the first. What it keeps is, for each step, the
//! times at which the next event of that step and all steps after it are taken; an event of step `i` comes before what
//! is known of step `i + 1`. An event of the first step thus finds its whole attempt.

use footfall_model::clock::{DAY, Micros};

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

/// The entries of one visitor, in the order of time.
///
/// `events` are in the order of time and arrival; `steps`: how many the funnel has, `window`: how long after the first
/// step others may be taken.
pub fn entries(events: &[StepEvent], steps: usize, window: Micros) -> Vec<Entry> {
    let mut following = Following::new(steps);
    let mut entries: Vec<Entry> = Vec::new();
    for (index, event) in events.iter().enumerate().rev() {
        following.prepend(*event);
        if event.steps & 1 == 0 {
            continue;
        }
        let attempt = following.attempt();
        let depth = attempt.iter().take_while(|time| **time - event.time <= window).count();
        let attempt = || Entry {
            first: index,
            times: attempt[..depth].to_vec(),
            deepest_of_day: false,
        };
        match entries.last_mut() {
            Some(entry) if period(entry, ENTRY) == event.time.div_euclid(ENTRY) => {
                if depth >= entry.times.len() {
                    *entry = attempt();
                }
            }
            _ => entries.push(attempt()),
        }
    }
    entries.reverse();
    mark_deepest(&mut entries);
    entries
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

/// For each step, when the next event of that step and those of the steps after it are taken.
#[derive(Debug)]
struct Following {
    steps: usize,
    /// `steps` times for each step.
    times: Vec<Micros>,
    /// How many of them are known.
    known: Vec<usize>,
}

impl Following {
    fn new(steps: usize) -> Self {
        Self {
            steps,
            times: vec![0; steps * steps],
            known: vec![0; steps + 1],
        }
    }

    /// The event comes before all that are known.
    fn prepend(&mut self, event: StepEvent) {
        // Ascending: an event is not followed by itself.
        for step in (0..self.steps).filter(|step| event.steps >> step & 1 == 1) {
            let (this, next) = (step * self.steps, (step + 1) * self.steps);
            let after = self.known[step + 1];
            self.times.copy_within(next..next + after, this + 1);
            self.times[this] = event.time;
            self.known[step] = after + 1;
        }
    }

    /// The times of the next attempt.
    fn attempt(&self) -> &[Micros] {
        &self.times[..self.known[0]]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Micros = 60_000_000;

    fn event(minute: i64, steps: u32) -> StepEvent {
        StepEvent {
            time: minute * MINUTE,
            steps,
        }
    }

    fn minutes(entries: &[Entry]) -> Vec<Vec<i64>> {
        let of_entry = |entry: &Entry| entry.times.iter().map(|time| time / MINUTE).collect();
        entries.iter().map(of_entry).collect()
    }

    #[test]
    fn steps_are_taken_in_order_with_others_between() {
        let events = [
            event(0, 0b10),
            event(1, 0b1),
            event(2, 0b100),
            event(3, 0b10),
            event(4, 0b100),
        ];
        assert_eq!(minutes(&entries(&events, 3, 60 * MINUTE)), [[1, 3, 4]]);
    }

    #[test]
    fn window_runs_from_first_step_and_includes_its_end() {
        let events = [event(0, 0b1), event(5, 0b10), event(10, 0b100)];
        assert_eq!(minutes(&entries(&events, 3, 10 * MINUTE)), [vec![0, 5, 10]]);
        assert_eq!(minutes(&entries(&events, 3, 10 * MINUTE - 1)), [vec![0, 5]]);
    }

    #[test]
    fn event_takes_at_most_one_step() {
        assert_eq!(minutes(&entries(&[event(0, 0b11)], 2, MINUTE)), [[0]]);
        assert_eq!(
            minutes(&entries(&[event(0, 0b11), event(0, 0b11)], 2, MINUTE)),
            [[0, 0]]
        );
    }

    #[test]
    fn deepest_attempt_of_a_quarter_counts_then_the_first() {
        // The attempt at 0 ends before the last step is taken; those at 5 and 6 get as deep.
        let events = [
            event(0, 0b1),
            event(5, 0b1),
            event(6, 0b1),
            event(20, 0b10),
            event(64, 0b100),
        ];
        assert_eq!(minutes(&entries(&events, 3, 60 * MINUTE)), [[5, 20, 64]]);
        let days = entries(
            &[event(0, 0b1), event(15, 0b1), event(16, 0b10), event(1_440, 0b1)],
            2,
            60 * MINUTE,
        );
        assert_eq!(minutes(&days), [vec![0, 16], vec![15, 16], vec![1_440]]);
        assert_eq!(
            days.iter().map(|entry| entry.deepest_of_day).collect::<Vec<_>>(),
            [true, false, true]
        );
    }

    /// The deepest attempt from `events[first]` on, by trying all; of equally deep ones the one with the earliest steps.
    fn best(events: &[StepEvent], step: usize, first: usize, steps: usize, end: Micros) -> Vec<Micros> {
        let mut best = Vec::new();
        for next in first + 1..events.len() {
            if step + 1 < steps && events[next].steps >> (step + 1) & 1 == 1 && events[next].time <= end {
                let deeper = self::best(events, step + 1, next, steps, end);
                if deeper.len() > best.len() || (deeper.len() == best.len() && deeper < best) {
                    best = deeper;
                }
            }
        }
        best.insert(0, events[first].time);
        best
    }

    fn brute_force(events: &[StepEvent], steps: usize, window: Micros) -> Vec<Entry> {
        let starts = (0..events.len()).filter(|index| events[*index].steps & 1 == 1);
        let attempts = starts.map(|first| Entry {
            first,
            times: best(events, 0, first, steps, events[first].time + window),
            deepest_of_day: false,
        });
        let mut entries: Vec<Entry> = Vec::new();
        for attempt in attempts {
            let same = entries
                .iter_mut()
                .find(|entry| period(entry, ENTRY) == period(&attempt, ENTRY));
            match same {
                Some(entry) if entry.times.len() < attempt.times.len() => *entry = attempt,
                Some(_) => {}
                None => entries.push(attempt),
            }
        }
        for index in 0..entries.len() {
            let this = (period(&entries[index], DAY), entries[index].times.len());
            let beaten = entries.iter().enumerate().any(|(other, entry)| {
                let deeper = entry.times.len() > this.1 || (entry.times.len() == this.1 && other < index);
                period(entry, DAY) == this.0 && deeper
            });
            entries[index].deepest_of_day = !beaten;
        }
        entries
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn entries_equal_trying_all_attempts(
            steps in 2_usize..5,
            gaps in prop::collection::vec((prop_oneof![Just(0), 0_i64..20, 600_i64..900], 1_u32..16), 0..12),
            window in prop_oneof![1_i64..40, 600_i64..2_000],
        ) {
            let mut minute = 0;
            let mut events = Vec::new();
            for (gap, mask) in gaps {
                minute += gap;
                events.push(event(minute, mask & ((1 << steps) - 1)));
            }
            prop_assert_eq!(entries(&events, steps, window * MINUTE), brute_force(&events, steps, window * MINUTE));
        }
    }
}
