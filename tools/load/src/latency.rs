//! A histogram of durations: bounded memory, quantiles to within one percent.

use std::time::Duration;

use serde::Serialize;

/// Each power of two of microseconds is divided into so many buckets.
const BUCKETS_BITS: u32 = 7;
const BUCKETS: u64 = 1 << BUCKETS_BITS;

/// How often each duration was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    /// Microseconds.
    longest: u64,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Histogram {
    pub(crate) fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(micros);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.longest = self.longest.max(micros);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were seen.
    pub(crate) fn count(&self) -> u64 {
        self.total
    }

    /// `None` if nothing was seen.
    pub(crate) fn quantiles(&self) -> Option<Quantiles> {
        (self.total > 0).then(|| Quantiles {
            p50: self.millis(50),
            p95: self.millis(95),
            p99: self.millis(99),
            max: self.longest as f64 / 1_000.0,
        })
    }

    /// What so many percent do not exceed, rounded up to the bucket's end.
    fn millis(&self, percent: u64) -> f64 {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in (0..).zip(&self.counts) {
            seen += count;
            if seen >= rank {
                return last_of(bucket).min(self.longest) as f64 / 1_000.0;
            }
        }
        self.longest as f64 / 1_000.0
    }
}

fn bucket_of(micros: u64) -> usize {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(BUCKETS_BITS + 1);
    usize::try_from(u64::from(shift) * BUCKETS + (micros >> shift)).unwrap_or(usize::MAX)
}

/// The longest duration of a bucket, in microseconds.
fn last_of(bucket: u64) -> u64 {
    let shift = (bucket / BUCKETS).saturating_sub(1);
    let index = bucket - shift * BUCKETS;
    ((index + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_one_percent() {
        let mut histogram = Histogram::default();
        for micros in 1..=100_000 {
            histogram.add(Duration::from_micros(micros));
        }
        let found = histogram.quantiles().unwrap();
        for (found, exact) in [(found.p50, 50.0), (found.p95, 95.0), (found.p99, 99.0)] {
            assert!(found >= exact && found <= exact * 1.01, "{found} for {exact}");
        }
        assert_eq!(found.max, 100.0);
    }

    #[test]
    fn buckets_are_contiguous() {
        for micros in (0..2_000).chain([1 << 20, (1 << 20) - 1, 123_456_789]) {
            let last = last_of(bucket_of(micros) as u64);
            assert!(micros <= last && last <= micros + micros / 128 + 1, "{micros}: {last}");
            assert_eq!(bucket_of(last) + 1, bucket_of(last + 1));
        }
    }

    #[test]
    fn merge_equals_one_histogram() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.add(Duration::from_micros(100));
        other.add(Duration::from_millis(9));
        other.merge(&one);
        let found = other.quantiles().unwrap();
        assert_eq!((found.p50, found.max), (0.1, 9.0));
        assert_eq!(Histogram::default().quantiles(), None);
    }
}
