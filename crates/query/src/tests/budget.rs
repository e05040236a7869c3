//! What reads too many raw events: refused, or estimated from a sample of the visitors.

use std::sync::Arc;

use footfall_model::access::SiteScope;

use crate::testing::{TestLake, events, lake, only, table, value};
use crate::{Beyond, Caller, Engine, EngineOptions, Provenance, RawLimit};

const ALL: SiteScope = SiteScope::All;

/// 2,000 visitors of two sites on one day, and one visitor half a year before.
async fn with_crowds() -> TestLake {
    let lake = lake().await;
    lake.add("a", events().crowd(1_000)).await;
    lake.add("b", events().site("b").crowd(1_000)).await;
    lake.add("old", events().at("2026-05-01 10:00").pageview("/old")).await;
    lake
}

fn engine(lake: &TestLake, rows: u64, beyond: Beyond) -> Engine {
    let options = EngineOptions {
        raw_limit: RawLimit { rows, beyond },
        ..lake.options()
    };
    Engine::new(Arc::clone(&lake.table), &options).unwrap()
}

async fn provenance(engine: &Engine, caller: Caller, sql: &str) -> Provenance {
    engine.execute_at(caller, sql, &[], None).await.unwrap().provenance
}

#[tokio::test]
async fn aggregate_over_the_limit_is_refused_with_what_to_do() {
    let lake = with_crowds().await;
    let engine = engine(&lake, 1_500, Beyond::Refuse);
    let sql = "SELECT page_url, count(*) FROM events GROUP BY 1";
    let refused = table(&engine, &ALL, sql).await;
    for part in [
        "2001 events are more than 1500",
        "query.raw_row_limit",
        "rollup advise",
        "TABLESAMPLE",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let explained = table(&engine, &ALL, &format!("EXPLAIN {sql}")).await;
    assert!(
        explained.contains("refused: 2001 events are more than 1500"),
        "{explained}"
    );
    // What is pruned does not count.
    for (filter, expected) in [("tracking_id = 'a'", "1001"), ("event_timestamp < '2026-06-01'", "1")] {
        let sql = format!("SELECT count(page_url) FROM events WHERE {filter}");
        assert_eq!(value(&engine, &ALL, &sql).await, expected);
    }
    let rows = "SELECT count(*) FROM (SELECT page_url FROM events LIMIT 5)";
    assert_eq!(value(&engine, &ALL, rows).await, "5");
    assert_eq!(
        value(&engine, &only(&["a"]), "SELECT count(page_url) FROM events").await,
        "1001"
    );
}

#[tokio::test]
async fn aggregate_over_the_limit_is_estimated() {
    let lake = with_crowds().await;
    let engine = engine(&lake, 100, Beyond::Sample);
    let near = |found: &str, truth: f64| (found.parse::<f64>().unwrap() / truth - 1.0).abs() < 0.25;
    for sql in [
        "SELECT count(*) FROM events",
        "SELECT count(DISTINCT client_hash) FROM events",
        "SELECT sum(n) FROM (SELECT tracking_id, count(DISTINCT session_id) FILTER (WHERE event_type = 'pageview') AS n \
         FROM events GROUP BY 1)",
        "SELECT sum(n) FROM (SELECT page_url, count(*) AS n FROM events GROUP BY 1 HAVING count(*) > 50)",
    ] {
        let found = value(&engine, &ALL, sql).await;
        assert!(near(&found, 2_000.0), "{sql}: {found}");
        let provenance = provenance(&engine, Caller::from(&ALL), sql).await;
        assert_eq!(provenance.sample_rate(), Some(0.1));
        assert!(
            provenance.sources()[0].starts_with("raw events of a tenth of the visitors: "),
            "{:?}",
            provenance.sources()
        );
    }
    let mean = value(&engine, &ALL, "SELECT avg(length(page_url)) FROM events").await;
    assert!(near(&mean, 7.0), "{mean}");
    let kinds = "SELECT arrow_typeof(count(*)) || ', ' || arrow_typeof(sum(revenue)) FROM events";
    let unlimited = self::engine(&lake, 0, Beyond::Refuse);
    assert_eq!(value(&engine, &ALL, kinds).await, value(&unlimited, &ALL, kinds).await);
    for sql in [
        "SELECT min(page_url) FROM events",
        "SELECT client_id, count(*) FROM events GROUP BY 1",
        "SELECT count(DISTINCT page_url) FROM events",
        "SELECT count(DISTINCT user_id) FROM events",
        // Both sites have the same.
        "SELECT count(DISTINCT session_id) FROM events",
    ] {
        assert!(table(&engine, &ALL, sql).await.contains("too many events"), "{sql}");
    }
}

#[tokio::test]
async fn long_reports_are_estimated_for_those_who_let_them() {
    let lake = with_crowds().await;
    let engine = lake.engine();
    let rate = async |sites: &SiteScope, sampling, sql: &str| {
        let caller = Caller::from(sites).with_sampling(sampling);
        provenance(&engine, caller, sql).await.sample_rate()
    };
    let all = "SELECT page_url, count(*) FROM events GROUP BY 1";
    let days = |first: &str| {
        format!(
            "SELECT page_url, count(*) FROM events WHERE event_timestamp >= '{first}' AND event_timestamp < '2026-11-02' \
             GROUP BY 1"
        )
    };
    // Equal statements have a result of their own for each.
    for sampling in [true, false] {
        let expected = sampling.then_some(0.1);
        for sites in [&ALL, &only(&["a"])] {
            assert_eq!(rate(sites, sampling, all).await, expected);
            assert_eq!(rate(sites, sampling, &days("2026-11-01")).await, None);
        }
        assert_eq!(rate(&only(&["a"]), sampling, &days("2026-05-01")).await, expected);
    }
    // All sites together have events on one of the days.
    assert_eq!(rate(&ALL, true, &days("2026-06-01")).await, None);
    // One visitor is in a sample or not, and a sample is not sampled again.
    let one = "SELECT count(*) FROM events WHERE tracking_id = 'a' AND client_id = 'client-7'";
    assert_eq!(value(&engine, Caller::from(&ALL).with_sampling(true), one).await, "1");
    let half = "SELECT count(page_url) FROM events TABLESAMPLE SYSTEM (50)";
    let exact = value(&engine, &ALL, half).await;
    assert_eq!(
        value(&engine, Caller::from(&ALL).with_sampling(true), half).await,
        exact
    );
    // An extreme is read as a whole.
    let exact = Caller::from(&ALL).with_sampling(true);
    assert_eq!(value(&engine, exact, "SELECT min(page_url) FROM events").await, "/old");
}
