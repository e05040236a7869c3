//! Statements with the source that is expected of each.

use footfall_compactor::Policy;
use footfall_model::access::SiteScope;

use super::{answer, source};
use crate::Caller;
use crate::testing::only;
use crate::tests::rollups::{Random, random_events, rolled};

/// Statements and what they are answered from, `raw` for events.
const STATEMENTS: [(&str, &str); 50] = [
    (
        "events_hourly",
        "SELECT x, y, a FROM (SELECT x, y, count(*) a, count(country) b FROM (SELECT length(country) x, length(country) y, \
         country FROM events) GROUP BY x, y)",
    ),
    (
        "events_totals",
        "SELECT x, y FROM (SELECT x, y, count(*) n FROM (SELECT 1 x, 1 y FROM events) GROUP BY x, y)",
    ),
    (
        "events_hourly",
        "SELECT a, b, count(*) FROM (SELECT country = 'BE' a, country = 'BE' b FROM events) GROUP BY 1, 2",
    ),
    (
        "raw",
        "SELECT a, b, count(*) FROM (SELECT coalesce(country, 'x') a, coalesce(country, 'x') b FROM events) GROUP BY \
         CUBE (a, b)",
    ),
    (
        "events_totals",
        "SELECT date_trunc('hour', t), count(*) FROM (SELECT event_timestamp AS t FROM events) GROUP BY 1",
    ),
    (
        "visits",
        "SELECT count(DISTINCT c) FROM (SELECT client_id AS c FROM events WHERE tracking_id = 'site-1')",
    ),
    ("visits", "SELECT avg(client_hash) FROM events"),
    (
        "events_hourly",
        "SELECT sum(CAST(country AS BIGINT)) FILTER (WHERE country ~ '^[0-9]+$') FROM events",
    ),
    (
        "raw",
        "SELECT array_agg(DISTINCT country) FROM (SELECT country FROM events WHERE country = 'BE')",
    ),
    (
        "events_hourly",
        "SELECT country, approx_distinct(client_id), hll_estimate(hll_sketch(client_id)) FROM events GROUP BY 1",
    ),
    ("events_totals", "SELECT count(*) FROM events"),
    (
        "events_totals",
        "SELECT count(1) AS n, sum(revenue), min(event_timestamp), max(event_timestamp) FROM events",
    ),
    (
        "events_totals",
        "SELECT event_type, avg(revenue), min(revenue), max(revenue) FROM events GROUP BY 1",
    ),
    (
        "events_hourly",
        "SELECT country, count(*) FROM events WHERE tracking_id = 'site-1' GROUP BY country",
    ),
    ("events_hourly", "SELECT DISTINCT country FROM events"),
    (
        "events_hourly",
        "SELECT country FROM events WHERE device IS NOT NULL GROUP BY country ORDER BY 1 NULLS FIRST LIMIT 3",
    ),
    (
        "events_totals",
        "SELECT date_trunc('day', event_timestamp) AS __timestamp, count(*) FROM events GROUP BY 1",
    ),
    (
        "events_totals",
        "SELECT date_trunc('hour', event_timestamp), count(*) FROM events GROUP BY 1",
    ),
    (
        "raw",
        "SELECT date_trunc('minute', event_timestamp), count(*) FROM events GROUP BY 1",
    ),
    (
        "events_totals",
        "SELECT extract(hour FROM event_timestamp), extract(dow FROM event_timestamp), count(*) FROM events GROUP BY 1, 2",
    ),
    (
        "events_totals",
        "SELECT date_trunc('day', event_timestamp AT TIME ZONE 'Asia/Kathmandu'), count(*) FROM events GROUP BY 1",
    ),
    (
        "events_totals",
        "SELECT date_trunc('hour', event_timestamp AT TIME ZONE 'Australia/Lord_Howe'), sum(revenue) FROM events GROUP BY 1",
    ),
    (
        "events_hourly",
        "SELECT country, (event_timestamp AT TIME ZONE 'America/New_York')::date, count(*) FROM events GROUP BY 1, 2",
    ),
    (
        "raw",
        "SELECT country, date_trunc('day', event_timestamp AT TIME ZONE 'Asia/Kathmandu'), count(*) FROM events GROUP BY 1, 2",
    ),
    (
        "events_totals",
        "SELECT event_date, count(*) FROM events GROUP BY event_date",
    ),
    (
        "events_totals",
        "SELECT date_bin(INTERVAL '15 minutes', event_timestamp), count(*) FROM events GROUP BY 1",
    ),
    (
        "raw",
        "SELECT date_bin(INTERVAL '20 minutes', event_timestamp), count(*) FROM events GROUP BY 1",
    ),
    (
        "events_totals",
        "SELECT to_char(event_timestamp, '%Y-%m-%d'), count(*) FROM events GROUP BY 1",
    ),
    (
        "events_totals",
        "SELECT CAST(EXTRACT(YEAR FROM event_timestamp) AS BIGINT), count(*) FROM events WHERE CAST(EXTRACT(MONTH FROM event_timestamp) AS BIGINT) = 11 GROUP BY 1",
    ),
    (
        "events_totals",
        "SELECT count(*) FROM events WHERE event_timestamp >= '2026-11-01 05:00' AND event_timestamp < '2026-11-03 07:15'",
    ),
    (
        "events_totals",
        "SELECT event_type, count(*), sum(revenue) FROM events WHERE event_timestamp >= '2026-11-01 05:07' AND event_timestamp <= '2026-11-03 07:14:59.999' GROUP BY 1",
    ),
    (
        "events_totals",
        "SELECT count(*) FROM events WHERE event_timestamp BETWEEN '2026-11-01 05:07' AND '2026-11-02 23:59:59.999'",
    ),
    (
        "events_totals",
        "SELECT count(*) FROM events WHERE event_timestamp::date = '2026-11-02'",
    ),
    (
        "raw",
        "SELECT count(*) FROM events WHERE event_timestamp <= '2026-11-01 10:00' AND event_timestamp > '2026-11-02 10:00'",
    ),
    (
        "events_hourly",
        "SELECT lower(country) AS c, count(*) FROM events WHERE country LIKE 'B%' OR country IS NULL GROUP BY 1 HAVING count(*) > 0",
    ),
    (
        "sources_daily",
        "SELECT channel, count(*) FROM events WHERE utm_campaign <> 'fall' OR utm_campaign IS NULL GROUP BY channel",
    ),
    (
        "pages_daily",
        "SELECT page_path, count(*) AS n FROM events WHERE event_type = 'pageview' GROUP BY page_path ORDER BY n DESC, 1 LIMIT 10",
    ),
    (
        "raw",
        "SELECT page_path, sum(revenue) FROM events WHERE event_type = 'purchase' GROUP BY page_path",
    ),
    (
        "visits",
        "SELECT tracking_id, count(DISTINCT client_id) FROM events GROUP BY 1",
    ),
    (
        "visits",
        "SELECT country, count(DISTINCT client_id), count(*) FROM events WHERE tracking_id = 'site-0' GROUP BY 1",
    ),
    ("raw", "SELECT count(DISTINCT client_id) FROM events"),
    (
        "raw",
        "SELECT count(DISTINCT session_id) FROM events WHERE tracking_id = 'site-0'",
    ),
    (
        "events_hourly",
        "SELECT count(DISTINCT country), count(DISTINCT device) FROM events",
    ),
    (
        "events_hourly",
        "SELECT count(distinct(country)) + max(CASE WHEN country IS NULL THEN 1 ELSE 0 END) FROM (SELECT * FROM events) \"rows\"",
    ),
    (
        "events_totals",
        "SELECT sum(CASE WHEN event_type = 'purchase' THEN revenue ELSE 0 END), count(*) FILTER (WHERE event_type = 'pageview'), sum(CASE WHEN event_type = 'pageview' THEN 1 ELSE 0 END) FROM events",
    ),
    (
        "events_totals",
        "SELECT count(CASE WHEN event_type = 'purchase' THEN event_id ELSE NULL END), count(revenue), coalesce(sum(coalesce(revenue, 0)), 0) FROM events",
    ),
    (
        "events_totals",
        "SELECT avg(CASE WHEN event_type = 'purchase' THEN 1 ELSE 0 END) FROM events",
    ),
    (
        "events_hourly",
        "SELECT country, device, count(*), sum(revenue), grouping(country) FROM events GROUP BY ROLLUP (country, device)",
    ),
    (
        "events_hourly",
        "SELECT country, n, sum(n) OVER () FROM (SELECT country, count(*) AS n FROM events GROUP BY country) x",
    ),
    ("raw", "SELECT city, count(*) FROM events GROUP BY city"),
];

