//! The dimensions, and what each is in the rows of each base.

use serde::Serialize;

use super::Base;

/// A key of `custom_properties` follows.
pub(crate) const PROPERTY_PREFIX: &str = "custom_properties.";

/// The type of a dimension's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Text,
    Boolean,
    Integer,
    Number,
    /// The first day of a period.
    Date,
    Time,
}

/// The length of a period of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl TimeUnit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// Whether its periods consist of whole days.
    pub(crate) fn is_days(self) -> bool {
        !matches!(self, Self::Minute | Self::Hour)
    }
}

/// What a dimension is in SQL.
#[derive(Debug, PartialEq, Eq)]
enum Sql {
    /// Of events, of sessions, of exits. Empty where a row has no such thing.
    Columns(&'static str, &'static str, &'static str),
    /// The start of the period that the row's time is in.
    Period(TimeUnit),
    /// A part of the row's local time, as `EXTRACT` names it.
    TimePart(&'static str),
}

/// Something that rows are grouped and filtered by.
#[derive(Debug)]
pub(crate) struct Dimension {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    sql: Sql,
}

impl Dimension {
    /// Whether rows of `base` have it.
    pub(crate) fn has(&self, base: Base) -> bool {
        !matches!(self.column(base), Some(""))
    }

    fn column(&self, base: Base) -> Option<&'static str> {
        match (&self.sql, base) {
            (Sql::Columns(of_events, ..), Base::Events | Base::Visitors) => Some(of_events),
            (Sql::Columns(_, of_sessions, _), Base::Sessions) => Some(of_sessions),
            (Sql::Columns(.., of_exits), Base::Exits) => Some(of_exits),
            (Sql::Period(_) | Sql::TimePart(_), _) => None,
        }
    }

    /// The expression over the rows of `base`. `zone` is the name of a time zone, checked.
    pub(crate) fn sql(&self, base: Base, zone: &str) -> String {
        let local = match zone {
            "UTC" => base.time_column().to_owned(),
            zone => format!("{} AT TIME ZONE '{zone}'", base.time_column()),
        };
        match &self.sql {
            Sql::Columns(..) => self.column(base).unwrap_or_default().to_owned(),
            Sql::Period(unit) if unit.is_days() => format!("CAST(date_trunc('{}', {local}) AS DATE)", unit.name()),
            Sql::Period(unit) if zone == "UTC" => format!("date_trunc('{}', {local})", unit.name()),
            Sql::Period(unit) => format!("date_trunc('{}', {local}) AT TIME ZONE 'UTC'", unit.name()),
            Sql::TimePart(part) => format!("EXTRACT({part} FROM {local})"),
        }
    }

    /// For dimensions that are a period.
    pub(crate) fn unit(&self) -> Option<TimeUnit> {
        match self.sql {
            Sql::Period(unit) => Some(unit),
            Sql::Columns(..) | Sql::TimePart(_) => None,
        }
    }
}

/// A column of events and of sessions, where it is the first event's.
const fn shared(name: &'static str, title: &'static str) -> Dimension {
    columns(name, title, Kind::Text, name, name)
}

/// A column of events alone.
const fn of_events(name: &'static str, title: &'static str, kind: Kind) -> Dimension {
    columns(name, title, kind, name, "")
}

/// A column of sessions alone.
const fn of_sessions(name: &'static str, title: &'static str, kind: Kind) -> Dimension {
    columns(name, title, kind, "", name)
}

const fn columns(
    name: &'static str,
    title: &'static str,
    kind: Kind,
    of_events: &'static str,
    of_sessions: &'static str,
) -> Dimension {
    Dimension {
        name,
        title,
        kind,
        sql: Sql::Columns(of_events, of_sessions, of_sessions),
    }
}

const fn period(name: &'static str, title: &'static str, unit: TimeUnit) -> Dimension {
    let kind = match unit {
        TimeUnit::Minute | TimeUnit::Hour => Kind::Time,
        TimeUnit::Day | TimeUnit::Week | TimeUnit::Month | TimeUnit::Quarter | TimeUnit::Year => Kind::Date,
    };
    Dimension {
        name,
        title,
        kind,
        sql: Sql::Period(unit),
    }
}

const fn time_part(name: &'static str, title: &'static str, part: &'static str) -> Dimension {
    Dimension {
        name,
        title,
        kind: Kind::Integer,
        sql: Sql::TimePart(part),
    }
}

const TRAFFIC_CATEGORY: &str = "CASE WHEN channel IS NULL THEN NULL WHEN channel = 'Direct' THEN 'direct' \
     WHEN channel = 'Display' OR starts_with(channel, 'Paid ') THEN 'paid' \
     WHEN starts_with(channel, 'Organic ') THEN 'organic' ELSE 'referral' END";

pub(crate) const DIMENSIONS: &[Dimension] = &[
    period("minute", "Minute", TimeUnit::Minute),
    period("hour", "Hour", TimeUnit::Hour),
    period("date", "Day", TimeUnit::Day),
    period("week", "Week, by its Monday", TimeUnit::Week),
    period("month", "Month, by its first day", TimeUnit::Month),
    period("quarter", "Quarter, by its first day", TimeUnit::Quarter),
    period("year", "Year, by its first day", TimeUnit::Year),
    time_part("hour_of_day", "Hour of the day, 0 to 23", "HOUR"),
    time_part("weekday", "Day of the week, 1 (Monday) to 7", "ISODOW"),
    Dimension {
        name: "page_path",
        title: "Page path; of a session the entry page, for exits the exit page",
        kind: Kind::Text,
        sql: Sql::Columns("page_path", "entry_page", "exit_page"),
    },
    of_events("page_host", "Page host", Kind::Text),
    of_events("page_url", "Page URL", Kind::Text),
    of_events("page_title", "Page title", Kind::Text),
    of_sessions("entry_page", "Entry page", Kind::Text),
    of_sessions("exit_page", "Exit page", Kind::Text),
    shared("referrer", "Referrer"),
    shared("source", "Source"),
    shared("channel", "Channel"),
    columns(
        "traffic_category",
        "Paid, organic, direct or referral",
        Kind::Text,
        TRAFFIC_CATEGORY,
        "traffic_category",
    ),
    shared("utm_source", "Campaign source"),
    shared("utm_medium", "Campaign medium"),
    shared("utm_campaign", "Campaign"),
    shared("utm_term", "Campaign term"),
    shared("utm_content", "Campaign content"),
    shared("country", "Country"),
    of_events("city", "City", Kind::Text),
    shared("device", "Device"),
    of_sessions("device_category", "Mobile, tablet, desktop or other", Kind::Text),
    shared("browser", "Browser"),
    shared("os", "Operating system"),
    columns("is_bot", "Whether it is a bot", Kind::Boolean, "is_bot", "is_bot"),
    of_events("event_type", "Event type", Kind::Text),
    of_events("event_id", "Event id", Kind::Text),
    of_events("session_id", "Session id, as sent by the client", Kind::Text),
    shared("client_id", "Visitor"),
    shared("user_id", "User"),
    columns("event_revenue", "Revenue of the event", Kind::Number, "revenue", ""),
    of_sessions("entry_event_type", "Type of the first event", Kind::Text),
    of_sessions("converted", "Whether the session has a conversion", Kind::Boolean),
    of_sessions("bounced", "Whether the session has exactly one pageview", Kind::Boolean),
    of_sessions("engaged", "Whether the session is engaged", Kind::Boolean),
    of_sessions("session_duration", "Duration of the session, seconds", Kind::Integer),
    of_sessions("event_count", "Events of the session", Kind::Integer),
    of_sessions("pageview_count", "Pageviews of the session", Kind::Integer),
    of_sessions("purchase_count", "Purchases of the session", Kind::Integer),
];
