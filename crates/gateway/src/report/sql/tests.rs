use chrono_tz::Tz;
use serde_json::{Value as Json, json};

use super::super::dates::time;
use super::super::plan::SiteZone;
use super::*;

fn report(request: &Json) -> Result<Report, crate::problem::Problem> {
    let mut body = json!({
        "tracking_id": "shop",
        "date_range": {"start": "2026-01-01", "end": "2026-01-31"},
        "metrics": ["pageviews"],
    });
    for (key, value) in request.as_object().unwrap() {
        body[key] = value.clone();
    }
    let site = SiteZone {
        zone: Tz::UTC,
        known: true,
    };
    Report::plan(
        serde_json::from_value(body).unwrap(),
        site,
        time("2026-02-01T10:00:00Z").unwrap(),
        &crate::segment::Segments::default(),
    )
}

fn rows(request: &Json) -> String {
    report(request).unwrap().rows_sql().literal()
}

const RANGE: &str = "tracking_id = 'shop' AND event_timestamp >= TIMESTAMP '2026-01-01T00:00:00Z' \
                     AND event_timestamp < TIMESTAMP '2026-02-01T00:00:00Z'";

#[test]
fn one_base_is_asked_plainly() {
    let sql = rows(&json!({
        "metrics": ["pageviews", "revenue"],
        "dimensions": ["country", "custom_properties.plan"],
        "filters": {"device": "mobile"},
        "limit": 5,
    }));
    let expected = format!(
        "SELECT d0 AS \"country\", d1 AS \"property_1\", coalesce(pageviews, 0) AS \"pageviews\", \
         coalesce(revenue, 0) AS \"revenue\", count(*) OVER () AS \"total_rows\"\n\
         FROM (SELECT country AS d0, json_as_text(custom_properties, 'plan') AS d1, \
         count(*) FILTER (WHERE event_type = 'pageview') AS pageviews, sum(revenue) AS revenue\n\
         FROM events\n\
         WHERE {RANGE} AND (device = 'mobile')\n\
         GROUP BY 1, 2) AS report\n\
         ORDER BY 3 DESC NULLS LAST, 1 ASC NULLS LAST, 2 ASC NULLS LAST\n\
         LIMIT 5"
    );
    assert_eq!(sql, expected);
}

#[test]
fn events_and_sessions_meet_by_dimensions() {
    let sql = rows(&json!({
        "metrics": ["pageviews", "bounce_rate"],
        "dimensions": ["page_path"],
        "order_by": [{"field": "bounce_rate", "direction": "desc"}],
        "time_zone": "Asia/Kathmandu",
    }));
    let expected = "SELECT d0 AS \"page_path\", coalesce(pageviews, 0) AS \"pageviews\", \
         CAST(bounces AS DOUBLE) / nullif(sessions, 0) AS \"bounce_rate\", count(*) OVER () AS \"total_rows\"\n\
         FROM (SELECT d0, max(pageviews) AS pageviews, max(bounces) AS bounces, max(sessions) AS sessions\n\
         FROM (SELECT page_path AS d0, count(*) FILTER (WHERE event_type = 'pageview') AS pageviews, \
         CAST(NULL AS BIGINT) AS bounces, CAST(NULL AS BIGINT) AS sessions\n\
         FROM events\n\
         WHERE tracking_id = 'shop' AND event_timestamp >= TIMESTAMP '2025-12-31T18:15:00Z' \
         AND event_timestamp < TIMESTAMP '2026-01-31T18:15:00Z'\n\
         GROUP BY 1\n\
         UNION ALL\n\
         SELECT entry_page AS d0, CAST(NULL AS BIGINT) AS pageviews, count(*) FILTER (WHERE bounced) AS bounces, \
         count(*) AS sessions\n\
         FROM sessions\n\
         WHERE tracking_id = 'shop' AND session_start >= TIMESTAMP '2025-12-31T18:15:00Z' \
         AND session_start < TIMESTAMP '2026-01-31T18:15:00Z'\n\
         GROUP BY 1) AS parts\n\
         GROUP BY d0) AS report\n\
         ORDER BY 3 DESC NULLS LAST, 1 ASC NULLS LAST\n\
         LIMIT 100";
    assert_eq!(sql, expected);
}

