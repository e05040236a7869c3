//! The metrics, as DEFINITIONS has them, and the measures that they are made of.

use serde::Serialize;

use super::Base;

/// An aggregate over the rows of one base.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) base: Base,
    pub(crate) sql: &'static str,
    /// Its type where another base's rows have none.
    pub(crate) sql_type: &'static str,
}

/// The type of a metric's values in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricType {
    Integer,
    Number,
}

/// A number that reports show.
#[derive(Debug, Serialize)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    #[serde(rename = "type")]
    pub(crate) value_type: MetricType,
    /// How to show it: `integer`, `decimal`, `percent` (of 1), `seconds` or `currency`.
    pub(crate) format: &'static str,
    /// What it is made of.
    #[serde(skip)]
    pub(crate) measures: &'static [&'static str],
    /// Over the measures, each of which is one value for each row; null where a base has no such row.
    pub(crate) sql: &'static str,
}

const COUNT: &str = "BIGINT";
const MONEY: &str = "DECIMAL(38, 4)";

const fn counted(name: &'static str, base: Base, sql: &'static str) -> Measure {
    Measure {
        name,
        base,
        sql,
        sql_type: COUNT,
    }
}

const fn money(name: &'static str, base: Base, sql: &'static str) -> Measure {
    Measure {
        name,
        base,
        sql,
        sql_type: MONEY,
    }
}

pub(crate) const MEASURES: &[Measure] = &[
    counted("events", Base::Events, "count(*)"),
    counted(
        "pageviews",
        Base::Events,
        "count(*) FILTER (WHERE event_type = 'pageview')",
    ),
    counted(
        "purchases",
        Base::Events,
        "count(*) FILTER (WHERE event_type = 'purchase')",
    ),
    counted("unique_users", Base::Events, "count(DISTINCT client_hash)"),
    money("revenue", Base::Events, "sum(revenue)"),
    money(
        "purchase_revenue",
        Base::Events,
        "sum(revenue) FILTER (WHERE event_type = 'purchase')",
    ),
    counted(
        "new_users",
        Base::Visitors,
        "count(DISTINCT client_hash) FILTER (WHERE known IS NULL)",
    ),
    counted(
        "returning_users",
        Base::Visitors,
        "count(DISTINCT client_hash) FILTER (WHERE known IS NOT NULL)",
    ),
    counted(
        "active_users",
        Base::Sessions,
        "count(DISTINCT client_hash) FILTER (WHERE engaged)",
    ),
    counted("sessions", Base::Sessions, "count(*)"),
    counted("bounces", Base::Sessions, "count(*) FILTER (WHERE bounced)"),
    counted("engaged_sessions", Base::Sessions, "count(*) FILTER (WHERE engaged)"),
    counted(
        "converted_sessions",
        Base::Sessions,
        "count(*) FILTER (WHERE converted)",
    ),
    counted("session_seconds", Base::Sessions, "sum(session_duration)"),
    counted("session_pageviews", Base::Sessions, "sum(pageview_count)"),
    counted("entrances", Base::Sessions, "count(entry_page)"),
    counted("exits", Base::Exits, "count(exit_page)"),
];

pub(crate) fn measure(name: &str) -> Option<&'static Measure> {
    MEASURES.iter().find(|measure| measure.name == name)
}

const fn count(
    name: &'static str,
    title: &'static str,
    measures: &'static [&'static str],
    sql: &'static str,
    description: &'static str,
) -> Metric {
    Metric {
        name,
        title,
        description,
        value_type: MetricType::Integer,
        format: "integer",
        measures,
        sql,
    }
}

const fn number(
    (name, title, format): (&'static str, &'static str, &'static str),
    measures: &'static [&'static str],
    sql: &'static str,
    description: &'static str,
) -> Metric {
    Metric {
        name,
        title,
        description,
        value_type: MetricType::Number,
        format,
        measures,
        sql,
    }
}

