//! Times and durations as requests and replies write them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use footfall_catalog::CatalogError;
use footfall_model::clock::Micros;
use serde::{Deserialize, Serialize};

use super::invalid;

/// UTC microseconds, written as RFC 3339.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(in crate::admin) struct TimeText(pub(in crate::admin) Micros);

impl From<TimeText> for String {
    fn from(time: TimeText) -> Self {
        format_time(time.0)
    }
}

impl TryFrom<String> for TimeText {
    type Error = CatalogError;

    fn try_from(text: String) -> Result<Self, CatalogError> {
        parse_time(&text).map(Self)
    }
}

/// Times past chrono's last year, 262142, are written as that.
pub(super) fn format_time(at: Micros) -> String {
    let limit = if at < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    DateTime::from_timestamp_micros(at)
        .unwrap_or(limit)
        .to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

pub(super) fn parse_time(text: &str) -> Result<Micros, CatalogError> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.timestamp_micros())
        .map_err(|error| {
            invalid(
                "expires_at",
                format!("{error}; expected RFC 3339, such as 2027-01-31T00:00:00Z"),
            )
        })
}

pub(super) fn parse_expires_in(text: &str, now: Micros) -> Result<Micros, CatalogError> {
    let after = humantime::parse_duration(text)
        .map_err(|error| invalid("expires_in", format!("{error}; expected a duration such as 90d or 12h")))?;
    later(now, after).ok_or_else(|| {
        invalid(
            "expires_in",
            "is too long; leave it out for a token that never expires".into(),
        )
    })
}

fn later(now: Micros, after: Duration) -> Option<Micros> {
    now.checked_add(Micros::try_from(after.as_micros()).ok()?)
}
