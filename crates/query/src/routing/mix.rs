//! Which of several rollups answers for which file of events. Pure.
//!
//! Days are all alike, but for the first and the last of the asked time: these are cut, and read from finer rollups. And a
//! rollup that has just been made does not cover all days yet. So each day has an order of rollups, and a file of events is
//! answered for by the first of them that covers it, or read if none does.

use std::collections::BTreeMap;

/// What it costs to find that an event isn't in the asked time, in events that are aggregated: a fifth to two fifths of them, in
/// a day of the largest of 200 sites and in that of all.
const COST_AT_EDGE: f64 = 0.3;

/// What another rollup has to save, since it is another plan to run beside the first.
const WORTHWHILE: f64 = 0.2;

/// More than these gain next to nothing.
const MOST_ROLLUPS: usize = 3;

/// The events of one day, and what each rollup has of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) date: i32,
    pub(super) events: u64,
    pub(super) held: Vec<Held>,
}

/// What a rollup has of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Events of files with a segment that is read.
    pub(super) covered: u64,
    /// Rows of these segments.
    pub(super) rows: u64,
    /// Whether the asked time cuts a bucket of the day, whose events are read.
    pub(super) is_cut: bool,
}

impl Held {
    /// What is read for each covered event, in events.
    fn density(self) -> Option<f64> {
        let edges = if self.is_cut { COST_AT_EDGE } else { 0.0 };
        (self.covered > 0).then(|| self.rows as f64 / self.covered as f64 + edges)
    }
}

/// Which rollups answer for the files of a day: numbers of a list that the caller has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mix {
    usual: Vec<usize>,
    /// The days with another order.
    days: BTreeMap<i32, Vec<usize>>,
}

impl Mix {
    /// The order of `usual`, but on `days`.
    pub(super) fn new(usual: Vec<usize>, days: impl IntoIterator<Item = (i32, Vec<usize>)>) -> Self {
        let days = days.into_iter().filter(|(_, order)| *order != usual).collect();
        Self { usual, days }
    }

    /// In which order rollups are asked for a file of this day.
    pub(super) fn order(&self, day: i32) -> &[usize] {
        self.days.get(&day).unwrap_or(&self.usual)
    }

    /// The one that answers for all files that it covers, if there is no other.
    pub(super) fn only(&self) -> Option<usize> {
        match self.usual.as_slice() {
            [only] if self.days.is_empty() => Some(*only),
            _ => None,
        }
    }

    /// All that answer for files, each once, and where they are in that list instead.
    pub(super) fn renumbered(mut self) -> (Self, Vec<usize>) {
        let mut used: Vec<usize> = Vec::new();
        for order in self.orders_mut() {
            for nth in order {
                let known = used.iter().position(|known| known == nth);
                *nth = known.unwrap_or_else(|| {
                    used.push(*nth);
                    used.len() - 1
                });
            }
        }
        (self, used)
    }

    fn orders_mut(&mut self) -> impl Iterator<Item = &mut Vec<usize>> {
        [&mut self.usual].into_iter().chain(self.days.values_mut())
    }
}

/// The mix by which the least is read; `None` if reading all events costs no more. `together(a, b)`: what rollups `a` and
/// `b` give can be merged.
pub(super) fn by_rows(days: &[Day], together: impl Fn(usize, usize) -> bool) -> Option<Mix> {
    let all = days.iter().map(|day| day.events as f64).sum();
    let rollups = 0..days.first()?.held.len();
    let mut chosen = Chosen {
        rollups: Vec::new(),
        or_events: false,
    };
    let with = |chosen: &Chosen, nth: usize| Chosen {
        rollups: chosen.rollups.iter().copied().chain([nth]).collect(),
        ..*chosen
    };
    let first = rollups.clone().map(|nth| (with(&chosen, nth), nth));
    let (cost, first) = cheapest(days, first)?;
    if cost >= all {
        return None;
    }
    chosen = with(&chosen, first);
    let mut cost = cost;
    while chosen.rollups.len() < MOST_ROLLUPS {
        let others = rollups
            .clone()
            .filter(|nth| !chosen.rollups.contains(nth) && together(first, *nth));
        let mut further: Vec<Chosen> = others.map(|nth| with(&chosen, nth)).collect();
        if !chosen.or_events {
            further.push(Chosen {
                or_events: true,
                ..chosen.clone()
            });
        }
        match cheapest(days, further.into_iter().map(|next| (next.clone(), next))) {
            Some((less, next)) if less < cost * (1.0 - WORTHWHILE) => (cost, chosen) = (less, next),
            _ => break,
        }
    }
    let days = days.iter().map(|day| (day.date, chosen.order(day)));
    Some(if chosen.rollups.len() == 1 && !chosen.or_events {
        Mix::new(chosen.rollups, [])
    } else {
        Mix::new(vec![first], days)
    })
}

/// The first of those that cost the least.
fn cheapest<T>(days: &[Day], of: impl Iterator<Item = (Chosen, T)>) -> Option<(f64, T)> {
    let costs = of.map(|(chosen, what)| (days.iter().map(|day| chosen.cost(day)).sum::<f64>(), what));
    costs.reduce(|best, next| if next.0 < best.0 { next } else { best })
}

/// The rollups that may answer, and whether events are read where these have as many rows.
#[derive(Debug, Clone)]
struct Chosen {
    rollups: Vec<usize>,
    or_events: bool,
}

