//! Random statements over random lakes: routed and raw answers are the same.

use footfall_compactor::MergeTask;
use footfall_model::access::SiteScope;

use super::{answer, source};
use crate::Caller;
use crate::testing::only;
use crate::tests::rollups::{Changes, Random, Rolled, random_events, rolled, small_merges};

/// How many lakes, each with [`STATEMENTS`]: 20,000 statements by `FOOTFALL_ROUTING_LAKES=200`.
const LAKES: u64 = 3;
const STATEMENTS: usize = 100;

const KEYS: [&str; 26] = [
    "tracking_id",
    "event_type",
    "country",
    "lower(country)",
    "device",
    "page_path",
    "source",
    "utm_campaign",
    "channel",
    "event_date",
    "date_trunc('hour', event_timestamp)",
    "date_trunc('day', event_timestamp)",
    "date_trunc('week', event_timestamp)",
    "date_trunc('week', event_timestamp + INTERVAL '1 day') - INTERVAL '1 day'",
    "date_trunc('month', event_timestamp::date)",
    "event_timestamp::date",
    "extract(hour FROM event_timestamp)",
    "CAST(extract(dow FROM event_timestamp) AS BIGINT)",
    "date_bin(INTERVAL '30 minutes', event_timestamp)",
    "date_trunc('day', event_timestamp AT TIME ZONE 'Asia/Kathmandu')",
    "(event_timestamp AT TIME ZONE 'Australia/Lord_Howe')::date",
    "extract(hour FROM event_timestamp AT TIME ZONE 'America/New_York')",
    "CASE WHEN country IN ('BE') THEN 'home' ELSE country END",
    "extract(minute FROM event_timestamp)",
    "is_bot",
    "user_id IS NULL",
];

const AGGREGATES: [&str; 41] = [
    "count(*)",
    "count(1)",
    "count(country)",
    "count(revenue)",
    "count(event_id)",
    "sum(revenue)",
    "avg(revenue)",
    "min(revenue)",
    "max(revenue)",
    "sum(revenue) / count(*)",
    "sum(coalesce(revenue, 0))",
    "min(event_timestamp)",
    "max(event_timestamp)",
    "max(event_date)",
    "min(country)",
    "count(DISTINCT country)",
    "count(DISTINCT client_id)",
    "count(DISTINCT CASE WHEN event_type = 'purchase' THEN client_id END)",
    "count(DISTINCT session_id)",
    "count(DISTINCT user_id)",
    "count(DISTINCT session_id) + count(DISTINCT user_id)",
    "count(DISTINCT user_id) FILTER (WHERE event_type = 'purchase')",
    "count(DISTINCT CASE WHEN country = 'BE' THEN session_id ELSE NULL END)",
    "count(DISTINCT CASE WHEN event_type = 'purchase' THEN session_id WHEN device = 'mobile' THEN client_id END)",
    "count(DISTINCT coalesce(user_id, client_id))",
    "count(DISTINCT CASE WHEN user_id IS NULL THEN session_id END)",
    "count(*) * 1.0 / nullif(count(DISTINCT session_id), 0)",
    "count(session_id)",
    "count(*) FILTER (WHERE user_id IS NOT NULL)",
    "count(*) FILTER (WHERE event_type = 'pageview')",
    "sum(revenue) FILTER (WHERE device = 'mobile')",
    "sum(CASE WHEN event_type = 'purchase' THEN revenue ELSE 0 END)",
    "sum(CASE WHEN country = 'BE' THEN 1 ELSE 0 END)",
    "count(CASE WHEN event_type = 'purchase' THEN event_id ELSE NULL END)",
    "avg(CASE WHEN event_type = 'purchase' THEN 1 ELSE 0 END)",
    "count(DISTINCT country) + max(CASE WHEN country IS NULL THEN 1 ELSE 0 END)",
    "avg(DISTINCT revenue)",
    "approx_distinct(client_id)",
    "approx_distinct(country)",
    "hll_sketch(client_id)",
    "approx_distinct(client_id) FILTER (WHERE event_type = 'purchase')",
];

const CONDITIONS: [&str; 29] = [
    "true",
    "tracking_id = 'site-1'",
    "tracking_id <> 'site-2'",
    "tracking_id IN ('site-0', 'site-2')",
    "event_type = 'pageview'",
    "event_type = 'purchase'",
    "event_type IN ('purchase', 'other')",
    "country IS NULL",
    "country <> 'BE'",
    "NOT (country = 'BE')",
    "country LIKE 'B%' OR device IS NOT NULL",
    "lower(country) = 'nl'",
    "page_path = '/1'",
    "session_id IS NOT NULL",
    "user_id IS NULL OR country = 'BE'",
    "user_id = 'user-1'",
    "source NOT IN ('google')",
    "event_date >= DATE '2026-11-02'",
    "event_timestamp >= '2026-11-01 12:00'",
    "event_timestamp >= '2026-11-01 12:07:30' AND event_timestamp < '2026-11-03 01:10'",
    "event_timestamp >= '2026-11-01 06:00' AND event_timestamp < '2026-11-03 18:00'",
    "event_timestamp BETWEEN '2026-11-01 00:00' AND '2026-11-02 23:59:59.999'",
    "event_timestamp <= '2026-11-02 11:59:59.999999'",
    "event_timestamp > '2026-11-02 10:00' OR event_timestamp <= '2026-11-01 10:00'",
    "event_timestamp > '2026-11-03 10:00' AND event_timestamp <= '2026-11-01 10:00'",
    "event_timestamp::date = '2026-11-02'",
    "CAST(extract(year FROM event_timestamp) AS BIGINT) = 2026",
    "date_trunc('day', event_timestamp) = '2026-11-02'",
    "event_timestamp < now() - INTERVAL '1 day'",
];