#[tokio::test(flavor = "multi_thread")]
async fn statements_have_their_source_and_the_answer_of_events() {
    let mut random = Random(7);
    let rolled = rolled(&Policy::default()).await;
    for written_at in 0..6 {
        rolled.add(random_events(&mut random), written_at).await;
    }
    for day in 20_758..20_761 {
        for task in rolled.compactors[0].plan_day(day) {
            rolled.compactors[0].execute(&task, None).await.unwrap();
        }
    }
    rolled.add(random_events(&mut random), 10).await;
    let scope = SiteScope::All;
    let mut failures = Vec::new();
    for (expected, sql) in STATEMENTS {
        let caller = || Caller::from(&scope);
        let routed = answer(&rolled.engine, caller(), sql).await;
        let raw = answer(&rolled.engine, caller().with_routing(false), sql).await;
        if routed != raw {
            failures.push(format!("{sql}\n{}\n{}", routed.join("\n"), raw.join("\n")));
        }
        // By the declarations alone, whatever the rows.
        let source = source(&rolled.engine, &only(&["site-0", "site-1"]), sql).await;
        let fits = match expected {
            "raw" => source.starts_with("raw") || source == "not routable",
            rollup => source.starts_with(&format!("rollup {rollup}")),
        };
        if !fits {
            failures.push(format!("{sql}\n  expected {expected}, got {source}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