#[test]
fn empty_periods_are_a_part() {
    let sql = rows(&json!({"dimensions": ["week"], "time_zone": "Europe/Berlin"}));
    assert!(sql.contains(
        "SELECT CAST(value AS DATE), CAST(NULL AS BIGINT)\n\
         FROM generate_series(DATE '2025-12-29', DATE '2026-01-26', INTERVAL '1 week')"
    ));
    assert!(sql.contains("CAST(date_trunc('week', event_timestamp AT TIME ZONE 'Europe/Berlin') AS DATE) AS d0"));
    assert!(!rows(&json!({"dimensions": ["week"], "fill": false})).contains("generate_series"));
    assert!(!rows(&json!({"dimensions": ["week", "country"]})).contains("generate_series"));
}

#[test]
fn totals_have_no_groups() {
    let report = report(&json!({"metrics": ["new_users"], "dimensions": ["country"]})).unwrap();
    let expected = format!(
        "SELECT coalesce(new_users, 0) AS \"new_users\"\n\
         FROM (SELECT count(DISTINCT client_hash) FILTER (WHERE known IS NULL) AS new_users\n\
         FROM events LEFT JOIN (SELECT DISTINCT client_hash AS known FROM events WHERE tracking_id = 'shop' \
         AND event_timestamp < TIMESTAMP '2026-01-01T00:00:00Z') AS earlier ON client_hash = known\n\
         WHERE {RANGE}) AS report"
    );
    assert_eq!(report.totals_sql().literal(), expected);
}

#[test]
fn what_the_user_wrote_is_bound() {
    let report = report(&json!({
        "tracking_id": "' OR 1=1 --",
        "dimensions": ["custom_properties.\"; DROP TABLE events"],
        "filters": {"country": "'"},
    }));
    let statement = report.unwrap().rows_sql();
    let text = statement.text();
    assert!(!text.contains("OR 1=1") && !text.contains("DROP"), "{text}");
    assert_eq!(statement.values().len(), 6);
}

#[test]
fn impossible_requests_are_refused_with_the_reason() {
    for (request, expected) in [
        (
            json!({"metrics": ["pageview"]}),
            "unknown metric `pageview`; did you mean `pageviews`?",
        ),
        (json!({"metrics": []}), "a report has 1 to 30 metrics"),
        (json!({"metrics": ["events", "events"]}), "the metric is named twice"),
        (
            json!({"dimensions": ["contry"]}),
            "unknown dimension `contry`; did you mean `country`?",
        ),
        (
            json!({"dimensions": ["custom_properties."]}),
            "the name of a custom property has 1 to 256 bytes",
        ),
        (
            json!({"metrics": ["bounce_rate"], "dimensions": ["city"]}),
            "`bounce_rate` counts sessions and can't be asked by `city`, which events have and sessions don't",
        ),
        (
            json!({"filters": {"entry_page": "/"}}),
            "`pageviews` counts events and can't be asked by `entry_page`, which belongs to sessions and not to single events",
        ),
        (
            json!({"metrics": ["sessions"], "filters": {"or": [{"custom_properties.x": 1}]}}),
            "`sessions` counts sessions and can't be asked by `custom_properties.x`, which events have and sessions don't",
        ),
        (
            json!({"order_by": [{"field": "country"}]}),
            "unknown field of this report `country`",
        ),
        (json!({"limit": 0}), "the limit is 1 to 10000"),
        (
            json!({"time_zone": "Europe/Berln"}),
            "unknown time zone `Europe/Berln`; did you mean `Europe/Berlin`?",
        ),
        (
            json!({"cursor": "AAAA"}),
            "the cursor is not one that a reply had as `next_cursor`",
        ),
        (json!({"compare": "last_week"}), "unknown comparison `last_week`"),
    ] {
        let problem = report(&request).unwrap_err();
        assert!(
            problem.detail().starts_with(expected),
            "{request}: {}",
            problem.detail()
        );
    }
}

#[test]
fn cursor_fits_its_request_alone() {
    let asked = json!({"date_range": "last_7_days", "dimensions": ["country"]});
    let first = report(&asked).unwrap();
    let mut second = asked;
    second["cursor"] = json!(first.cursor(100));
    second["limit"] = json!(10);
    let second_page = report(&second).unwrap();
    assert_eq!((second_page.offset, second_page.period), (100, first.period));
    assert!(second_page.rows_sql().literal().ends_with("LIMIT 10 OFFSET 100"));
    second["filters"] = json!({"country": "US"});
    assert!(report(&second).is_err());
}

