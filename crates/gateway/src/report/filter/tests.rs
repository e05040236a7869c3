use serde_json::json;

use super::*;

fn sql(filter: &Json, base: Base) -> String {
    Condition::parse(filter)
        .unwrap()
        .unwrap()
        .sql(base, "Europe/Berlin")
        .literal()
}

#[test]
fn filters_become_conditions() {
    for (filter, expected) in [
        (json!({"country": "US"}), "(country = 'US')"),
        (
            json!({"country": "US", "device": ["desktop", null]}),
            "((country = 'US') AND (device = 'desktop' OR device IS NULL))",
        ),
        (
            json!({"country": {"is_not": "US"}}),
            "NOT coalesce((country = 'US'), FALSE)",
        ),
        (
            json!({"page_path": {"starts_with": "/a'b"}}),
            "starts_with(page_path, '/a''b')",
        ),
        (
            json!({"page_path": {"not_contains": "%"}}),
            "NOT coalesce(contains(page_path, '%'), FALSE)",
        ),
        (
            json!({"page_path": {"matches": "^/[a-z]+$"}}),
            "page_path ~ '^/[a-z]+$'",
        ),
        (
            json!({"event_revenue": {"gt": 1.5, "lte": 9}}),
            "(revenue > 1.5 AND revenue <= 9.0)",
        ),
        (
            json!({"event_revenue": {"between": [1, 2]}}),
            "revenue BETWEEN 1.0 AND 2.0",
        ),
        (
            json!({"user_id": {"is_null": false}}),
            "NOT coalesce((user_id IS NULL), FALSE)",
        ),
        (json!({"is_bot": false}), "(is_bot = FALSE)"),
        (
            json!({"custom_properties.plan": ["pro", 7]}),
            "(json_as_text(custom_properties, 'plan') IN ('pro', '7'))",
        ),
        (
            json!({"custom_properties.a.b')": {"gte": 3}}),
            "json_get_float(custom_properties, 'a.b'')') >= 3.0",
        ),
        (
            json!({"date": "2026-01-31"}),
            "(CAST(date_trunc('day', event_timestamp AT TIME ZONE 'Europe/Berlin') AS DATE) = DATE '2026-01-31')",
        ),
        (
            json!({"or": [{"country": "US"}, {"not": {"device": "mobile", "os": "iOS"}}]}),
            "((country = 'US') OR NOT coalesce(((device = 'mobile') AND (os = 'iOS')), FALSE))",
        ),
        (
            json!({"and": [{"field": "country", "operator": "in", "value": ["US", "DE"]}]}),
            "((country IN ('US', 'DE')))",
        ),
    ] {
        assert_eq!(sql(&filter, Base::Events), expected, "{filter}");
    }
    assert_eq!(sql(&json!({"page_path": "/"}), Base::Exits), "(exit_page = '/')");
}

#[test]
fn texts_are_bound() {
    let filter = json!({"custom_properties.x": "'; DROP TABLE events", "country": {"matches": "' OR 1=1"}});
    let statement = Condition::parse(&filter).unwrap().unwrap().sql(Base::Events, "UTC");
    assert_eq!(
        statement.text(),
        "(country ~ $1 AND (json_as_text(custom_properties, $2) = $3))"
    );
}

#[test]
fn odd_filters_are_refused_with_their_place() {
    for (filter, message) in [
        (
            json!({"contry": "US"}),
            "unknown dimension `contry`; did you mean `country`?",
        ),
        (json!({"country": {"equals": "US"}}), "unknown operator `equals`"),
        (
            json!({"country": {"gt": "US"}}),
            "`gt` is for numbers and times, which `country` is not",
        ),
        (
            json!({"event_revenue": "x"}),
            "`event_revenue` is compared with a number",
        ),
        (
            json!({"event_revenue": {"between": [1]}}),
            "`between` needs a list of two values",
        ),
        (
            json!({"is_bot": {"contains": "x"}}),
            "`contains` is for text, which `is_bot` is not",
        ),
        (json!({"country": []}), "`is` needs at least one value"),
        (json!({"or": []}), "the list is empty"),
        (json!({"not": {}}), "the filter is empty"),
        (json!({"or": {"country": "US"}}), "expected a list of filters"),
        (
            json!({"date": "2026-02-30"}),
            "`date` is compared with a date such as \"2026-01-31\"",
        ),
    ] {
        let problem = Condition::parse(&filter).unwrap_err();
        assert!(problem.detail().starts_with(message), "{filter}: {}", problem.detail());
    }
    let many: Vec<_> = (0..2000).collect();
    assert!(Condition::parse(&json!({"country": many})).is_err());
    let deep = (0..50).fold(json!({"country": "US"}), |inner, _| json!({"not": inner}));
    assert!(Condition::parse(&deep).is_err());
}

#[test]
fn segments_are_conditions_on_visitors() {
    let mut segments = crate::segment::Segments::default();
    let scope = crate::segment::Scope {
        tracking_id: "shop",
        zone: chrono_tz::Tz::UTC,
        now: crate::report::dates::time("2026-02-01T10:00:00Z").unwrap(),
    };
    let buyers = json!({"events": {"event_type": "purchase"}});
    segments.insert("it's", crate::segment::Segment::parse(&buyers, scope).unwrap());
    let filters = json!({"or": [{"country": "US"}, {"not": {"segment": "it's"}}]});
    let condition = Condition::parse(&filters).unwrap().unwrap();
    assert_eq!(condition.segments(), [("it's", "filters.or[1].not.segment")]);
    let sql = condition
        .resolved(&segments, scope)
        .unwrap()
        .sql(Base::Sessions, "UTC")
        .literal();
    assert_eq!(
        sql,
        "((country = 'US') OR NOT coalesce(client_hash IN (SELECT client_hash FROM (SELECT client_hash, \
         count(*) FILTER (WHERE ((event_type = 'purchase'))) AS n0, CAST(NULL AS DECIMAL(38, 4)) AS r0 FROM events \
         WHERE tracking_id = 'shop' AND (((event_type = 'purchase'))) GROUP BY client_hash) AS visitors \
         WHERE (n0 >= 1)), FALSE))"
    );
}

#[test]
fn unknown_segments_are_refused_with_their_place() {
    let scope = crate::segment::Scope {
        tracking_id: "shop",
        zone: chrono_tz::Tz::UTC,
        now: crate::report::dates::time("2026-02-01T10:00:00Z").unwrap(),
    };
    let named = Condition::and_segments(None, &["a".into(), "b".into()])
        .unwrap()
        .unwrap();
    let problem = named.resolved(&crate::segment::Segments::default(), scope).unwrap_err();
    assert_eq!(problem.to_string(), "segments[0]: the site has no segment `a`");
    for (filters, expected) in [
        (json!({"segment": []}), "filters.segment: expected 1 to 10 names"),
        (
            json!({"segment": [1]}),
            "filters.segment: expected the name of a segment",
        ),
        (
            json!({"segment": vec!["x"; 11]}),
            "filters.segment: expected 1 to 10 names",
        ),
    ] {
        let sentence = Condition::parse(&filters).unwrap_err().to_string();
        assert!(sentence.starts_with(expected), "{sentence}");
    }
    assert!(Condition::and_segments(None, &vec!["x".to_owned(); 11]).is_err());
}
