//! The range of days in the address of a GET request.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::Gateway;
use crate::problem::Problem;
use crate::report::SiteZone;
use crate::report::dates::{self, Period};

/// Of a request that names none.
const DEFAULT: &str = "last_30_days";

/// A period and the time zone of its days.
pub(super) struct Range {
    pub(super) period: Period,
    pub(super) zone: chrono_tz::Tz,
}

impl Gateway {
    /// As [`parse`], with the site's zone by default.
    pub(super) fn range(
        &self,
        site: SiteZone,
        dates: (Option<&str>, Option<&str>),
        word: Option<&str>,
        time_zone: Option<&str>,
    ) -> Result<Range, Problem> {
        parse(self.now(), site.zone, dates, word, time_zone)
    }
}

/// `start_date` and `end_date`, or `date_range=last_7_days`.
pub(super) fn parse(
    now: DateTime<Utc>,
    zone: Tz,
    (start, end): (Option<&str>, Option<&str>),
    word: Option<&str>,
    time_zone: Option<&str>,
) -> Result<Range, Problem> {
    let zone = match time_zone {
        Some(name) => dates::zone(name, "time_zone")?,
        None => zone,
    };
    let given: Value = match (start, end, word) {
        (Some(start), Some(end), None) => json!({"start": start, "end": end}),
        (None, None, Some(word)) => json!(word),
        (None, None, None) => json!(DEFAULT),
        (_, _, Some(_)) => {
            return Err(Problem::invalid(
                "date_range",
                "give either `date_range` or `start_date` and `end_date`",
            ));
        }
        _ => {
            return Err(Problem::invalid(
                "end_date",
                "`start_date` and `end_date` belong together",
            ));
        }
    };
    let period = Period::parse(&given, "date_range", now, zone)?;
    Ok(Range { period, zone })
}
