//! When visits begin: by the local hour and day of the week.

use std::ops::Range;

use footfall_model::clock::Micros;
use rand::{Rng, RngExt};

use super::DAY;

const MINUTE: Micros = 60_000_000;
const HOUR: Micros = 60 * MINUTE;

/// Visits in each hour of a local day, relative to the busiest: quiet nights, a busy noon, a busier evening.
const HOURS: [f64; 24] = [
    0.22, 0.14, 0.09, 0.07, 0.07, 0.11, 0.22, 0.38, 0.55, 0.68, 0.75, 0.79, 0.83, 0.80, 0.76, 0.74, 0.75, 0.79, 0.86,
    0.95, 1.0, 0.93, 0.70, 0.42,
];

/// Visits on each day of the week, Monday first, relative to the busiest.
const WEEK: [f64; 7] = [0.95, 1.0, 1.0, 0.97, 0.88, 0.66, 0.72];

/// Growth of each further day.
const GROWTH: f64 = 0.01;

/// Attempts to draw a busy moment; after these any moment is taken.
const ATTEMPTS: usize = 64;

/// `days` windows of 24 hours that end at `now`, and the number of events of each: exactly `events` in all.
pub(super) fn days(now: Micros, days: u16, events: u64) -> Vec<(Range<Micros>, u64)> {
    let count = Micros::from(days);
    let windows: Vec<_> = (0..count)
        .map(|day| now - (count - day) * DAY..now - (count - day - 1) * DAY)
        .collect();
    let weights = windows.iter().zip(0..).map(|(window, day)| {
        let middle = window.start + DAY / 2;
        WEEK[weekday(middle)] * (1.0 + GROWTH * f64::from(day))
    });
    let weights: Vec<f64> = weights.collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let mut given = 0;
    let last = windows.len().saturating_sub(1);
    windows
        .into_iter()
        .zip(weights)
        .enumerate()
        .map(|(index, (window, weight))| {
            sum += weight;
            // Rounding the running sum, not the shares, keeps the total exact.
            let upto = if index == last {
                events
            } else {
                (events as f64 * sum / total).round() as u64
            };
            let share = upto.min(events) - given;
            given += share;
            (window, share)
        })
        .collect()
}

/// A moment of the window, likelier where the local clock shows a busy hour of a busy day.
pub(super) fn moment(rng: &mut impl Rng, window: &Range<Micros>, offset_minutes: i16) -> Micros {
    let mut at = window.start;
    for _ in 0..ATTEMPTS {
        at = rng.random_range(window.clone());
        if rng.random::<f64>() < weight(at, offset_minutes) {
            break;
        }
    }
    at
}

/// Relative activity, from 0 to 1.
fn weight(at: Micros, offset_minutes: i16) -> f64 {
    let local = at + Micros::from(offset_minutes) * MINUTE;
    HOURS[hour(local)] * WEEK[weekday(local)]
}

fn hour(at: Micros) -> usize {
    (at.rem_euclid(DAY) / HOUR) as usize
}

/// 0 is Monday; 1970-01-01 was a Thursday.
fn weekday(at: Micros) -> usize {
    (at.div_euclid(DAY) + 3).rem_euclid(7) as usize
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// 2026-02-02T00:00:00Z, a Monday.
    const MONDAY: Micros = 1_769_990_400_000_000;

    #[test]
    fn week_begins_on_monday() {
        assert_eq!(weekday(MONDAY), 0);
        assert_eq!(weekday(MONDAY - 1), 6);
        assert_eq!(hour(MONDAY + 13 * HOUR + 59 * MINUTE), 13);
        assert_eq!(hour(-1), 23);
    }

    #[test]
    fn days_are_contiguous_and_share_all_events() {
        for (count, events) in [(1, 7), (31, 100_000), (31, 5), (390, 1)] {
            let days = days(MONDAY, count, events);
            assert_eq!(days.len(), usize::from(count));
            assert_eq!(days.iter().map(|(_, share)| share).sum::<u64>(), events);
            assert!(days.windows(2).all(|pair| pair[0].0.end == pair[1].0.start));
            assert_eq!(days.last().map(|(window, _)| window.end), Some(MONDAY));
        }
    }

    #[test]
    fn weekends_are_quieter() {
        // Seven windows that begin on Monday, and the growth is small beside the weekend.
        let shares: Vec<_> = days(MONDAY, 7, 100_000).into_iter().map(|(_, share)| share).collect();
        let (week, end) = shares.split_at(5);
        assert!(end.iter().max() < week.iter().min(), "{shares:?}");
    }

    #[test]
    fn local_evenings_are_busy() {
        let mut rng = StdRng::seed_from_u64(1);
        for offset in [-480, 0, 345] {
            let mut hours = [0u32; 24];
            for _ in 0..5_000 {
                let at = moment(&mut rng, &(MONDAY..MONDAY + DAY), offset);
                hours[hour(at + Micros::from(offset) * MINUTE)] += 1;
            }
            let (evening, night) = (hours[19] + hours[20], hours[3] + hours[4]);
            assert!(evening > 5 * night, "{offset}: {hours:?}");
        }
    }
}
