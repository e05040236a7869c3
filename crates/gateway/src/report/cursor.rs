//! Where the next page of a report begins. A cursor fixes the range, so that `last_7_days` does not move between pages,
//! and fits only the request that it was made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::dates::Period;
use super::request::ReportRequest;
use crate::problem::Problem;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cursor {
    #[serde(rename = "o")]
    pub(super) offset: usize,
    #[serde(rename = "f")]
    from: i64,
    #[serde(rename = "t")]
    to: i64,
    #[serde(rename = "d")]
    days: Option<(NaiveDate, NaiveDate)>,
    #[serde(rename = "q")]
    request: u64,
}

/// Offsets beyond this are nobody's.
const MAX_OFFSET: usize = 10_000_000;

impl Cursor {
    pub(super) fn new(request: &ReportRequest, period: Period, offset: usize) -> Self {
        Self {
            offset,
            from: period.from.timestamp_micros(),
            to: period.to.timestamp_micros(),
            days: period.days,
            request: digest(request),
        }
    }

    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn decode(text: &str, request: &ReportRequest) -> Result<Self, Problem> {
        let invalid = |detail| Problem::invalid("cursor", detail);
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let cursor = cursor.filter(|cursor| cursor.offset <= MAX_OFFSET && cursor.period().is_some());
        let cursor = cursor.ok_or_else(|| invalid("the cursor is not one that a reply had as `next_cursor`"))?;
        if cursor.request != digest(request) {
            return Err(invalid(
                "the cursor belongs to another request; only `limit` may differ between pages",
            ));
        }
        Ok(cursor)
    }

    /// `None` if no reply has had it.
    pub(super) fn period(&self) -> Option<Period> {
        let from = DateTime::<Utc>::from_timestamp_micros(self.from)?;
        let to = DateTime::<Utc>::from_timestamp_micros(self.to)?;
        let period = Period {
            from,
            to,
            days: self.days,
        };
        period.is_possible().then_some(period)
    }
}

/// Of all that decides which rows there are and in which order.
fn digest(request: &ReportRequest) -> u64 {
    let of = (
        (
            &request.tracking_id,
            &request.date_range,
            &request.metrics,
            &request.dimensions,
        ),
        (
            &request.filters,
            &request.segments,
            &request.order_by,
            &request.time_zone,
            request.fill,
        ),
        (request.sampling, request.sample_rate),
    );
    xxh3_64(&serde_json::to_vec(&of).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_cursors_are_refused() {
        let request = serde_json::json!({"tracking_id": "a", "metrics": ["events"], "date_range": "today"});
        let request: ReportRequest = serde_json::from_value(request).unwrap();
        let day = 86_400_000_000;
        let cursor = |from, to, days| Cursor {
            offset: 5,
            from,
            to,
            days,
            request: digest(&request),
        };
        let decoded = |cursor: Cursor| Cursor::decode(&cursor.encode(), &request).is_ok();
        assert!(decoded(cursor(day, 2 * day, None)));
        assert!(!decoded(cursor(day, day, None)));
        assert!(!decoded(cursor(
            -8_204_807_520_000_000_000,
            8_204_807_520_000_000_000,
            None
        )));
        let (first, last) = (NaiveDate::MIN, NaiveDate::from_ymd_opt(2026, 1, 1).unwrap());
        assert!(!decoded(cursor(day, 2 * day, Some((first, last)))));
        assert!(!decoded(cursor(day, 2 * day, Some((last, first)))));
    }
}
