//! Date ranges in a time zone: by dates, by times, or by words.

use chrono::{
    DateTime, Datelike, Days, Duration, LocalResult, Months, NaiveDate, NaiveTime, SecondsFormat, TimeZone, Utc,
};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::problem::{Problem, printable};
use crate::vocabulary::TimeUnit;

/// Names of ranges; `N` is a number.
pub(crate) const PRESETS: [&str; 14] = [
    "today",
    "yesterday",
    "last_N_minutes",
    "last_N_hours",
    "last_N_days",
    "week_to_date",
    "month_to_date",
    "quarter_to_date",
    "year_to_date",
    "last_week",
    "last_month",
    "last_quarter",
    "last_year",
    "{\"start\", \"end\"}",
];

/// What a range is compared with.
pub(crate) const COMPARISONS: [&str; 4] = [
    "previous_period",
    "same_weekdays",
    "previous_year",
    "{\"start\", \"end\"}",
];

/// Times that fit into every type of the engine.
const FIRST_YEAR: i32 = 1970;
const LAST_YEAR: i32 = 2200;

/// From one moment to another, which is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    /// The first and the last of its days, if it consists of days.
    pub(crate) days: Option<(NaiveDate, NaiveDate)>,
}

impl Period {
    /// Whether it has an end after its beginning, and times that can be calculated with.
    pub(super) fn is_possible(&self) -> bool {
        let years = FIRST_YEAR..=LAST_YEAR;
        let days = self
            .days
            .is_none_or(|(first, last)| first <= last && years.contains(&first.year()) && years.contains(&last.year()));
        days && self.from < self.to && years.contains(&self.from.year()) && years.contains(&self.to.year())
    }

    /// Whole days, the last included.
    pub(crate) fn days(first: NaiveDate, last: NaiveDate, zone: Tz) -> Self {
        Self {
            from: start_of_day(first, zone),
            to: start_of_day(last + Days::new(1), zone),
            days: Some((first, last)),
        }
    }

    fn times(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        Self { from, to, days: None }
    }

    /// `{"start": …, "end": …}` or a word.
    pub(crate) fn parse(given: &Value, field: &str, now: DateTime<Utc>, zone: Tz) -> Result<Self, Problem> {
        match given {
            Value::String(word) => {
                Self::of_word(word, now, zone).ok_or_else(|| Problem::unknown(field, "range", word, PRESETS))
            }
            Value::Object(bounds) => {
                if let Some(other) = bounds.keys().find(|key| !["start", "end"].contains(&key.as_str())) {
                    return Err(Problem::unknown(
                        format!("{field}.{}", printable(other)),
                        "key",
                        other,
                        ["start", "end"],
                    ));
                }
                let bound = |key: &str| {
                    let text = bounds.get(key).and_then(Value::as_str);
                    text.ok_or_else(|| {
                        Problem::invalid(format!("{field}.{key}"), "a date such as 2026-01-31 is needed here")
                    })
                };
                Self::between(bound("start")?, bound("end")?, field, zone)
            }
            _ => Err(Problem::invalid(
                field,
                "expected {\"start\": DATE, \"end\": DATE} or a word such as \"last_30_days\"",
            )),
        }
    }

    /// Two dates, both included, or two times, of which the second is not.
    pub(crate) fn between(start: &str, end: &str, field: &str, zone: Tz) -> Result<Self, Problem> {
        let invalid = |key: &str, text: &str| {
            Problem::invalid(
                format!("{field}.{key}"),
                format!(
                    "`{}` is neither a date such as 2026-01-31 nor a time such as 2026-01-31T10:00:00Z",
                    printable(text)
                ),
            )
        };
        let period = match (date(start), date(end)) {
            (Some(first), Some(last)) => Self::days(first, last, zone),
            (first, last) => {
                let from = first.map(|day| start_of_day(day, zone)).or_else(|| time(start));
                let to = last
                    .map(|day| start_of_day(day + Days::new(1), zone))
                    .or_else(|| time(end));
                Self::times(
                    from.ok_or_else(|| invalid("start", start))?,
                    to.ok_or_else(|| invalid("end", end))?,
                )
            }
        };
        if period.from >= period.to {
            return Err(Problem::invalid(
                format!("{field}.end"),
                "the range ends before it starts",
            ));
        }
        Ok(period)
    }

    fn of_word(word: &str, now: DateTime<Utc>, zone: Tz) -> Option<Self> {
        let today = now.with_timezone(&zone).date_naive();
        let before = |unit| truncated(truncated(today, unit) - Days::new(1), unit);
        let to_date = |unit| Some(Self::days(truncated(today, unit), today, zone));
        let whole = |unit| Some(Self::days(before(unit), truncated(today, unit) - Days::new(1), zone));
        match word {
            "today" => to_date(TimeUnit::Day),
            "yesterday" => whole(TimeUnit::Day),
            "week_to_date" => to_date(TimeUnit::Week),
            "month_to_date" => to_date(TimeUnit::Month),
            "quarter_to_date" => to_date(TimeUnit::Quarter),
            "year_to_date" => to_date(TimeUnit::Year),
            "last_week" => whole(TimeUnit::Week),
            "last_month" => whole(TimeUnit::Month),
            "last_quarter" => whole(TimeUnit::Quarter),
            "last_year" => whole(TimeUnit::Year),
            other => {
                let (number, unit) = other.strip_prefix("last_")?.split_once('_')?;
                let number: u32 = number.parse().ok().filter(|n| (1..=10_000).contains(n))?;
                match unit {
                    "days" => Some(Self::days(today - Days::new(u64::from(number) - 1), today, zone)),
                    "hours" => Some(Self::times(now - Duration::hours(number.into()), now)),
                    "minutes" => Some(Self::times(now - Duration::minutes(number.into()), now)),
                    _ => None,
                }
            }
        }
    }

