//! What the views of rollups say of sessions.

/// The columns that come from the sessions whose first event is of the row, so that sums over rows count each session
/// once. Of first events that are equal in time and arrival a session may combine the dimensions; where no event has them
/// together, the session is in a row of its own, whose counts of events are null.
pub(super) const SESSION_MEASURES: [SessionMeasure; 4] = [
    SessionMeasure {
        name: "sessions",
        sql_type: "BIGINT",
        over_sessions: &[("sessions", "count(*)")],
        merged: "sum(sessions)",
        description: "Number of sessions that begin with an event of the row; null if there are none, and where events are no longer kept.",
    },
    SessionMeasure {
        name: "bounces",
        sql_type: "BIGINT",
        over_sessions: &[("bounces", "count(*) FILTER (WHERE bounced)")],
        merged: "sum(bounces)",
        description: "Those of them with exactly one pageview.",
    },
    SessionMeasure {
        name: "session_seconds",
        sql_type: "BIGINT",
        over_sessions: &[("session_seconds", "sum(session_duration)")],
        merged: "sum(session_seconds)",
        description: "Sum of their durations, seconds.",
    },
    SessionMeasure {
        name: "avg_session_duration",
        sql_type: "DOUBLE",
        over_sessions: &[("sessions", "count(*)"), ("session_seconds", "sum(session_duration)")],
        merged: "CAST(sum(session_seconds) AS DOUBLE) / sum(sessions)",
        description: "Their mean duration, seconds; null if there are none. For several rows: `sum(session_seconds) / sum(sessions)`.",
    },
];

/// A column of a view that is made of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionMeasure {
    pub name: &'static str,
    /// What the branch of sessions computes for it: names and aggregates.
    pub(super) over_sessions: &'static [(&'static str, &'static str)],
    /// Its value from these, over all branches.
    pub(super) merged: &'static str,
    /// The type in SQL.
    pub sql_type: &'static str,
    /// One line for the documentation.
    pub description: &'static str,
}

/// Dimensions of events, and what a session has of its first event's.
const OF_FIRST_EVENT: [(&str, &str); 10] = [
    ("event_type", "entry_event_type"),
    ("country", "country"),
    ("device", "device"),
    ("browser", "browser"),
    ("os", "os"),
    ("utm_source", "utm_source"),
    ("utm_medium", "utm_medium"),
    ("utm_campaign", "utm_campaign"),
    ("source", "source"),
    ("channel", "channel"),
];

/// What a session has of this dimension of its first event.
pub(super) fn of_first_event(dimension: &str) -> Option<&'static str> {
    let found = OF_FIRST_EVENT.iter().find(|(name, _)| *name == dimension);
    found.map(|(_, column)| *column)
}
