use chrono_tz::Tz;
use serde_json::{Value as Json, json};

use super::*;
use crate::report::dates::time;

fn scope() -> Scope<'static> {
    Scope {
        tracking_id: "shop",
        zone: Tz::UTC,
        now: time("2026-02-01T10:00:00Z").unwrap(),
    }
}

fn sql(filters: &Json) -> String {
    let segment = Segment::parse(filters, scope()).unwrap();
    segment.visitors(scope()).unwrap().literal()
}

fn refused(filters: &Json) -> String {
    Segment::parse(filters, scope()).unwrap_err().to_string()
}

/// The specification's view.
#[test]
fn high_value_users_are_those_of_the_specification() {
    let filters = json!({"sessions": {"filters": {"converted": true}, "at_least": 3, "revenue": {"gt": 500}}});
    assert_eq!(
        sql(&filters),
        "SELECT client_hash FROM (SELECT client_hash, count(*) FILTER (WHERE ((converted = TRUE))) AS n0, \
         sum(revenue) FILTER (WHERE ((converted = TRUE))) AS r0 FROM sessions WHERE tracking_id = 'shop' \
         AND (((converted = TRUE))) GROUP BY client_hash) AS visitors WHERE (n0 >= 3 AND coalesce(r0, 0) > 500.0)"
    );
}

#[test]
fn events_and_sessions_are_counted_per_visitor() {
    let filters = json!({
        "events": {"event_type": "purchase", "date_range": "last_7_days"},
        "not": {"sessions": {"filters": {"country": "D'E"}}},
    });
    let sql = sql(&filters);
    assert!(sql.contains("UNION ALL") && sql.contains("country = 'D''E'"), "{sql}");
    assert!(sql.ends_with("WHERE ((n0 >= 1) AND NOT ((n1 >= 1)))"), "{sql}");
    assert!(
        sql.contains("event_timestamp >= TIMESTAMP '2026-01-26T00:00:00Z'"),
        "{sql}"
    );
}

#[test]
fn visitors_who_did_nothing_are_read_only_where_they_belong() {
    let never = json!({"events": {"event_type": "purchase", "at_most": 0}});
    assert!(
        sql(&never).contains("FROM events WHERE tracking_id = 'shop' GROUP BY"),
        "{}",
        sql(&never)
    );
    let some = json!({"events": {"event_type": "purchase", "at_least": 2}});
    assert!(
        sql(&some).contains("WHERE tracking_id = 'shop' AND (("),
        "{}",
        sql(&some)
    );
    let either = json!({"or": [some, {"not": {"sessions": {"at_least": 5}}}]});
    assert!(
        sql(&either).contains("FROM sessions WHERE tracking_id = 'shop' GROUP BY"),
        "{}",
        sql(&either)
    );
}

#[test]
fn refusals_name_place_and_alternatives() {
    let mut deep = json!({"events": {}});
    for _ in 0..12 {
        deep = json!({"not": deep});
    }
    let many: Vec<Json> = (0..21).map(|_| json!({"events": {}})).collect();
    for (filters, expected) in [
        (json!([]), "filters: expected an object"),
        (json!({}), "filters: the condition is empty"),
        (
            json!({"event": {}}),
            "filters.event: unknown condition `event`; did you mean `events`?",
        ),
        (json!({"or": []}), "filters.or: the list is empty"),
        (json!({"or": [1]}), "filters.or[0]: expected a condition"),
        (
            json!({"events": {"at_least": 0}}),
            "filters.events.at_least: expected a whole number from 1",
        ),
        (
            json!({"events": {"at_least": 3, "at_most": 2}}),
            "filters.events.at_most: `at_most` is less",
        ),
        (
            json!({"events": {"revenue": {"over": 1}}}),
            "filters.events.revenue: unknown operator `over`",
        ),
        (
            json!({"events": {"filters": {"converted": true}}}),
            "filters.events.filters.converted: events have no",
        ),
        (
            json!({"sessions": {"event_type": "x"}}),
            "filters.sessions: unknown key `event_type`",
        ),
        (
            json!({"events": {"date_range": "last_week_or_so"}}),
            "filters.events.date_range: unknown range",
        ),
        (
            json!({"events": {"filters": {"segment": "x"}}}),
            "a segment is not made of other segments",
        ),
        (
            json!({"not": {"events": {"filters": 1}}}),
            "filters.not.events.filters: expected an object",
        ),
        (deep, "nests at most 10 levels"),
        (json!({"and": many}), "at most 20 conditions"),
    ] {
        let sentence = refused(&filters);
        assert!(sentence.contains(expected), "{filters}: {sentence}");
    }
}
