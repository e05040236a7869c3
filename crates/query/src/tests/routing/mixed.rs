//! One answer from several rollups: finer ones at the edges of the asked time, others where one does not cover its history.

use footfall_compactor::Policy;
use footfall_model::access::SiteScope;
use footfall_model::rollup::{Grain, Rollup, built_in};

use super::{answer, source};
use crate::Caller;
use crate::testing::{events, only};
use crate::tests::rollups::{Rolled, rolled};

const ALL: SiteScope = SiteScope::All;

/// Three days with a merged file each, and an event that is not merged.
async fn lake() -> Rolled {
    let rolled = rolled(&Policy::default()).await;
    for day in 1..=3 {
        let mut sent = events();
        for hour in 0..24 {
            sent = sent
                .at(&format!("2026-11-{day:02} {hour:02}:{:02}", 2 * hour))
                .text("country", Some(["BE", "NL"][hour % 2]))
                .text("city", Some(["Gent", "Breda"][hour % 2]))
                .crowd(40);
        }
        rolled.add(sent, day).await;
    }
    for day in 20_758..20_761 {
        for task in rolled.compactors[0].plan_day(day) {
            rolled.compactors[0].execute(&task, None).await.unwrap();
        }
    }
    rolled.add(events().at("2026-11-02 12:00").pageview("/"), 4).await;
    rolled
}

fn configured(name: &str, revision: u64, grain: Grain, dimension: &str) -> Rollup {
    Rollup {
        name: name.to_owned(),
        revision,
        sites: ALL,
        grain,
        per_visitor: false,
        ids: Vec::new(),
        dimensions: vec![dimension.to_owned()],
        measures: built_in()[0].measures.clone(),
    }
}

async fn assert_exact(rolled: &Rolled, sql: &str) {
    for sites in [ALL, only(&["a"])] {
        let raw = answer(&rolled.engine, Caller::from(&sites).with_routing(false), sql).await;
        assert_eq!(answer(&rolled.engine, Caller::from(&sites), sql).await, raw, "{sql}");
    }
}

#[tokio::test]
async fn finer_rollups_answer_at_the_edges() {
    let rolled = lake().await;
    for (sql, of_all, of_reader) in [
        (
            "SELECT event_type, count(*) FROM events \
             WHERE event_timestamp >= '2026-11-01 05:15' AND event_timestamp < '2026-11-03 07:15' GROUP BY 1",
            "rollups events_totals and totals_daily: 3 segments with 49 rows and 1 file of events with 1 row instead of \
             2881 events",
            "rollups totals_daily and events_totals, and events that they do not cover yet",
        ),
        (
            "SELECT country, count(*), sum(revenue) FROM events \
             WHERE event_timestamp >= '2026-11-01 05:00' AND event_timestamp < '2026-11-04' GROUP BY 1",
            "rollups events_hourly and countries_daily: 3 segments with 28 rows and 1 file of events with 1 row instead of \
             2881 events",
            "rollups countries_daily and events_hourly, and events that they do not cover yet",
        ),
    ] {
        assert_exact(&rolled, sql).await;
        assert_eq!(source(&rolled.engine, &ALL, sql).await, of_all, "{sql}");
        assert_eq!(source(&rolled.engine, &only(&["a"]), sql).await, of_reader, "{sql}");
    }
}

#[tokio::test]
async fn reader_is_answered_from_a_built_in_rollup_where_a_new_one_has_no_history() {
    let rolled = lake().await;
    rolled.set(1, vec![configured("mine", 1, Grain::Day, "country")]).await;
    for (sql, expected) in [
        (
            "SELECT country, count(*) FROM events GROUP BY 1",
            "rollups mine and countries_daily, and events that they do not cover yet",
        ),
        (
            "SELECT country, count(*) FILTER (WHERE event_type = 'pageview'), min(revenue) FROM events GROUP BY 1",
            "rollup countries_daily, and events that it does not cover yet",
        ),
        (
            "SELECT country, count(*) FROM events WHERE event_timestamp >= '2026-11-01 05:00' GROUP BY 1",
            "rollups mine and countries_daily and events_hourly, and events that they do not cover yet",
        ),
    ] {
        assert_exact(&rolled, sql).await;
        assert_eq!(source(&rolled.engine, &only(&["a"]), sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn rollup_answers_where_it_has_its_history_and_a_finer_one_elsewhere() {
    let rolled = lake().await;
    let hourly = configured("hourly", 1, Grain::Hour, "city");
    rolled.set(1, vec![hourly.clone()]).await;
    rolled.backfill_all().await;
    rolled
        .set(2, vec![hourly, configured("daily", 2, Grain::Day, "city")])
        .await;
    let sql = "SELECT city, count(*), sum(revenue) FROM events GROUP BY 1";
    let mut sources = Vec::new();
    loop {
        assert_exact(&rolled, sql).await;
        sources.push(source(&rolled.engine, &ALL, sql).await);
        let Some(task) = rolled.backfills[0].plan().into_iter().next() else {
            break;
        };
        rolled.backfills[0].execute(&task).await.unwrap();
    }
    sources.dedup();
    assert_eq!(
        sources,
        [
            "rollup hourly: 4 segments with 73 rows instead of 2881 events",
            "rollups hourly and daily: 4 segments with 51 rows instead of 2881 events",
            "rollups hourly and daily: 4 segments with 29 rows instead of 2881 events",
            "rollup daily: 4 segments with 7 rows instead of 2881 events",
        ]
    );
}