impl Chosen {
    fn order(&self, day: &Day) -> Vec<usize> {
        self.shares(day).into_iter().map(|share| share.rollup).collect()
    }

    /// What is read of a day, in events.
    fn cost(&self, day: &Day) -> f64 {
        let shares = self.shares(day);
        let answered: u64 = shares.iter().map(|share| share.events).sum();
        let left = day.events.saturating_sub(answered);
        shares
            .iter()
            .map(|share| share.density * share.events as f64)
            .sum::<f64>()
            + left as f64
    }

    /// What each rollup answers of the day, the one with the fewest rows first. That one covers less than another is taken
    /// for covering a part of it.
    fn shares(&self, day: &Day) -> Vec<Share> {
        let shares = self.rollups.iter().filter_map(|nth| {
            let held = day.held.get(*nth)?;
            Some(Share {
                rollup: *nth,
                density: held.density()?,
                events: held.covered,
            })
        });
        let mut shares: Vec<_> = shares.filter(|share| !self.or_events || share.density < 1.0).collect();
        shares.sort_by(|a, b| a.density.total_cmp(&b.density));
        let mut answered = 0;
        for share in &mut shares {
            share.events = share.events.saturating_sub(answered);
            answered += share.events;
        }
        shares.retain(|share| share.events > 0);
        shares
    }
}

/// The events of a day that one rollup answers for.
#[derive(Debug)]
struct Share {
    rollup: usize,
    density: f64,
    events: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(covered: u64, rows: u64) -> Held {
        Held {
            covered,
            rows,
            is_cut: false,
        }
    }

    fn cut(covered: u64, rows: u64) -> Held {
        Held {
            is_cut: true,
            ..whole(covered, rows)
        }
    }

    fn day(date: i32, held: &[Held]) -> Day {
        Day {
            date,
            events: 1_000,
            held: held.to_vec(),
        }
    }

    fn mixed(days: &[Day]) -> Option<Mix> {
        by_rows(days, |_, _| true)
    }

    #[test]
    fn rollup_with_fewest_rows_answers_alone() {
        let days = [
            day(1, &[whole(1_000, 20), whole(1_000, 10)]),
            day(2, &[whole(900, 20), whole(900, 10)]),
        ];
        assert_eq!(mixed(&days), Some(Mix::new(vec![1], [])));
        assert_eq!(mixed(&days).unwrap().only(), Some(1));
    }

    #[test]
    fn events_are_read_where_nothing_has_fewer_rows() {
        assert_eq!(mixed(&[]), None);
        assert_eq!(mixed(&[day(1, &[])]), None);
        assert_eq!(mixed(&[day(1, &[whole(0, 0)])]), None);
        assert_eq!(mixed(&[day(1, &[whole(1_000, 1_000)])]), None);
        let one_is_dense = [
            day(1, &[whole(1_000, 10)]),
            day(2, &[whole(1_000, 5_000)]),
            day(3, &[whole(1_000, 10)]),
        ];
        assert_eq!(mixed(&one_is_dense), None, "the whole is more than the events");
        let one_is_dense = [
            day(1, &[whole(1_000, 10)]),
            day(2, &[whole(1_000, 1_900)]),
            day(3, &[whole(1_000, 10)]),
        ];
        let mix = mixed(&one_is_dense).unwrap();
        assert_eq!([1, 2, 3].map(|day| mix.order(day).to_vec()), [vec![0], vec![], vec![0]]);
    }

    #[test]
    fn finer_rollup_answers_at_the_edges() {
        let days = [
            day(1, &[cut(0, 0), cut(1_000, 50)]),
            day(2, &[whole(1_000, 10), whole(1_000, 240)]),
            day(3, &[whole(1_000, 10), whole(1_000, 240)]),
            day(4, &[cut(0, 0), whole(1_000, 100)]),
        ];
        let mix = mixed(&days).unwrap();
        assert_eq!(mix.only(), None);
        assert_eq!(mix.order(2), [0]);
        assert_eq!(mix.order(4), [1]);
    }

    #[test]
    fn rollup_with_a_part_of_history_is_first_where_it_is() {
        let days = [
            day(1, &[whole(1_000, 300), whole(0, 0)]),
            day(2, &[whole(1_000, 300), whole(500, 5)]),
            day(3, &[whole(1_000, 300), whole(1_000, 10)]),
        ];
        let mix = mixed(&days).unwrap();
        assert_eq!(mix.order(1), [0]);
        assert_eq!(mix.order(2), [1, 0]);
        assert_eq!(mix.order(3), [1]);
        assert_eq!(
            by_rows(&days, |_, _| false).unwrap().only(),
            Some(0),
            "they don't merge"
        );
    }

    #[test]
    fn little_is_not_worth_another_rollup() {
        let days = [
            day(1, &[whole(1_000, 100), whole(1_000, 95)]),
            day(2, &[whole(1_000, 95), whole(1_000, 101)]),
        ];
        assert!(mixed(&days).unwrap().only().is_some());
    }

    #[test]
    fn used_rollups_are_numbered_anew() {
        let mix = Mix::new(vec![4], [(1, vec![2, 4]), (2, vec![4]), (3, Vec::new())]);
        let (mix, used) = mix.renumbered();
        assert_eq!(used, [4, 2]);
        assert_eq!(
            [0, 1, 2, 3].map(|day| mix.order(day).to_vec()),
            [vec![0], vec![1, 0], vec![0], vec![]]
        );
    }
}
