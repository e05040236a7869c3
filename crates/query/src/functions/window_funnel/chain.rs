//! How far a chain of conditions is met. Pure.

use std::str::FromStr;

/// What ends or interrupts a chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Modes {
    /// An event without any of the conditions, or with one out of turn, ends the search.
    pub(super) strict_order: bool,
    /// A condition that is met again ends the search.
    pub(super) strict_deduplication: bool,
    /// Each event must be later than the one before, not at the same time.
    pub(super) strict_increase: bool,
}

impl Modes {
    pub(super) fn add(&mut self, other: Self) {
        self.strict_order |= other.strict_order;
        self.strict_deduplication |= other.strict_deduplication;
        self.strict_increase |= other.strict_increase;
    }
}

impl FromStr for Modes {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut modes = Self::default();
        match name {
            "strict_order" => modes.strict_order = true,
            "strict_deduplication" => modes.strict_deduplication = true,
            "strict_increase" => modes.strict_increase = true,
            _ => {
                return Err(format!(
                    "window_funnel has no mode {name:?}; there are strict_order, strict_deduplication and strict_increase"
                ));
            }
        }
        Ok(modes)
    }
}

/// The level of an event that meets no condition; kept only for [`Modes::strict_order`].
pub(super) const NO_CONDITION: u8 = 0;

/// An event that meets the condition `level`, counted from 1. One that meets several is there several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    pub(super) time: i64,
    pub(super) level: u8,
}

/// The number of consecutive conditions, from the first, that are met within `window` of the first one's event.
///
/// As ClickHouse's `windowFunnel`: `matches` are sorted by time, then level, so that one event may meet several conditions
/// of a chain. The search is greedy: of each level it keeps the chain that began last.
pub(super) fn longest_chain(matches: impl Iterator<Item = Match>, steps: usize, window: i64, modes: Modes) -> usize {
    // Of each level that is reached: the times of the chain's first and last event.
    let mut reached: Vec<Option<(i64, i64)>> = vec![None; steps];
    let longest = |reached: &[Option<_>]| reached.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let mut begun = false;
    for Match { time, level } in matches {
        let Some(step) = usize::from(level).checked_sub(1) else {
            if modes.strict_order && begun {
                break;
            }
            continue;
        };
        let Some(before) = step.checked_sub(1) else {
            reached[0] = Some((time, time));
            begun = true;
            continue;
        };
        if modes.strict_deduplication && reached[step].is_some() {
            break;
        }
        let Some((first, last)) = reached[before] else {
            if modes.strict_order && begun {
                let gap = reached.iter().position(Option::is_none);
                return gap.unwrap_or(steps);
            }
            continue;
        };
        let in_window = time <= first.saturating_add(window) && (!modes.strict_increase || last < time);
        if in_window {
            reached[step] = Some((first, time));
            if step + 1 == steps {
                return steps;
            }
        }
    }
    longest(&reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A` meets the first condition, `B` the second…, `-` none; a digit after it is the time, else it is one later.
    fn level(history: &str, modes: &[&str]) -> usize {
        let mut time = 0;
        let mut all = Modes::default();
        for mode in modes {
            all.add(mode.parse().unwrap());
        }
        let mut matches: Vec<Match> = history
            .split(' ')
            .flat_map(|event| {
                let (letters, at) = event.split_at(event.find(|c: char| c.is_ascii_digit()).unwrap_or(event.len()));
                time = at.parse().unwrap_or(time + 1);
                let levels: Vec<u8> = letters
                    .bytes()
                    .map(|letter| letter.checked_sub(b'A').map_or(NO_CONDITION, |level| level + 1))
                    .collect();
                levels.into_iter().map(move |level| Match { time, level })
            })
            .collect();
        matches.sort_unstable();
        longest_chain(matches.into_iter(), 4, 10, all)
    }

    #[test]
    fn chain_is_met_in_order_within_the_window() {
        for (history, expected) in [
            ("A B C D", 4),
            ("D C B A", 1),
            ("D C", 0),
            ("A - B - C - D", 4),
            ("A1 B5 C11 D12", 3),
            ("A1 B5 C12", 2),
            ("A1 A5 B6 C14 D15", 4),
            ("A1 B2 A9 C11", 3),
            ("AB1 C2", 3),
            ("B1 A1", 2),
        ] {
            assert_eq!(level(history, &[]), expected, "{history}");
        }
    }

    /// The cases that ClickHouse's documentation and tests name.
    #[test]
    fn modes_end_the_search() {
        for (history, mode, expected) in [
            ("A B D C", "strict_order", 2),
            ("A - B", "strict_order", 1),
            ("- A B", "strict_order", 2),
            ("D A B C", "strict_order", 3),
            ("A B C B D", "strict_deduplication", 3),
            ("A A B C D", "strict_deduplication", 4),
            ("A1 B1 C2", "strict_increase", 1),
            ("A1 B2 C2 D3", "strict_increase", 2),
            ("A1 B2 C3 D4", "strict_increase", 4),
        ] {
            assert_eq!(level(history, &[mode]), expected, "{history} {mode}");
        }
        assert_eq!(level("A1 B2 D3", &["strict_order", "strict_increase"]), 2);
        assert!(
            "strict"
                .parse::<Modes>()
                .unwrap_err()
                .contains("there are strict_order")
        );
    }

    #[test]
    fn largest_window_and_times_do_not_overflow() {
        let at = |time, level| Match { time, level };
        let ends = [at(i64::MIN, 1), at(i64::MAX - 1, 1), at(i64::MAX, 2)];
        assert_eq!(longest_chain(ends.into_iter(), 2, i64::MAX, Modes::default()), 2);
    }
}
