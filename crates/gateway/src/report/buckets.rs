//! The periods of a time dimension, by their starts: exactly those that `date_trunc` gives in the report's time zone.

use chrono::{DateTime, Duration, LocalResult, NaiveDate, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::dates::{self, Period};
use crate::vocabulary::TimeUnit;

/// The start of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    Date(NaiveDate),
    Time(DateTime<Utc>),
}

/// Buckets at equal distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: Bucket,
    pub(crate) last: Bucket,
    /// The number of the first, from the start of the period.
    pub(crate) number: usize,
}

impl Period {
    /// The buckets of length `unit` that this period touches; `None` if they are more than `limit`.
    pub(crate) fn buckets(&self, unit: TimeUnit, zone: Tz, limit: usize) -> Option<Vec<Bucket>> {
        let found: Vec<Bucket> = self.starts(unit, zone).take(limit.saturating_add(1)).collect();
        (found.len() <= limit).then_some(found)
    }

    /// The same, as runs: one, but for zones whose clocks change by half an hour.
    pub(crate) fn runs(&self, unit: TimeUnit, zone: Tz) -> Vec<Run> {
        let mut starts = self.starts(unit, zone);
        let Some(first) = starts.next() else {
            return Vec::new();
        };
        match (unit, first) {
            (TimeUnit::Hour, Bucket::Time(first)) => hour_runs(first, self.to, zone),
            (TimeUnit::Minute, Bucket::Time(_)) => {
                let last = Bucket::Time(whole_minute(self.to - Duration::microseconds(1)));
                vec![Run { first, last, number: 0 }]
            }
            _ => vec![Run {
                first,
                last: starts.last().unwrap_or(first),
                number: 0,
            }],
        }
    }

    fn starts(&self, unit: TimeUnit, zone: Tz) -> Box<dyn Iterator<Item = Bucket>> {
        if unit.is_days() {
            let last = (self.to - Duration::microseconds(1)).with_timezone(&zone).date_naive();
            let first = dates::truncated(self.from.with_timezone(&zone).date_naive(), unit);
            let days = std::iter::successors(Some(first), move |start| dates::next(*start, unit));
            return Box::new(days.take_while(move |start| *start <= last).map(Bucket::Date));
        }
        let to = self.to;
        let first = match unit {
            TimeUnit::Hour => hour_of(self.from, zone),
            _ => whole_minute(self.from),
        };
        let times = std::iter::successors(Some(first), move |start| match unit {
            TimeUnit::Hour => Some(next_hour(*start, zone)),
            _ => Some(*start + Duration::minutes(1)),
        });
        Box::new(times.take_while(move |start| *start < to).map(Bucket::Time))
    }
}

fn hour_runs(first: DateTime<Utc>, to: DateTime<Utc>, zone: Tz) -> Vec<Run> {
    const WEEK: usize = 7 * 24;
    let week = Duration::weeks(1);
    let mut runs = Vec::new();
    let mut run = (first, first, 0);
    let mut number = 0;
    loop {
        let (begin, last, begin_number) = run;
        // No zone changes its clocks and changes them back within a week.
        let (next, hours) = match last + week < to && is_hour_later(last, last + week, zone) {
            true => (last + week, WEEK),
            false => (next_hour(last, zone), 1),
        };
        number += hours;
        if next < to && (hours == WEEK || next - last == Duration::hours(1)) {
            run.1 = next;
            continue;
        }
        runs.push(Run {
            first: Bucket::Time(begin),
            last: Bucket::Time(last),
            number: begin_number,
        });
        if next >= to {
            return runs;
        }
        run = (next, next, number);
    }
}

fn whole_minute(time: DateTime<Utc>) -> DateTime<Utc> {
    let into = Duration::seconds(time.second().into()) + Duration::nanoseconds(time.nanosecond().into());
    time - into
}

/// The start of the local hour that `time` is in, as `date_trunc` has it: where clocks skip the hour's start, the moment
/// at which they skip it; where they go back by half an hour, the hour has 90 minutes.
fn hour_of(time: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let local = time.with_timezone(&zone);
    let offset = local.offset().fix();
    let naive = local.naive_local();
    let into = Duration::seconds(i64::from(naive.minute() * 60 + naive.second()))
        + Duration::nanoseconds(naive.nanosecond().into());
    let start = naive - into;
    let found = match zone.from_local_datetime(&start) {
        LocalResult::Single(start) => Some(start.with_timezone(&Utc)),
        LocalResult::Ambiguous(one, other) => {
            let same = if one.offset().fix() == offset { one } else { other };
            Some(same.with_timezone(&Utc))
        }
        LocalResult::None => {
            let before = Duration::hours(3);
            let earlier = zone.from_local_datetime(&(start - before)).single();
            earlier.map(|earlier| earlier.with_timezone(&Utc) + before)
        }
    };
    found.unwrap_or(time - into)
}

/// The start of the hour after the one that starts at `start`.
fn next_hour(start: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let later = start + Duration::hours(1);
    if is_hour_later(start, later, zone) {
        return later;
    }
    // Clocks change on a quarter of an hour.
    let quarters = (1..=12).map(|quarter| start + Duration::minutes(15 * quarter));
    let mut starts = quarters.map(|time| hour_of(time, zone));
    starts.find(|found| *found > start).unwrap_or(later)
}

/// Whether `later` is the start of an hour, too, with the clocks as they were.
fn is_hour_later(start: DateTime<Utc>, later: DateTime<Utc>, zone: Tz) -> bool {
    offset_of(start, zone) == offset_of(later, zone) && hour_of(later, zone) == later
}

fn offset_of(time: DateTime<Utc>, zone: Tz) -> i32 {
    time.with_timezone(&zone).offset().fix().local_minus_utc()
}

#[cfg(test)]
mod tests;