fn some<'a>(random: &mut Random, of: &[&'a str], most: u64) -> Vec<&'a str> {
    let count = random.below(most + 1);
    let mut some: Vec<&str> = (0..count).map(|_| of[random.below(of.len() as u64) as usize]).collect();
    some.dedup();
    some
}

fn statement(random: &mut Random) -> String {
    let keys = some(random, &KEYS, 3);
    let mut aggregates = some(random, &AGGREGATES, 3);
    if keys.is_empty() && aggregates.is_empty() {
        aggregates.push("count(*)");
    }
    let mut conditions = some(random, &CONDITIONS, 2);
    conditions.push("true");
    let columns: Vec<String> = keys
        .iter()
        .chain(&aggregates)
        .enumerate()
        .map(|(n, c)| format!("{c} AS c{n}"))
        .collect();
    let positions: Vec<String> = (1..=keys.len()).map(|n| n.to_string()).collect();
    let grouped = match (keys.is_empty(), random.below(8)) {
        (true, _) => String::new(),
        (false, 0) => format!(" GROUP BY ROLLUP ({})", keys.join(", ")),
        (false, 1) => format!(" GROUP BY CUBE ({})", keys.join(", ")),
        (false, _) => format!(" GROUP BY {}", positions.join(", ")),
    };
    let having = ["", "", "", " HAVING count(1) > 0", " HAVING count(*) > 2"][random.below(5) as usize];
    let from = [
        "events",
        "events",
        "(SELECT * FROM events) x",
        "(SELECT * FROM (SELECT * FROM events) y) x",
        "(SELECT * FROM events WHERE device IS NOT NULL) x",
    ][random.below(5) as usize];
    let having = if keys.is_empty() && aggregates.is_empty() {
        ""
    } else {
        having
    };
    format!(
        "SELECT {} FROM {from} WHERE {}{grouped}{having}",
        columns.join(", "),
        conditions.join(" AND ")
    )
}

/// A lake that is covered in parts.
async fn random_lake(random: &mut Random) -> Rolled {
    let rolled = rolled(&small_merges()).await;
    let mut configured = Changes::default();
    for written_at in 0..2 + i64::try_from(random.below(5)).unwrap() {
        configured.change(random, &rolled, "a random lake").await;
        rolled.add(random_events(random), written_at * 1_000_000).await;
        let compactor = &rolled.compactors[0];
        let tasks: Vec<MergeTask> = match random.below(3) {
            0 => Vec::new(),
            1 => compactor.plan(),
            _ => compactor.plan_day(20_758 + i32::try_from(random.below(3)).unwrap()),
        };
        for task in &tasks {
            compactor.execute(task, None).await.unwrap();
        }
        rolled.backfill_some(random, "a random lake").await;
    }
    if random.below(4) == 0 {
        // Neither answer counts events that are gone, though their rollups stay.
        let rolled = rolled.retired().await;
        rolled.add(random_events(random), 100_000_000).await;
        return rolled;
    }
    rolled
}

#[tokio::test(flavor = "multi_thread")]
async fn routed_statements_equal_raw_ones() {
    let _shared = crate::testing::CORES.read().await;
    let lakes = std::env::var("FOOTFALL_ROUTING_LAKES")
        .ok()
        .and_then(|lakes| lakes.parse().ok());
    let (mut routed_count, mut mixed_count, mut count, mut errors) = (0, 0, 0, 0);
    for seed in 0..lakes.unwrap_or(LAKES) {
        let mut random = Random(seed);
        let rolled = random_lake(&mut random).await;
        for _ in 0..STATEMENTS {
            let sql = statement(&mut random);
            let scope = match random.below(3) {
                0 => SiteScope::All,
                1 => only(&["site-1"]),
                _ => only(&["site-0", "site-2"]),
            };
            let routed = answer(&rolled.engine, Caller::from(&scope), &sql).await;
            let raw = answer(&rolled.engine, Caller::from(&scope).with_routing(false), &sql).await;
            assert_eq!(routed, raw, "seed {seed}, {scope:?}: {sql}");
            let kept = answer(&rolled.engine, Caller::from(&scope), &sql).await;
            assert_eq!(kept, routed, "seed {seed}, {scope:?}: {sql}");
            count += 1;
            errors += usize::from(raw.len() == 1);
            let source = source(&rolled.engine, &scope, &sql).await;
            routed_count += usize::from(source.starts_with("rollup"));
            mixed_count += usize::from(source.starts_with("rollups "));
        }
    }
    assert!(errors * 20 < count, "{errors} of {count} statements fail");
    assert!(
        routed_count * 3 > count,
        "{routed_count} of {count} statements were routed"
    );
    assert!(
        mixed_count * 50 > count,
        "{mixed_count} of {count} statements were answered by several rollups"
    );
}
