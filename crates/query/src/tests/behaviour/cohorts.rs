//! `retention_cohorts`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days, NaiveDate};
use footfall_compactor::Policy;
use footfall_model::access::SiteScope;
use footfall_sessions::testing::Random;

use crate::testing::{events, lake, only, rows, table, value};
use crate::tests::rollups::rolled;
use crate::{Engine, ScalarValue};

const ALL: SiteScope = SiteScope::All;

/// What `now()` is.
const TODAY: &str = "2026-11-24";

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
}

impl Unit {
    const ALL: [(Self, &str); 3] = [(Self::Day, "day"), (Self::Week, "week"), (Self::Month, "month")];

    fn start(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => day,
            Self::Week => day - Days::new(day.weekday().num_days_from_monday().into()),
            Self::Month => day.with_day(1).unwrap(),
        }
    }

    /// By counting.
    fn between(self, first: NaiveDate, later: NaiveDate) -> i64 {
        let next = |day: NaiveDate| match self {
            Self::Day => day + Days::new(1),
            Self::Week => day + Days::new(7),
            Self::Month => self.start(day + Days::new(31)),
        };
        let (mut at, mut count) = (first, 0);
        while at < later {
            (at, count) = (next(at), count + 1);
        }
        count
    }
}

/// Cohort, period -> visitors, retained.
type Cells = BTreeMap<(NaiveDate, i64), (i64, Option<i64>)>;

/// Visitor by visitor, from the days on which each came.
fn plain(days: &BTreeMap<String, BTreeSet<NaiveDate>>, unit: Unit, unbounded: bool, from: &str, to: &str) -> Cells {
    let today = unit.start(date(TODAY));
    let mut cohorts: BTreeMap<NaiveDate, Vec<BTreeSet<i64>>> = BTreeMap::new();
    for days in days.values() {
        let cohort = unit.start(*days.first().unwrap());
        if cohort >= unit.start(date(from)) && cohort <= date(to) {
            let seen = days.iter().map(|day| unit.between(cohort, unit.start(*day)));
            cohorts.entry(cohort).or_default().push(seen.collect());
        }
    }
    let oldest = cohorts.keys().map(|cohort| unit.between(*cohort, today)).max();
    let mut cells = Cells::new();
    for (cohort, visitors) in cohorts {
        for period in 0..=oldest.unwrap() {
            let came = |seen: &&BTreeSet<i64>| {
                seen.contains(&period) || (unbounded && seen.last().is_some_and(|last| *last >= period))
            };
            let retained = visitors.iter().filter(came).count() as i64;
            let is_over = period == 0 || period < unit.between(cohort, today);
            cells.insert((cohort, period), (visitors.len() as i64, is_over.then_some(retained)));
        }
    }
    cells
}