    /// The range that this one is compared with.
    pub(crate) fn compared(&self, given: &Value, now: DateTime<Utc>, zone: Tz) -> Result<Self, Problem> {
        let Value::String(word) = given else {
            return Self::parse(given, "compare", now, zone);
        };
        let length = self.to - self.from;
        let unknown = || Problem::unknown("compare", "comparison", word, COMPARISONS);
        let too_early = || {
            Problem::invalid(
                "compare",
                format!("there is no such range: it would begin before {FIRST_YEAR}"),
            )
        };
        let earlier = match (word.as_str(), self.days) {
            ("previous_period", Some((first, last))) => days_earlier(first, last, day_count(first, last), zone),
            ("same_weekdays", Some((first, last))) => {
                days_earlier(first, last, day_count(first, last).div_ceil(7) * 7, zone)
            }
            ("previous_year", Some((first, last))) => {
                let year = Months::new(12);
                first
                    .checked_sub_months(year)
                    .zip(last.checked_sub_months(year))
                    .map(|(a, b)| Self::days(a, b, zone))
            }
            ("previous_period", None) => Some(Self::times(self.from - length, self.to - length)),
            ("same_weekdays", None) => {
                let weeks = Duration::weeks((length.num_seconds() + 7 * 86_400 - 1) / (7 * 86_400));
                Some(Self::times(self.from - weeks, self.to - weeks))
            }
            ("previous_year", None) => {
                let year = Months::new(12);
                self.from
                    .checked_sub_months(year)
                    .zip(self.to.checked_sub_months(year))
                    .map(|(a, b)| Self::times(a, b))
            }
            _ => return Err(unknown()),
        };
        earlier
            .filter(|period| period.from.year() >= FIRST_YEAR)
            .ok_or_else(too_early)
    }

    pub(crate) fn to_json(self) -> Value {
        match self.days {
            Some((first, last)) => json!({"start": first.to_string(), "end": last.to_string()}),
            None => json!({"start": rfc3339(self.from), "end": rfc3339(self.to)}),
        }
    }

    /// The whole weeks, months, … that it touches.
    pub(crate) fn whole(&self, unit: TimeUnit, zone: Tz) -> Self {
        let first = self.from.with_timezone(&zone).date_naive();
        let last = (self.to - Duration::microseconds(1)).with_timezone(&zone).date_naive();
        let last = next(truncated(last, unit), unit).map_or(last, |next| next - Days::new(1));
        Self::days(truncated(first, unit), last, zone)
    }
}

/// A time as replies have it: `2026-01-31T10:00:00+05:45`.
pub(crate) fn local(time: DateTime<Utc>, zone: Tz) -> String {
    time.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

pub(crate) fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (FIRST_YEAR..=LAST_YEAR).contains(&date.year()).then_some(date)
}

pub(crate) fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (FIRST_YEAR..=LAST_YEAR).contains(&time.year()).then_some(time)
}

/// The first moment of a day. Where clocks skip midnight, that is the first one after the gap.
fn start_of_day(date: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = date.and_time(NaiveTime::MIN);
    // No gap is longer than the day that Samoa skipped.
    let mut candidates =
        (0..=96).map(|quarter| zone.from_local_datetime(&(midnight + Duration::minutes(15 * quarter))));
    let start = candidates.find_map(LocalResult::earliest);
    start.map_or_else(|| midnight.and_utc(), |start| start.with_timezone(&Utc))
}

pub(super) fn truncated(date: NaiveDate, unit: TimeUnit) -> NaiveDate {
    let first_of = |month| NaiveDate::from_ymd_opt(date.year(), month, 1).unwrap_or(date);
    match unit {
        TimeUnit::Minute | TimeUnit::Hour | TimeUnit::Day => date,
        TimeUnit::Week => date - Days::new(date.weekday().num_days_from_monday().into()),
        TimeUnit::Month => first_of(date.month()),
        TimeUnit::Quarter => first_of((date.month0() / 3) * 3 + 1),
        TimeUnit::Year => first_of(1),
    }
}

pub(super) fn next(start: NaiveDate, unit: TimeUnit) -> Option<NaiveDate> {
    match unit {
        TimeUnit::Minute | TimeUnit::Hour | TimeUnit::Day => start.checked_add_days(Days::new(1)),
        TimeUnit::Week => start.checked_add_days(Days::new(7)),
        TimeUnit::Month => start.checked_add_months(Months::new(1)),
        TimeUnit::Quarter => start.checked_add_months(Months::new(3)),
        TimeUnit::Year => start.checked_add_months(Months::new(12)),
    }
}

fn day_count(first: NaiveDate, last: NaiveDate) -> u64 {
    u64::try_from((last - first).num_days() + 1).unwrap_or(1)
}

fn days_earlier(first: NaiveDate, last: NaiveDate, days: u64, zone: Tz) -> Option<Period> {
    let earlier = Days::new(days);
    Some(Period::days(
        first.checked_sub_days(earlier)?,
        last.checked_sub_days(earlier)?,
        zone,
    ))
}

/// An IANA time zone by its name.
pub(crate) fn zone(name: &str, field: &str) -> Result<Tz, Problem> {
    let known = || chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    name.parse()
        .map_err(|_| Problem::unknown(field, "time zone", name, known()).without_allowed())
}

#[cfg(test)]
mod tests;
