//! Which quarters of an hour some times lie in.

use std::sync::Arc;

use arrow::array::{Array, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{max, min};
use footfall_model::clock::Micros;

const QUARTER: Micros = 15 * 60 * 1_000_000;

/// The largest table of quarters, for about two years.
const MAX_SPAN: i64 = 70_000;

/// The quarters of an hour in which some times lie.
pub(super) struct Quarters {
    /// The first microsecond of each.
    pub(super) first: Vec<Micros>,
    /// The quarter of each row.
    pub(super) of_rows: UInt32Array,
}

impl Quarters {
    /// `None` if they are so many that nothing is gained.
    pub(super) fn of(times: &TimestampMicrosecondArray) -> Option<Self> {
        const UNSEEN: u32 = u32::MAX;
        let (earliest, latest) = (min(times)?.div_euclid(QUARTER), max(times)?.div_euclid(QUARTER));
        let span = latest.checked_sub(earliest).filter(|span| *span < MAX_SPAN)?;
        // The first and the last microsecond of all of them are times.
        earliest.checked_mul(QUARTER)?;
        latest.checked_add(1)?.checked_mul(QUARTER)?;
        let mut table = vec![UNSEEN; usize::try_from(span).ok()? + 1];
        let mut first = Vec::new();
        let mut index = |time: Micros| {
            let quarter = time.div_euclid(QUARTER);
            // What lies behind a null is any value.
            let slot = usize::try_from(quarter.wrapping_sub(earliest)).unwrap_or(usize::MAX);
            let Some(slot) = table.get_mut(slot) else { return 0 };
            if *slot == UNSEEN {
                *slot = u32::try_from(first.len()).unwrap_or(UNSEEN);
                first.push(quarter * QUARTER);
            }
            *slot
        };
        let indices = times.values().iter().map(|time| index(*time)).collect();
        let of_rows = UInt32Array::new(indices, times.nulls().cloned());
        (first.len() * 4 < times.len()).then_some(Self { first, of_rows })
    }

    /// The first microseconds of all, and then the last ones.
    pub(super) fn edges(&self, zone: Option<&str>) -> TimestampMicrosecondArray {
        let last = self.first.iter().map(|first| first + QUARTER - 1);
        let edges = self.first.iter().copied().chain(last);
        TimestampMicrosecondArray::from_iter_values(edges).with_timezone_opt(zone.map(Arc::<str>::from))
    }
}
