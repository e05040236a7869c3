//! Whether the clocks of a zone are set on borders of buckets.

use std::collections::HashMap;
use std::sync::LazyLock;

use arrow::array::timezone::Tz;
use chrono::{DateTime, Offset, TimeZone};
use footfall_model::rollup::Grain;
use parking_lot::Mutex;

/// Of the times that events can have: they are never older.
const FIRST_YEAR: i64 = 1970;
const LAST_YEAR: i64 = 2100;
const DAY: i64 = 86_400;
/// More zones than there are names for are not kept.
const MAX_KEPT: usize = 4_096;

/// Whether in this zone every local hour begins on a border of `grain`'s buckets, on every day, and the clocks are only
/// ever set on such a border. So it is for all zones of today and 15 minutes; for hours it is not in India.
pub(super) fn keeps_borders(zone: &str, grain: Grain) -> bool {
    static KNOWN: LazyLock<Mutex<HashMap<(String, i64), bool>>> = LazyLock::new(Mutex::default);
    // Names that are none are not kept.
    let Ok(parsed) = zone.parse::<Tz>() else {
        return false;
    };
    let bucket = grain.micros() / 1_000_000;
    let key = (zone.to_owned(), bucket);
    if let Some(known) = KNOWN.lock().get(&key) {
        return *known;
    }
    let keeps = offsets_fit(parsed, bucket);
    let mut known = KNOWN.lock();
    if known.len() < MAX_KEPT {
        known.insert(key, keeps);
    }
    keeps
}

fn offsets_fit(zone: Tz, bucket: i64) -> bool {
    let offset = |at: i64| {
        let at = DateTime::from_timestamp(at, 0)?.naive_utc();
        Some(i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc()))
    };
    let days = (LAST_YEAR - FIRST_YEAR) * 366;
    let mut before = offset(0);
    for day in 0..days {
        let (start, end) = (day * DAY, (day + 1) * DAY);
        let after = offset(end);
        if before.is_none_or(|offset| offset % bucket != 0) {
            return false;
        }
        if before != after && change(&offset, start, end).rem_euclid(bucket) != 0 {
            return false;
        }
        before = after;
    }
    true
}

/// The second from which on another offset holds, between two at which they differ.
fn change(offset: &impl Fn(i64) -> Option<i64>, mut start: i64, mut end: i64) -> i64 {
    let before = offset(start);
    while end - start > 1 {
        let middle = start + (end - start) / 2;
        if offset(middle) == before {
            start = middle;
        } else {
            end = middle;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_fit_the_buckets_that_their_offsets_divide() {
        for (zone, quarters, hours, days) in [
            ("Europe/Brussels", true, true, false),
            ("Asia/Kathmandu", true, false, false),
            ("Australia/Lord_Howe", true, false, false),
            ("Asia/Kolkata", true, false, false),
            ("+05:45", true, false, false),
            ("-03:00", true, true, false),
            ("+00:07", false, false, false),
            // Liberia was 44.5 minutes behind UTC until 1972.
            ("Africa/Monrovia", false, false, false),
            ("Etc/UTC", true, true, true),
            ("nowhere", false, false, false),
        ] {
            let keeps = [Grain::QuarterHour, Grain::Hour, Grain::Day].map(|grain| keeps_borders(zone, grain));
            assert_eq!(keeps, [quarters, hours, days], "{zone}");
        }
    }
}