async fn computed(engine: &Engine, sites: &SiteScope, call: &str) -> Cells {
    let sql = format!("SELECT cohort, period, visitors, retained FROM {call}");
    let shown = table(engine, sites, &sql).await;
    let lines = shown.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let cohort = cells.get(1)?.parse().ok()?;
        let key = (cohort, cells[2].parse().unwrap());
        Some((key, (cells[3].parse().unwrap(), cells[4].parse().ok())))
    });
    let cells: Cells = lines.collect();
    assert!(!cells.is_empty() || shown.lines().count() <= 4, "{call}\n{shown}");
    cells
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_cohorts_of_random_histories_equal_a_plain_computation() {
    let mut compared = 0;
    for seed in 0..3 {
        let mut random = Random(seed);
        let lake = lake().await;
        let mut days: BTreeMap<String, BTreeSet<NaiveDate>> = BTreeMap::new();
        for file in 0..3 {
            let mut sent = events();
            for nth in 0..150 {
                let day = date(TODAY) - Days::new(random.below(75));
                let client = format!("v{}", random.below(40));
                let time = format!(
                    "{day} {:02}:{:02}:{file:02}.{nth:03}",
                    random.below(12),
                    random.below(60)
                );
                sent = sent.client(&client).at(&time).pageview("/");
                days.entry(client).or_default().insert(day);
            }
            lake.add(&format!("f{file}"), sent).await;
            let others = events().site("b").client("v1").at("2026-01-01 10:00").pageview("/");
            lake.add(&format!("g{file}"), others).await;
        }
        let engine = lake.engine();
        for (unit, name) in Unit::ALL {
            for (from, to) in [("2026-09-01", "2026-11-30"), ("2026-10-14", "2026-11-03")] {
                let call = |mode: &str| format!("retention_cohorts('a', '{from}', '{to}', '{name}', '{mode}')");
                for (mode, unbounded) in [("on", false), ("unbounded", true)] {
                    let expected = plain(&days, unit, unbounded, from, to);
                    compared += expected.len();
                    let got = computed(&engine, &ALL, &call(mode)).await;
                    assert_eq!(got, expected, "seed {seed}: {}", call(mode));
                }
            }
        }
    }
    assert!(compared > 3_000, "{compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_cohorts_take_parameters_aliases_and_a_time_zone() {
    let lake = lake().await;
    let sent = events().site("shop").client("ann").at("2026-11-10 23:30").pageview("/");
    lake.add("x", sent.at("2026-11-11 23:30").pageview("/")).await;
    let engine = lake.engine();
    let in_brussels = "SELECT string_agg(day || ':' || n, ' ' ORDER BY n) FROM \
                       retention_cohorts('shop', DATE '2026-11-01', DATE '2026-11-30', 'day', 'on', 'Europe/Brussels') \
                       AS r (day, n, visitors, retained, rate) WHERE retained > 0";
    assert_eq!(value(&engine, &ALL, in_brussels).await, "2026-11-11:0 2026-11-11:1");
    let sql =
        "SELECT cohort, period FROM RETENTION_COHORTS($1, $2, $2) WHERE retained = 1 AND retention_rate = 1 ORDER BY 2";
    let described = engine.describe(&ALL, sql).await.unwrap();
    let types: Vec<_> = described
        .parameters
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    assert_eq!(types, ["Utf8", "Date32"]);
    let values = [ScalarValue::from("shop"), ScalarValue::Date32(Some(20_767))];
    let found = rows(&engine, &ALL, sql, &values).await.unwrap();
    assert_eq!(found.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 2);
    let explained = table(
        &engine,
        &ALL,
        "EXPLAIN SELECT * FROM retention_cohorts('shop', '2026-11-01', '2026-11-30')",
    )
    .await;
    assert!(explained.contains("aggregate 1: "), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_cohorts_show_a_reader_its_own_sites_alone() {
    let lake = lake().await;
    lake.add("x", events().site("a").client("ann").pageview("/")).await;
    lake.add("y", events().site("b").client("ann").pageview("/")).await;
    let engine = lake.engine();
    let cohorts = async |sites: &SiteScope, site: &str| {
        let call = format!("retention_cohorts('{site}', '2026-11-01', '2026-11-30')");
        value(&engine, sites, &format!("SELECT count(DISTINCT cohort) FROM {call}")).await
    };
    assert_eq!(cohorts(&only(&["a"]), "a").await, "1");
    assert_eq!(cohorts(&only(&["a"]), "b").await, "0");
    assert_eq!(cohorts(&only(&["a"]), "nowhere").await, "0");
    assert_eq!(cohorts(&ALL, "b").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_cohorts_refuse_other_arguments_with_the_reason() {
    let engine = lake().await.engine();
    for (args, reason) in [
        ("'a'", "takes a site, the first and the last day"),
        (
            "'a', '2026-11-01', '2026-11-02', 'day', 'on', 'UTC', 1",
            "takes a site, the first and the last day",
        ),
        (
            "'a', '2026-11-01', '2026-11-02', 'year'",
            "'day', 'week' or 'month', not \\\"year\\\"",
        ),
        ("'a', '2026-11-01', '2026-11-02', 'day', 'later'", "seen 'on' a period"),
        ("'a', '2026-11-01', '2026-11-02', 1", "are texts such as 'week', not 1"),
        (
            "'a', '2026-11-01', '2026-11-02', 'day', 'on', 'Nowhere/Land'",
            "Nowhere/Land",
        ),
        (
            "client_id, '2026-11-01', '2026-11-02'",
            "constants and parameters, not the column client_id",
        ),
        (
            "(SELECT 'a'), '2026-11-01', '2026-11-02'",
            "constants and parameters, not a subquery",
        ),
        ("'a', 'soon', '2026-11-02'", "soon"),
        ("'a'' OR true --', '2026-11-01', 'x'' y'", "x' y"),
    ] {
        let shown = value(&engine, &ALL, &format!("SELECT * FROM retention_cohorts({args})")).await;
        assert!(shown.contains(reason), "{args}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_cohorts_are_answered_from_visits() {
    let rolled = rolled(&Policy::default()).await;
    let mut sent = events();
    for minute in 0..60 {
        sent = sent
            .client(&format!("v{}", minute % 3))
            .at(&format!("2026-11-01 10:{minute:02}"))
            .pageview("/");
    }
    rolled.add(sent.clone(), 0).await;
    rolled.add(sent.site("b").at("2026-11-01 12:00").pageview("/"), 1).await;
    for task in rolled.compactors[0].plan_day(20_758) {
        rolled.compactors[0].execute(&task, None).await.unwrap();
    }
    for (zone, expected) in [
        ("UTC", "rollup visitors_daily: "),
        ("Europe/Brussels", "rollup visits: "),
        ("Asia/Kathmandu", "raw events: "),
    ] {
        for unit in ["day', 'on", "week', 'unbounded", "month', 'on"] {
            let call = format!("retention_cohorts('a', '2026-11-01', '2026-11-30', '{unit}', '{zone}')");
            let plan = table(&rolled.engine, &ALL, &format!("EXPLAIN SELECT * FROM {call}")).await;
            let decision = plan.lines().find(|line| line.contains("aggregate 1: ")).unwrap();
            assert!(decision.contains(expected), "{call}: {decision}");
            let sql = format!("SELECT visitors FROM {call} WHERE period = 0");
            assert_eq!(value(&rolled.engine, &ALL, &sql).await, "3");
        }
    }
}
