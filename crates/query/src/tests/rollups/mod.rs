//! The views of rollups equal the same aggregation over the events, whatever has been merged.

mod configured;
mod isolation;
mod older;
mod sql;

use std::sync::Arc;

use footfall_compactor::{
    Compactor, MergeTask, Policy, RetentionPolicy, RollupBackfill, RollupSegments, SegmentKind, SessionSegments,
};
use footfall_lake::{Commit, Lake, NewFile, Origin, partitions, write_file};
use footfall_model::access::SiteScope;
use footfall_model::clock::{DAY, IdGen, Micros, SystemClock};
use footfall_model::rollup::{Rollup, RollupView, built_in, views};
use footfall_model::table::{TableSpec, events as events_table};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::sync::atomic::{AtomicU64, Ordering};

pub(in crate::tests) use self::configured::Changes;
use self::sql::{columns, over_events, random_condition};
use crate::testing::{EventsBuilder, events, only, table, value};
use crate::{Caller, Engine, Views};

#[derive(Debug, Default)]
struct CountedIds(AtomicU64);

impl IdGen for CountedIds {
    fn next_id(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// A lake with its views and two compactors.
pub(in crate::tests) struct Rolled {
    lake: Lake,
    pub(in crate::tests) engine: Engine,
    pub(in crate::tests) compactors: [Compactor; 2],
    /// One for each of two processes.
    pub(in crate::tests) backfills: [RollupBackfill; 2],
    ids: CountedIds,
    _spill: tempfile::TempDir,
}

fn specs() -> Vec<Arc<TableSpec>> {
    let rollups = built_in().into_iter().map(|rollup| Arc::new(rollup.table().unwrap()));
    let sessions = SessionSegments.tables().unwrap();
    [Arc::clone(events_table())]
        .into_iter()
        .chain(rollups)
        .chain(sessions)
        .collect()
}

/// Merges of few and small files.
pub(in crate::tests) fn small_merges() -> Policy {
    Policy {
        target_bytes: 8 * 1_024,
        fresh_age: 0,
        fresh_bytes: 0,
        fresh_files: 4,
        small_files: 3,
        small_bytes: 4 * 1_024,
        ..Policy::default()
    }
}

/// Answers from events alone.
fn unrouted(scope: &SiteScope) -> Caller {
    Caller::from(scope).with_routing(false)
}

/// Each process over a store has ids of its own.
static PROCESSES: AtomicU64 = AtomicU64::new(0);

pub(in crate::tests) async fn rolled(policy: &Policy) -> Rolled {
    Rolled::over(Arc::new(InMemory::new()), policy).await
}

impl Rolled {
    /// A process over this store.
    pub(in crate::tests) async fn over(store: Arc<dyn ObjectStore>, policy: &Policy) -> Self {
        let lake = Lake::open(store, &specs(), Arc::new(SystemClock)).await.unwrap();
        let spill = tempfile::tempdir().unwrap();
        let options = crate::EngineOptions::new(spill.path().to_owned());
        let ids = || CountedIds(AtomicU64::new(PROCESSES.fetch_add(1, Ordering::SeqCst) << 32));
        let compactor = || {
            let kinds: Vec<Arc<dyn SegmentKind>> =
                vec![Arc::new(RollupSegments(built_in())), Arc::new(SessionSegments)];
            Compactor::new(&lake, kinds, policy.clone(), Arc::new(SystemClock), Arc::new(ids())).unwrap()
        };
        let backfill = || RollupBackfill::new(&lake, Arc::new(SystemClock), Arc::new(ids())).unwrap();
        let views = Views {
            rollups: views(),
            sessions: true,
            ..Views::default()
        };
        Self {
            backfills: [backfill(), backfill()],
            engine: Engine::with_views(&lake, views, &options).unwrap(),
            compactors: [compactor(), compactor()],
            ids: ids(),
            lake,
            _spill: spill,
        }
    }
}

impl Rolled {
    pub(in crate::tests) async fn add(&self, events: EventsBuilder, written_at: Micros) {
        let table = self.lake.table("events").unwrap();
        let id = self.ids.next_id();
        let mut add = Vec::new();
        for (nth, partition) in partitions(&events.batch()).unwrap().into_iter().enumerate() {
            let name = footfall_lake::file_name(id, nth);
            let new = NewFile::new(events_table(), partition.event_date, name, Origin::Wal, written_at);
            add.push(write_file(table.store(), new, partition.rows).await.unwrap());
        }
        table.commit(&Commit::append(id, add)).await.unwrap();
    }

    /// Without any event, as if the time of all were over; their rollups stay.
    pub(in crate::tests) async fn retired(self) -> Self {
        let policy = RetentionPolicy {
            keep: -100_000 * DAY,
            ..RetentionPolicy::default()
        };
        let [first, second] = self.compactors;
        let first = first.with_retention(policy);
        for task in first.plan_retention() {
            first.retain(&task, None).await.unwrap();
        }
        Self {
            compactors: [first, second],
            ..self
        }
    }

    /// Those that are built in, and those of configured rollups.
    fn views(&self) -> Vec<RollupView> {
        let rollups = self.lake.rollups();
        let configured = rollups
            .iter()
            .map(|open| RollupView::new(Rollup::clone(&open.rollup), &built_in()));
        views().into_iter().chain(configured).collect()
    }

    /// As [`Rolled::views`], as far as a caller can name them.
    fn views_for(&self, scope: &SiteScope) -> Vec<RollupView> {
        let mut views = self.views();
        views.retain(|view| match (&view.rollup.sites, scope) {
            (SiteScope::Only(of_rollup), SiteScope::Only(of_caller)) => !of_rollup.is_disjoint(of_caller),
            _ => true,
        });
        views
    }

    pub(in crate::tests) async fn assert_views_equal_events(&self, scope: &SiteScope, context: &str) {
        for view in self.views_for(scope) {
            let sorted = |sql: &str| {
                let keys: Vec<_> = (1..=view.keys().len()).map(|n| n.to_string()).collect();
                format!("{sql} ORDER BY {}", keys.join(", "))
            };
            let sql = format!("SELECT {} FROM {}", columns(&view).join(", "), view.name);
            assert_eq!(
                table(&self.engine, scope, &sorted(&sql)).await,
                table(&self.engine, unrouted(scope), &sorted(&over_events(&view))).await,
                "{} {context}",
                view.name
            );
        }
    }

    /// Some of the views, each with some of its columns and rows.
    async fn assert_parts_equal_events(&self, random: &mut Random, scope: &SiteScope, context: &str) {
        let views = self.views_for(scope);
        for _ in 0..3 {
            let view = views[random.below(views.len() as u64) as usize].clone();
            let mut some = columns(&view);
            some.retain(|_| random.below(3) > 0);
            let condition = random_condition(random, &view);
            let selected = if some.is_empty() {
                "count(*)".to_owned()
            } else {
                some.join(", ")
            };
            let order: Vec<_> = (1..=some.len().max(1)).map(|n| n.to_string()).collect();
            let order = order.join(", ");
            let part = |of: &str| format!("SELECT {selected} FROM {of} WHERE {condition} ORDER BY {order}");
            let sql = part(&view.name);
            assert_eq!(
                table(&self.engine, scope, &sql).await,
                table(
                    &self.engine,
                    unrouted(scope),
                    &part(&format!("({})", over_events(&view)))
                )
                .await,
                "{sql} {context}"
            );
        }
    }

    /// The total of every view equals that of the events.
    pub(in crate::tests) async fn assert_totals_equal_events(&self, context: &str) {
        let totals = |table: &str, count: &str, revenue: &str| {
            format!("SELECT sum({count}) AS events, sum({revenue}) AS revenue FROM {table}")
        };
        let raw = totals("(SELECT 1 AS one, revenue FROM events)", "one", "revenue");
        let raw = table(&self.engine, unrouted(&SiteScope::All), &raw).await;
        for rollup in ["events_totals", "events_hourly", "events_daily"] {
            let view = totals(rollup, "event_count", "total_revenue");
            let view = table(&self.engine, &SiteScope::All, &view).await;
            assert_eq!(view, raw, "{rollup} {context}");
        }
    }

    /// Sessions in the views equal those of `sessions`, by the dimensions of their first events.
    pub(in crate::tests) async fn assert_sessions_equal(&self, context: &str) {
        for view in self.views().iter().filter(|view| !view.session_measures().is_empty()) {
            let (found, expected) = sql::sessions_of(view);
            let ask = async |sql: &str| table(&self.engine, &SiteScope::All, sql).await;
            assert_eq!(ask(&found).await, ask(&expected).await, "{} {context}", view.name);
        }
    }

    pub(in crate::tests) async fn count(&self) -> u64 {
        value(&self.engine, unrouted(&SiteScope::All), "SELECT count(*) FROM events")
            .await
            .parse()
            .unwrap()
    }
}

/// splitmix64.
pub(in crate::tests) struct Random(pub(in crate::tests) u64);

impl Random {
    pub(in crate::tests) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// Few sites, visitors and times, so that ids repeat: an id is made of them.
pub(in crate::tests) fn random_events(random: &mut Random) -> EventsBuilder {
    let mut events = events();
    for _ in 0..1 + random.below(40) {
        let (site, client) = (random.below(3), random.below(4));
        let (day, hour, quarter) = (1 + random.below(3), random.below(24), random.below(4));
        events = events
            .site(&format!("site-{site}"))
            .client(&format!("client-{client}"))
            .at(&format!(
                "2026-11-{day:02} {hour:02}:{:02}",
                quarter * 15 + random.below(2) * 14
            ));
        // Sessions and users of several clients, over several hours.
        let session = random.below(4);
        events = events.session((session > 0).then(|| format!("session-{session}")).as_deref());
        let texts: [(_, &[_]); 6] = [
            ("user_id", &["user-1", "user-2"]),
            ("country", &["BE", "NL"]),
            ("device", &["desktop", "mobile"]),
            ("page_path", &["/1", "/2"]),
            ("source", &["google", ""]),
            ("utm_campaign", &["fall"]),
        ];
        for (column, values) in texts {
            let value = values.get(random.below(1 + values.len() as u64) as usize);
            events = events.text(column, value.copied());
        }
        events = match random.below(4) {
            0 => events.purchase(i128::from(random.below(2_000_000)) - 1_000_000),
            n => events.pageview(&format!("/{n}")),
        };
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn views_equal_events_after_every_merge() {
    let policy = small_merges();
    for seed in 0..3 {
        let mut random = Random(seed);
        let rolled = rolled(&policy).await;
        let mut configured = Changes::default();
        let (mut written_at, mut distinct, mut merges) = (0, std::collections::BTreeSet::new(), 0);
        for step in 0..6 {
            let context = format!("seed {seed}, step {step}");
            written_at += 1_000_000;
            let events = random_events(&mut random);
            let ids = events.batch();
            let ids = ids.column_by_name("event_id").unwrap();
            let ids = arrow::array::AsArray::as_string::<i32>(ids).iter().flatten();
            distinct.extend(ids.map(str::to_owned));
            rolled.add(events, written_at).await;
            configured.change(&mut random, &rolled, &context).await;
            let [first, second] = &rolled.compactors;
            let day = 20_758 + i32::try_from(random.below(3)).unwrap();
            let tasks: Vec<MergeTask> = match random.below(3) {
                0 => first.plan(),
                _ => first.plan_day(day),
            };
            for task in &tasks {
                // The second one has the same plan: exactly one of them may succeed.
                let (ours, theirs) = tokio::join!(first.execute(task, None), second.execute(task, None));
                let outcomes = [ours, theirs];
                assert_eq!(
                    outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
                    1,
                    "{context}: {outcomes:?}"
                );
                let conflict = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).unwrap();
                assert!(conflict.is_conflict(), "{context}: {conflict}");
                merges += 1;
                rolled
                    .assert_parts_equal_events(&mut random, &SiteScope::All, &context)
                    .await;
            }
            rolled.backfill_some(&mut random, &context).await;
            let scope = if step % 2 == 0 {
                SiteScope::All
            } else {
                only(&["site-1"])
            };
            rolled.assert_views_equal_events(&scope, &context).await;
            let scope = only(&["site-0", "site-1"]);
            rolled.assert_parts_equal_events(&mut random, &scope, &context).await;
            rolled.assert_sessions_equal(&context).await;
        }
        for day in 20_758..20_761 {
            for task in rolled.compactors[0].plan_day(day) {
                rolled.compactors[0].execute(&task, None).await.unwrap();
                merges += 1;
            }
        }
        assert!(merges > 2, "seed {seed}: {merges} merges");
        rolled.backfill_all().await;
        rolled
            .assert_views_equal_events(&SiteScope::All, &format!("seed {seed}, at the end"))
            .await;
        assert_eq!(
            rolled.count().await,
            distinct.len() as u64,
            "seed {seed}: each id once after all merges"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_files_are_not_read_for_views() {
    let rolled = rolled(&Policy::default()).await;
    rolled.add(events().crowd(50), 0).await;
    rolled.add(events().site("b").crowd(50), 1).await;
    let [compactor, _] = &rolled.compactors;
    let tasks = compactor.plan_day(20_758);
    let merged = compactor.execute(&tasks[0], None).await.unwrap();
    assert_eq!(
        (merged.files_read, merged.files_written, merged.rows_written),
        (2, 1, 100)
    );
    assert!(compactor.plan_day(20_758).is_empty(), "nothing is left to merge");
    let plan = table(
        &rolled.engine,
        &SiteScope::All,
        "EXPLAIN SELECT sum(event_count) FROM events_totals",
    )
    .await;
    assert!(plan.contains("rollups/events_totals/"), "{plan}");
    assert!(
        !plan.contains("shard=00/events/") && !plan.contains(" events/event_date"),
        "{plan}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rollups_outlive_their_events() {
    let rolled = rolled(&Policy::default()).await;
    rolled.add(events().crowd(50), 0).await;
    rolled.add(events().site("b").crowd(50), 1).await;
    rolled.add(events().at("2026-11-02 10:00").crowd(5), 2).await;
    let rollup = "SELECT tracking_id, hour, event_type, event_count, total_revenue, unique_users FROM events_hourly ORDER BY 1, 2, 3";
    let before = table(&rolled.engine, &SiteScope::All, rollup).await;
    // Whatever the machine's clock says, their time is over.
    let policy = RetentionPolicy {
        keep: -100_000 * DAY,
        ..RetentionPolicy::default()
    };
    let Rolled {
        lake,
        engine,
        compactors: [compactor, _],
        backfills: _,
        ids: _ids,
        _spill,
    } = rolled;
    let compactor = compactor.with_retention(policy);
    let mut gone = 0;
    for _ in 0..2 {
        for task in compactor.plan_retention() {
            gone += compactor.retain(&task, None).await.unwrap();
            assert_eq!(table(&engine, &SiteScope::All, rollup).await, before);
        }
    }
    assert_eq!(gone, 105);
    let sessions = "SELECT count(sessions) FROM events_hourly";
    assert_eq!(
        value(&engine, &SiteScope::All, sessions).await,
        "0",
        "unknown, and not none"
    );
    assert_eq!(
        value(&engine, unrouted(&SiteScope::All), "SELECT count(*) FROM events").await,
        "0"
    );
    assert_eq!(
        value(&engine, &SiteScope::All, "SELECT count(DISTINCT client_id) FROM events").await,
        "0"
    );
    let count = "SELECT sum(event_count) FROM events_totals";
    assert_eq!(value(&engine, &SiteScope::All, count).await, "105");
    assert_eq!(value(&engine, &only(&["b"]), count).await, "50");
    assert!(compactor.plan().is_empty() && compactor.plan_retention().is_empty());
    // A process that opens the lake now sees the same.
    let again = Lake::open(Arc::clone(lake.store()), &specs(), Arc::new(SystemClock))
        .await
        .unwrap();
    let options = crate::EngineOptions::new(_spill.path().join("again"));
    let views = Views {
        rollups: views(),
        ..Views::default()
    };
    let engine = Engine::with_views(&again, views, &options).unwrap();
    assert_eq!(table(&engine, &SiteScope::All, rollup).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_read_only_what_a_statement_needs() {
    let rolled = rolled(&Policy::default()).await;
    let days = events().at("2026-11-01 10:00").crowd(5).at("2026-11-02 10:00").crowd(5);
    rolled.add(days, 0).await;
    let [compactor, _] = &rolled.compactors;
    // The first day is merged and has segments; the second is read raw.
    let tasks = compactor.plan_day(20_758);
    compactor.execute(&tasks[0], None).await.unwrap();
    let plan = async |scope: &SiteScope, sql: &str| table(&rolled.engine, scope, &format!("EXPLAIN {sql}")).await;
    let all = plan(&SiteScope::All, "SELECT hour, event_count FROM events_hourly").await;
    assert!(all.contains("rollups/events_hourly/event_date=2026-11-01"), "{all}");
    assert!(all.contains("[events/event_date=2026-11-02"), "{all}");
    assert!(!all.contains("rollups/visits") && !all.contains("client_hash"), "{all}");
    for condition in ["hour >= '2026-11-02 00:00'", "event_date = DATE '2026-11-02'"] {
        let sql = format!("SELECT hour, event_count, unique_users FROM events_hourly WHERE {condition}");
        let late = plan(&SiteScope::All, &sql).await;
        assert!(!late.contains("event_date=2026-11-01"), "{late}");
        assert!(late.contains("[events/event_date=2026-11-02"), "{late}");
    }
    let early = "SELECT unique_users FROM events_hourly WHERE hour < '2026-11-02 00:00'";
    let early = plan(&SiteScope::All, early).await;
    assert!(
        early.contains("rollups/visits") && !early.contains("rollups/events_hourly"),
        "{early}"
    );
    assert!(!early.contains("event_date=2026-11-02"), "{early}");
    let monthly = "SELECT event_count FROM events_monthly WHERE month = DATE '2026-10-01'";
    let monthly = plan(&SiteScope::All, monthly).await;
    assert!(!monthly.contains(".parquet"), "{monthly}");
    let reader = plan(&only(&["a"]), "SELECT event_count, unique_users FROM events_hourly").await;
    for table in ["events_hourly", "visits", "events"] {
        assert!(reader.contains(&format!("SiteFilterExec: table={table},")), "{reader}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_listed_with_their_columns() {
    let rolled = rolled(&Policy::default()).await;
    let sql = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    insta::assert_snapshot!(table(&rolled.engine, &SiteScope::All, sql).await, @r"
    +-----------------+------------+
    | table_name      | table_type |
    +-----------------+------------+
    | countries_daily | VIEW       |
    | events          | BASE TABLE |
    | events_daily    | VIEW       |
    | events_hourly   | VIEW       |
    | events_monthly  | VIEW       |
    | events_totals   | VIEW       |
    | events_weekly   | VIEW       |
    | pages_daily     | VIEW       |
    | sessions        | VIEW       |
    | sources_daily   | VIEW       |
    | totals_daily    | VIEW       |
    | visitors_daily  | VIEW       |
    | visits          | VIEW       |
    +-----------------+------------+
    ");
    let infos = rolled.engine.tables(&SiteScope::All);
    let hourly = infos.iter().find(|info| info.name == "events_hourly").unwrap();
    assert_eq!(hourly.kind, "VIEW");
    assert_eq!(hourly.columns.field(2).name(), "hour");
    assert_eq!(
        hourly.columns.field(2).data_type(),
        &arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn system_tables_tell_what_is_covered() {
    let rolled = rolled(&Policy::default()).await;
    rolled.add(events().crowd(50), 0).await;
    rolled.add(events().site("b").crowd(50), 1).await;
    let [compactor, _] = &rolled.compactors;
    compactor.execute(&compactor.plan_day(20_758)[0], None).await.unwrap();
    rolled.add(events().crowd(5), 2).await;
    let ask = async |sql: &str| table(&rolled.engine, &SiteScope::All, sql).await;
    let files = "SELECT table_name, written_by, count(*) AS files, sum(rows) AS rows FROM system.files WHERE table_name LIKE 'events%' GROUP BY 1, 2 ORDER BY 1, 2";
    insta::assert_snapshot!(ask(files).await, @r"
    +---------------+------------+-------+------+
    | table_name    | written_by | files | rows |
    +---------------+------------+-------+------+
    | events        | compactor  | 1     | 100  |
    | events        | writer     | 1     | 5    |
    | events_daily  | compactor  | 1     | 2    |
    | events_hourly | compactor  | 1     | 2    |
    | events_totals | compactor  | 1     | 2    |
    +---------------+------------+-------+------+
    ");
    let coverage = "SELECT table_name, event_date, files, covered_files, rows, covered_rows FROM system.coverage WHERE table_name LIKE 'events%' ORDER BY 1";
    insta::assert_snapshot!(ask(coverage).await, @r"
    +---------------+------------+-------+---------------+------+--------------+
    | table_name    | event_date | files | covered_files | rows | covered_rows |
    +---------------+------------+-------+---------------+------+--------------+
    | events_daily  | 2026-11-01 | 2     | 1             | 105  | 100          |
    | events_hourly | 2026-11-01 | 2     | 1             | 105  | 100          |
    | events_totals | 2026-11-01 | 2     | 1             | 105  | 100          |
    +---------------+------------+-------+---------------+------+--------------+
    ");
    let listed =
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'system' ORDER BY 2";
    insta::assert_snapshot!(ask(listed).await, @r"
    +--------------+-------------+
    | table_schema | table_name  |
    +--------------+-------------+
    | system       | compactions |
    | system       | coverage    |
    | system       | files       |
    | system       | queries     |
    +--------------+-------------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_some_sites_see_no_system_tables() {
    let rolled = rolled(&Policy::default()).await;
    let mine = only(&["a"]);
    for name in ["files", "coverage", "compactions"] {
        let sql = format!("SELECT * FROM system.{name}");
        rolled.engine.execute(&SiteScope::All, &sql, &[]).await.unwrap();
        let refused = rolled.engine.execute(&mine, &sql, &[]).await.err().unwrap();
        let missing = rolled
            .engine
            .execute(&mine, "SELECT * FROM systen.files", &[])
            .await
            .err()
            .unwrap();
        let same = missing.to_string().replace("systen.files", &format!("system.{name}"));
        assert_eq!(refused.to_string(), same, "as if there were no such table");
    }
    assert!(rolled.engine.tables(&mine).iter().all(|info| info.schema == "public"));
    assert!(
        rolled
            .engine
            .tables(&SiteScope::All)
            .iter()
            .any(|info| info.schema == "system")
    );
}
