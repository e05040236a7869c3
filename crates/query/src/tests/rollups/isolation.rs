//! A reader of a shared lake gets from views what a lake of its own would return: rows, errors and plans.

use footfall_compactor::Policy;

use super::{Rolled, rolled};
use crate::testing::{EventsBuilder, events, only, table};

/// Over two days, of which the first is merged.
async fn lake_of(sites: &[&str]) -> Rolled {
    let rolled = rolled(&Policy::default()).await;
    for day in ["2026-11-01", "2026-11-02"] {
        let of_sites = sites.iter().fold(events(), |all, site| of_site(all, site, day));
        rolled.add(of_sites, 0).await;
    }
    let tasks = rolled.compactors[0].plan_day(20_758);
    rolled.compactors[0].execute(&tasks[0], None).await.unwrap();
    rolled
}

/// The other site has what makes conditions fail: texts that are no numbers, and counts that divide by zero.
fn of_site(events: EventsBuilder, site: &str, day: &str) -> EventsBuilder {
    let (country, visitors) = if site == "mine" { ("12", 3) } else { ("BE", 7) };
    events
        .site(site)
        .at(&format!("{day} 10:00"))
        .text("country", Some(country))
        .crowd(visitors)
        .purchase(10_000)
}

const STATEMENTS: [&str; 12] = [
    "SELECT * FROM events_hourly ORDER BY hour, event_type",
    "SELECT count(*), count(DISTINCT client_hash) FROM visits",
    "SELECT month, unique_users, event_count FROM events_monthly WHERE CAST(country AS INT) = 12",
    "SELECT hour, 1 / (event_count - 7) FROM events_hourly WHERE event_type = 'pageview' ORDER BY hour",
    "SELECT day FROM events_daily WHERE 1 / (7 - pageviews) < 5 AND CAST(country AS INT) > 0 ORDER BY day",
    "SELECT page_path, unique_users FROM pages_daily WHERE 10 / (unique_users - 7) < 1",
    "SELECT hll_estimate(hll_union(visitors_sketch)) FROM events_hourly WHERE hour < '2026-11-02 00:00'",
    "SELECT CAST(country AS INT) AS n, sum(unique_users) FROM events_weekly GROUP BY 1",
    // These fail on the reader's own rows.
    "SELECT 1 / (event_count - 3) FROM events_hourly WHERE event_type = 'pageview'",
    "SELECT unique_users FROM events_weekly WHERE 1 / (CAST(country AS INT) - 12) = 1",
    "EXPLAIN SELECT event_count, unique_users FROM events_daily WHERE CAST(country AS INT) = 12",
    "EXPLAIN SELECT unique_users FROM events_hourly WHERE hour >= '2026-11-02 00:00' AND tracking_id = 'other'",
];

#[tokio::test(flavor = "multi_thread")]
async fn views_of_a_shared_lake_answer_like_those_of_an_own_lake() {
    let (shared, alone) = (lake_of(&["mine", "other"]).await, lake_of(&["mine"]).await);
    let (reader, mut failed) = (only(&["mine"]), 0);
    for sql in STATEMENTS {
        let answer = table(&shared.engine, &reader, sql).await;
        assert_eq!(answer, table(&alone.engine, &reader, sql).await, "{sql}");
        failed += usize::from(!answer.starts_with('+'));
        // Otherwise the statement could not tell.
        let all = table(&shared.engine, &only(&["mine", "other"]), sql).await;
        assert!(
            all != answer || sql.starts_with("EXPLAIN") || !answer.starts_with('+'),
            "{sql}\n{answer}"
        );
    }
    assert_eq!(failed, 2);
}
