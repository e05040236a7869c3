//! Intervals and durations.

use super::{check, check_over};

#[tokio::test(flavor = "multi_thread")]
async fn intervals_are_multiplied_by_whole_numbers() {
    check(&[
        ("3 * INTERVAL '1 day 2 hours' = INTERVAL '3 days 6 hours'", "true"),
        ("INTERVAL '1 month' * -2 = INTERVAL '-2 months'", "true"),
        (
            "DATE '2026-11-25' + (1 - EXTRACT(DAY FROM DATE '2026-11-25')) * INTERVAL '1 DAY'",
            "2026-11-01",
        ),
        (
            "max(d) FROM (SELECT x * INTERVAL '1 day' = INTERVAL '2 days' d FROM (VALUES (1), (2)) t(x))",
            "true",
        ),
        ("NULL::int * INTERVAL '1 day'", ""),
        ("3000000000 * INTERVAL '1 month'", "error: too large for an interval"),
        (
            "9223372036854775807 * INTERVAL '1 hour'",
            "error: too large for an interval",
        ),
        ("date('2026-11-25 10:00'::timestamp)", "2026-11-25"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_compare_by_length() {
    check(&[
        ("INTERVAL '1 day' = INTERVAL '24 hours'", "true"),
        ("INTERVAL '1 month' = INTERVAL '30 days'", "true"),
        ("INTERVAL '1 month' > INTERVAL '29 days'", "true"),
        ("INTERVAL '1 month' < INTERVAL '31 days'", "true"),
        ("INTERVAL '25 hours' > INTERVAL '1 day'", "true"),
        ("INTERVAL '-1 hour' > INTERVAL '-1 day'", "true"),
        ("INTERVAL '-25 hours' < INTERVAL '-1 day'", "true"),
        ("INTERVAL '1 day' IS DISTINCT FROM INTERVAL '24 hours'", "false"),
        (
            "INTERVAL '26 hours' BETWEEN INTERVAL '1 day' AND INTERVAL '2 days'",
            "true",
        ),
        ("INTERVAL '24 hours' IN (INTERVAL '2 days', INTERVAL '1 day')", "true"),
        ("CASE INTERVAL '1 day' WHEN INTERVAL '24 hours' THEN 1 ELSE 2 END", "1"),
        ("nullif(INTERVAL '1 day', INTERVAL '24 hours') IS NULL", "true"),
        (
            "greatest(INTERVAL '1 day', INTERVAL '25 hours') = INTERVAL '25 hours'",
            "true",
        ),
        ("INTERVAL '1 day' = NULL IS NULL", "true"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn durations_compare_with_intervals() {
    check(&[
        (
            "max(event_timestamp) - min(event_timestamp) > INTERVAL '1 day' FROM events",
            "true",
        ),
        (
            "max(event_timestamp) - min(event_timestamp) > INTERVAL '20 days' FROM events",
            "false",
        ),
        (
            "max(event_timestamp) - min(event_timestamp) = INTERVAL '19 days 9 hours 30 minutes' FROM events",
            "true",
        ),
        (
            "max(event_timestamp) - min(event_timestamp) BETWEEN INTERVAL '1 day' AND INTERVAL '20 days' FROM events",
            "true",
        ),
        (
            "max(event_timestamp) - min(event_timestamp) IN (INTERVAL '465.5 hours') FROM events",
            "true",
        ),
        (
            "count(*) FROM events HAVING max(event_timestamp) - min(event_timestamp) > INTERVAL '2 days'",
            "2",
        ),
        (
            "count(*) FROM events a JOIN events b ON a.event_timestamp - b.event_timestamp > INTERVAL '1 day'",
            "1",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_sort_and_group_by_length() {
    const FROM: &str = "FROM (VALUES (INTERVAL '1 day'), (INTERVAL '24 hours'), (INTERVAL '25 hours'), \
                        (INTERVAL '-3 hours')) t(x)";
    let cases = [
        ("count(*) FROM (SELECT x, count(*) # GROUP BY x)", "3"),
        ("t.x = INTERVAL '1 day' # GROUP BY t.x HAVING count(*) = 2", "true"),
        ("max(x) = INTERVAL '25 hours' #", "true"),
        ("min(x) = INTERVAL '-3 hours' #", "true"),
        ("count(DISTINCT x) #", "3"),
        ("x = INTERVAL '25 hours' # ORDER BY x DESC", "true"),
        ("x = INTERVAL '-3 hours' # ORDER BY x", "true"),
        ("row_number() OVER (ORDER BY x) #", "error: Interval"),
        ("max(n) FROM (SELECT count(*) OVER (PARTITION BY x) AS n #)", "2"),
        ("count(*) # JOIN (VALUES (INTERVAL '24 hours')) u(y) ON x = y", "2"),
        ("count(*) FROM (SELECT DISTINCT x #)", "error: EXTRACT(EPOCH FROM x)"),
        (
            "count(*) FROM (SELECT x # UNION SELECT x #)",
            "error: EXTRACT(EPOCH FROM x)",
        ),
        ("INTERVAL '1 day' IN (SELECT x #)", "error: EXTRACT(EPOCH"),
        ("justify_interval(INTERVAL '35 days 25 hours')", "1 mons 6 days 1 hours"),
    ];
    check_over(FROM, &cases).await;
}
