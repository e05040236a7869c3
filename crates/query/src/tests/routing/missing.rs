//! What `system.queries` says is missing would have answered the statement.

use footfall_compactor::Policy;
use footfall_model::access::SiteScope;
use footfall_model::rollup::ConfiguredRollup;

use super::{answer, source};
use crate::advise::{QueryFacts, count_groups, facts};
use crate::testing::{EventsBuilder, events, only, rows, value};
use crate::tests::rollups::{Rolled, rolled};
use crate::{Caller, Engine};

const ALL: SiteScope = SiteScope::All;

/// Few visitors with many events, in a merged file.
async fn lake() -> Rolled {
    let rolled = rolled(&Policy::default()).await;
    for (nth, site) in ["a", "b"].into_iter().enumerate() {
        let mut sent: EventsBuilder = events().site(site);
        for event in 0..200 {
            let city = ["Gent", "Brussel"][event % 2];
            sent = sent
                .client(&format!("v{}", event % 4))
                .text("city", Some(city))
                .text("user_id", Some(&format!("u{}", event % 3)))
                .at(&format!("2026-11-01 {:02}:{:02}", 10 + event / 100, event / 4));
            sent = match event % 5 {
                0 => sent.purchase(10_000),
                _ => sent.pageview("/"),
            };
        }
        rolled.add(sent, nth as i64).await;
    }
    for task in rolled.compactors[0].plan_day(20_758) {
        rolled.compactors[0].execute(&task, None).await.unwrap();
    }
    rolled
}

/// What is missing for the last statement with this text.
async fn missing(engine: &Engine, caller: impl Into<Caller>, sql: &str) -> Vec<QueryFacts> {
    rows(engine, caller, sql, &[]).await.unwrap();
    let quoted = sql.replace('\'', "''");
    let listed = format!(
        "SELECT coalesce(max(missing_rollups), '[]'), max(rows_read) FROM system.queries WHERE sql = '{quoted}'"
    );
    facts(&value(engine, &ALL, &listed).await, u64::MAX).unwrap()
}

fn shown(facts: &QueryFacts) -> String {
    let rollup = &facts.rollup;
    let measures: Vec<_> = rollup.measures.iter().map(|measure| measure.name.as_str()).collect();
    let visitors = if rollup.per_visitor { ", visitors" } else { "" };
    format!(
        "{:?}{visitors} [{}] [{}]",
        rollup.grain,
        rollup.dimensions.join(" "),
        measures.join(" ")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rollup_answers_the_statement_once_it_is_made() {
    let rolled = lake().await;
    for (nth, (sql, expected)) in [
        (
            "SELECT city, count(*) FROM events GROUP BY 1",
            "Day [city] [event_count]",
        ),
        (
            "SELECT date_trunc('hour', event_timestamp), city, sum(revenue), avg(revenue) FROM events GROUP BY 1, 2",
            "Hour [city] [event_count revenue_count total_revenue]",
        ),
        (
            "SELECT count(*) FROM events WHERE city LIKE 'G%' AND event_type = 'purchase'",
            "Day [city] [event_count purchases]",
        ),
        (
            "SELECT max(revenue) FROM events WHERE city = 'Gent' AND event_type = 'purchase'",
            "Day [city event_type] [event_count max_revenue]",
        ),
        (
            "SELECT city, count(DISTINCT client_id) FROM events WHERE tracking_id = 'a' GROUP BY 1",
            "Day, visitors [city] [event_count]",
        ),
        (
            "SELECT city, min(event_timestamp) FROM events GROUP BY 1",
            "Day [city] [event_count first_event]",
        ),
        (
            "SELECT city, approx_distinct(user_id) FROM events GROUP BY 1",
            "Day [city] [event_count sketch_of_user_id]",
        ),
        (
            "SELECT count(page_url) FROM events WHERE event_timestamp >= '2026-11-01 10:00' \
             AND event_timestamp < '2026-11-01 11:00'",
            "Hour [] [event_count count_of_page_url]",
        ),
        (
            "SELECT count(*) FILTER (WHERE city = 'Gent') FROM events WHERE event_timestamp >= '2026-11-01 10:15' \
             AND event_timestamp < '2026-11-01 11:45'",
            "QuarterHour [city] [event_count]",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let found = missing(&rolled.engine, &ALL, sql).await;
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), [expected], "{sql}");
        assert_eq!(found[0].rows, 400, "{sql}");

        let mut definition = found[0].rollup.clone();
        definition.name = "mine".into();
        definition.validate().unwrap();
        let revision = nth as u64 + 1;
        let configured = ConfiguredRollup {
            definition,
            revision,
            created_at: 0,
        };
        rolled.set(revision, vec![configured.rollup().unwrap()]).await;
        rolled.backfill_all().await;
        let now = source(&rolled.engine, &ALL, sql).await;
        assert!(now.starts_with("rollup mine: "), "{sql}\n{now}");
        let routed = answer(&rolled.engine, Caller::from(&ALL), sql).await;
        let raw = answer(&rolled.engine, Caller::from(&ALL).with_routing(false), sql).await;
        assert_eq!(routed, raw, "{sql}");
        // It is not missing any more, not even for the statement that ran without it.
        let still = format!(
            "SELECT count(missing_rollups) FROM system.queries WHERE sql = '{}'",
            sql.replace('\'', "''")
        );
        assert_eq!(value(&rolled.engine, &ALL, &still).await, "0", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_where_no_rollup_can_help() {
    let rolled = lake().await;
    for sql in [
        "SELECT country, count(*) FROM events GROUP BY 1",
        "SELECT client_id, count(*) FROM events GROUP BY 1",
        "SELECT count(DISTINCT user_id) FROM events",
        "SELECT count(DISTINCT session_id) FROM events WHERE tracking_id = 'a' AND city = 'Gent'",
        "SELECT median(revenue) FROM events",
        "SELECT date_trunc('minute', event_timestamp), count(*) FROM events GROUP BY 1",
        "SELECT count(*) FROM events WHERE custom_properties->>'plan' = 'pro'",
        "SELECT count(DISTINCT client_id) FROM events WHERE city = 'Gent'",
        "SELECT city FROM events LIMIT 1",
    ] {
        assert_eq!(missing(&rolled.engine, &ALL, sql).await, [], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_statements_miss_rollups_too() {
    let rolled = lake().await;
    let sql = "SELECT city, count(DISTINCT client_id) FROM events GROUP BY 1";
    let found = missing(&rolled.engine, &only(&["a"]), sql).await;
    assert_eq!(
        found.iter().map(shown).collect::<Vec<_>>(),
        ["Day, visitors [city] [event_count]"]
    );
    assert_eq!(found[0].rollup.sites, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_candidate_are_counted_on_one_day() {
    let rolled = lake().await;
    let found = missing(&rolled.engine, &ALL, "SELECT city, count(*) FROM events GROUP BY 1").await;
    let mut rollup = found[0].rollup.clone();
    let counted = async |rollup| {
        let sql = count_groups(&rollup, chrono::NaiveDate::from_ymd_opt(2026, 11, 1).unwrap());
        let sql = format!("SELECT events || ' ' || groups FROM ({sql})");
        value(&rolled.engine, &ALL, &sql).await
    };
    assert_eq!(counted(rollup.clone()).await, "400 4");
    rollup.per_visitor = true;
    assert_eq!(counted(rollup.clone()).await, "400 8");
    rollup.grain = footfall_model::rollup::Grain::Hour;
    assert_eq!(counted(rollup.clone()).await, "400 16");
    rollup.dimensions.clear();
    assert_eq!(counted(rollup).await, "400 16");
}