pub(crate) const METRICS: &[Metric] = &[
    count(
        "events",
        "Events",
        &["events"],
        "coalesce(events, 0)",
        "Events of any type.",
    ),
    count(
        "pageviews",
        "Pageviews",
        &["pageviews"],
        "coalesce(pageviews, 0)",
        "Events of type `pageview`.",
    ),
    count(
        "unique_users",
        "Visitors",
        &["unique_users"],
        "coalesce(unique_users, 0)",
        "Distinct visitors in the whole range. One visitor may be in several rows, so rows need not add up to the total.",
    ),
    count(
        "new_users",
        "New visitors",
        &["new_users"],
        "coalesce(new_users, 0)",
        "Visitors whose first event ever, of those that are kept, is inside of the range.",
    ),
    count(
        "returning_users",
        "Returning visitors",
        &["returning_users"],
        "coalesce(returning_users, 0)",
        "Visitors with an event before the range.",
    ),
    count(
        "active_users",
        "Active visitors",
        &["active_users"],
        "coalesce(active_users, 0)",
        "Visitors with an engaged session.",
    ),
    count(
        "sessions",
        "Sessions",
        &["sessions"],
        "coalesce(sessions, 0)",
        "Sessions that start in the range, by gaps of 30 minutes.",
    ),
    number(
        ("bounce_rate", "Bounce rate", "percent"),
        &["bounces", "sessions"],
        "CAST(bounces AS DOUBLE) / nullif(sessions, 0)",
        "Sessions with exactly one pageview, of all sessions.",
    ),
    count(
        "engaged_sessions",
        "Engaged sessions",
        &["engaged_sessions"],
        "coalesce(engaged_sessions, 0)",
        "Sessions of at least 10 seconds, with two pageviews or with a conversion.",
    ),
    number(
        ("engagement_rate", "Engagement rate", "percent"),
        &["engaged_sessions", "sessions"],
        "CAST(engaged_sessions AS DOUBLE) / nullif(sessions, 0)",
        "Engaged sessions, of all sessions.",
    ),
    number(
        ("avg_session_duration", "Average session duration", "seconds"),
        &["session_seconds", "sessions"],
        "CAST(session_seconds AS DOUBLE) / nullif(sessions, 0)",
        "Seconds from the first to the last event of a session, on average.",
    ),
    number(
        ("pages_per_session", "Pages per session", "decimal"),
        &["session_pageviews", "sessions"],
        "CAST(session_pageviews AS DOUBLE) / nullif(sessions, 0)",
        "Pageviews of a session, on average.",
    ),
    count(
        "entrances",
        "Entrances",
        &["entrances"],
        "coalesce(entrances, 0)",
        "Sessions by the page on which they begin: those with a pageview.",
    ),
    count(
        "exits",
        "Exits",
        &["exits"],
        "coalesce(exits, 0)",
        "Sessions by the page on which they end: those with a pageview.",
    ),
    number(
        ("exit_rate", "Exit rate", "percent"),
        &["exits", "pageviews"],
        "CAST(coalesce(exits, 0) AS DOUBLE) / nullif(pageviews, 0)",
        "Exits, of all pageviews of the page.",
    ),
    count(
        "conversions",
        "Conversions",
        &["converted_sessions"],
        "coalesce(converted_sessions, 0)",
        "Sessions with a conversion: a `purchase`.",
    ),
    number(
        ("conversion_rate", "Conversion rate", "percent"),
        &["converted_sessions", "sessions"],
        "CAST(converted_sessions AS DOUBLE) / nullif(sessions, 0)",
        "Sessions with a conversion, of all sessions.",
    ),
    number(
        ("revenue", "Revenue", "currency"),
        &["revenue"],
        "coalesce(revenue, 0)",
        "Sum of `revenue` of all events, in the site's currency.",
    ),
    count(
        "purchases",
        "Purchases",
        &["purchases"],
        "coalesce(purchases, 0)",
        "Events of type `purchase`.",
    ),
    number(
        ("average_order_value", "Average order value", "currency"),
        &["purchase_revenue", "purchases"],
        "CAST(coalesce(purchase_revenue, 0) AS DOUBLE) / nullif(purchases, 0)",
        "Revenue of purchases, by their number.",
    ),
    number(
        ("revenue_per_visitor", "Revenue per visitor", "currency"),
        &["revenue", "unique_users"],
        "CAST(coalesce(revenue, 0) AS DOUBLE) / nullif(unique_users, 0)",
        "Revenue, by the number of visitors.",
    ),
];