#[test]
fn sampled_report_estimates_from_visitors() {
    let sql = rows(&json!({
        "metrics": ["pageviews", "bounce_rate"],
        "dimensions": ["country"],
        "sampling": "sampled",
        "sample_rate": 0.05,
        "order_by": [{"field": "bounce_rate", "direction": "desc"}],
    }));
    for part in [
        "sample_estimate(CAST(pageviews AS DOUBLE), 5) AS \"pageviews\"",
        "sample_ratio(CAST(bounces AS DOUBLE), CAST(sessions AS DOUBLE), 5) AS \"bounce_rate\"",
        "\nFROM events TABLESAMPLE SYSTEM (5)\nWHERE",
        "\nFROM sessions TABLESAMPLE SYSTEM (5)\nWHERE",
        "GROUP BY d0, client_hash",
        "\"bounce_rate\"['upper'] AS \"bounce_rate_upper\"",
        "ORDER BY 6 DESC NULLS LAST, 1 ASC NULLS LAST",
    ] {
        assert!(sql.contains(part), "{part}: {sql}");
    }
}

#[test]
fn compared_range_is_joined_by_dimensions() {
    let asked = json!({"dimensions": ["country", "month"], "compare": "previous_year", "limit": 7, "totals": false});
    let sql = rows(&asked);
    assert!(sql.starts_with(
        "SELECT page.\"country\", page.\"month\", page.\"pageviews\", other.\"pageviews\" AS \"compare_pageviews\", \
         page.\"total_rows\"\nFROM (SELECT d0"
    ));
    assert!(sql.contains("LIMIT 7) AS page\nLEFT JOIN (SELECT d0"));
    let month = |table: &str| {
        format!(
            "CAST(date_part('year', {table}.\"month\") AS BIGINT) * 12 + CAST(date_part('month', {table}.\"month\") AS BIGINT)"
        )
    };
    let keys = format!(
        "ON (page.\"country\" IS NOT DISTINCT FROM other.\"country\") \
         AND ({} - 24313 IS NOT DISTINCT FROM {} - 24301)\nORDER BY 2 ASC NULLS LAST, 1 ASC NULLS LAST",
        month("page"),
        month("other")
    );
    assert!(sql.ends_with(&keys), "{sql}");
    assert_eq!(report(&asked).unwrap().statement().literal(), sql);
}

#[test]
fn rows_and_totals_are_one_statement() {
    let report = report(&json!({"dimensions": ["country"]})).unwrap();
    let expected = format!(
        "SELECT * FROM (\nSELECT 0 AS part, page.*\nFROM ({}) AS page\nUNION ALL\n\
         SELECT 1, NULL AS \"country\", totals.*, NULL AS \"total_rows\"\nFROM ({}) AS totals) AS answer\n\
         ORDER BY 1, 3 DESC NULLS LAST, 2 ASC NULLS LAST",
        report.rows_sql().literal(),
        report.totals_sql().literal()
    );
    assert_eq!(report.statement().literal(), expected);
}

#[test]
fn hours_are_numbered_where_clocks_change_by_half_an_hour() {
    let asked = json!({
        "date_range": {"start": "2026-04-05", "end": "2026-04-05"},
        "dimensions": ["hour"], "time_zone": "Australia/Lord_Howe", "compare": "previous_period",
    });
    let sql = rows(&asked);
    let series = |first, last| {
        format!("generate_series(TIMESTAMP '2026-04-{first}', TIMESTAMP '2026-04-{last}', INTERVAL '1 hour')")
    };
    assert!(sql.contains(&series("04T13:00:00", "04T14:00:00")), "{sql}");
    assert!(sql.contains(&series("04T15:30:00", "05T12:30:00")), "{sql}");
    let epoch = "CAST(date_part('epoch', page.\"hour\") AS BIGINT)";
    assert!(
        sql.contains(&format!(
            "CASE WHEN page.\"hour\" >= TIMESTAMP '2026-04-04T15:30:00Z' THEN ({epoch} - 1775316600) / 3600 + 2 \
         WHEN page.\"hour\" >= TIMESTAMP '2026-04-04T13:00:00Z' THEN ({epoch} - 1775307600) / 3600 + 0 END"
        )),
        "{sql}"
    );
}
