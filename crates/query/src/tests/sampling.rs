//! Samples of visitors.

use footfall_compactor::Policy;
use footfall_model::access::SiteScope;

use crate::Caller;
use crate::testing::{events, only, table, value};
use crate::tests::rollups::{Rolled, rolled};

const ALL: SiteScope = SiteScope::All;

/// 2,000 visitors with a pageview each, half of them in a merged file.
async fn lake() -> Rolled {
    let rolled = rolled(&Policy::default()).await;
    rolled.add(events().crowd(1_000), 0).await;
    rolled.add(events().site("b").crowd(1_000), 1).await;
    for task in rolled.compactors[0].plan_day(20_758) {
        rolled.compactors[0].execute(&task, None).await.unwrap();
    }
    rolled.add(events().site("c").crowd(1_000), 2).await;
    rolled
}

#[tokio::test]
async fn sample_has_all_rows_of_some_visitors() {
    let rolled = lake().await;
    let ask = async |sql: &str| table(&rolled.engine, &ALL, sql).await;
    let sampled = "SELECT client_id, count(*) AS n FROM events TABLESAMPLE SYSTEM (25) GROUP BY 1 ORDER BY 1";
    let by_hash =
        "SELECT client_id, count(*) AS n FROM events WHERE client_hash <= -4611686018427387905 GROUP BY 1 ORDER BY 1";
    assert_eq!(ask(sampled).await, ask(by_hash).await);
    assert_eq!(ask(sampled).await, ask(sampled).await);
    let visitors = "SELECT count(*) AS n FROM (SELECT DISTINCT tracking_id, client_hash FROM";
    let visitors = async |of: &str| ask(&format!("{visitors} {of} TABLESAMPLE SYSTEM (12.5))")).await;
    let of_events = visitors("events").await;
    assert_eq!(visitors("visits").await, of_events);
    assert_eq!(visitors("visitors_daily").await, of_events);
    assert_eq!(visitors("public.sessions").await, of_events);
    let count = async |percent: &str| {
        let sql = format!(
            "SELECT count(*) FROM events AS e TABLESAMPLE SYSTEM ({percent} PERCENT) WHERE e.tracking_id <> 'x'"
        );
        value(&rolled.engine, &ALL, &sql).await.parse::<u64>().unwrap()
    };
    assert!((225..375).contains(&count("10").await));
    assert_eq!((count("100").await, count("0.000001").await), (3_000, 0));
}

#[tokio::test]
async fn estimates_hold_the_truth_and_say_their_size() {
    let rolled = lake().await;
    let sql = "SELECT e['value'] AS value, e['lower'] <= 3000 AND 3000 <= e['upper'] AS holds, e['sample_size'] AS n \
               FROM (SELECT sample_estimate(n, 10) AS e FROM (\
               SELECT tracking_id, client_hash, count(*) AS n FROM events TABLESAMPLE SYSTEM (10) GROUP BY 1, 2))";
    let shown = table(&rolled.engine, &ALL, sql).await;
    let line: Vec<_> = shown.lines().nth(3).unwrap().split('|').map(str::trim).collect();
    let (value, size): (f64, f64) = (line[1].parse().unwrap(), line[3].parse().unwrap());
    assert_eq!(line[2], "true", "{shown}");
    assert!((value - 10.0 * size).abs() < 1e-9, "{shown}");
    let refused = "SELECT sample_estimate(1, 0)";
    assert!(table(&rolled.engine, &ALL, refused).await.contains("above 0"));
}

#[tokio::test]
async fn provenance_tells_the_sample() {
    let rolled = lake().await;
    let rate = async |sql: &str| {
        let answer = rolled
            .engine
            .execute_at(Caller::from(&only(&["a"])), sql, &[], None)
            .await;
        answer.unwrap().provenance.sample_rate()
    };
    assert_eq!(rate("SELECT count(*) FROM events").await, None);
    let two = "SELECT count(*) FROM events e TABLESAMPLE SYSTEM (5) JOIN visits v TABLESAMPLE SYSTEM (10) USING (client_hash)";
    assert_eq!(rate(two).await, Some(0.05));
}
