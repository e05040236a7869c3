//! The view `sessions` equals a plain computation over the events, whatever has been merged.

mod documented;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use footfall_compactor::{Compactor, Policy, SegmentKind, SessionSegments};
use footfall_lake::{Commit, Lake, NewFile, Origin, partitions, write_file};
use footfall_model::access::SiteScope;
use footfall_model::clock::{DAY, IdGen, Micros, SystemClock};
use footfall_model::table::events as events_table;
use footfall_sessions::testing::{Event, MIDNIGHT, MINUTE, Random, Session, event, random_events, rows as event_rows};
use footfall_sessions::testing::{rows_of, sessions_of};
use object_store::memory::InMemory;

use crate::testing::{only, rows, table, value};
use crate::{Engine, EngineOptions, ScalarValue, Views};

#[derive(Debug)]
struct CountedIds(AtomicU64);

impl IdGen for CountedIds {
    fn next_id(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

struct SessionLake {
    lake: Lake,
    engine: Engine,
    compactor: Compactor,
    flushes: u64,
    _spill: tempfile::TempDir,
}

async fn session_lake(target_partitions: usize) -> SessionLake {
    let tables = [vec![Arc::clone(events_table())], SessionSegments.tables().unwrap()].concat();
    let lake = Lake::open(Arc::new(InMemory::new()), &tables, Arc::new(SystemClock))
        .await
        .unwrap();
    let spill = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        target_partitions,
        ..EngineOptions::new(spill.path().to_owned())
    };
    let policy = Policy {
        fresh_age: 0,
        fresh_bytes: 0,
        fresh_files: 3,
        small_files: 3,
        small_bytes: 64 * 1_024,
        ..Policy::default()
    };
    let views = Views {
        sessions: true,
        ..Views::default()
    };
    let ids = Arc::new(CountedIds(AtomicU64::new(1 << 40)));
    SessionLake {
        engine: Engine::with_views(&lake, views, &options).unwrap(),
        compactor: Compactor::new(
            &lake,
            vec![Arc::new(SessionSegments)],
            policy,
            Arc::new(SystemClock),
            ids,
        )
        .unwrap(),
        lake,
        flushes: 0,
        _spill: spill,
    }
}

impl SessionLake {
    async fn flush(&mut self, events: &[Event]) {
        self.write(&event_rows(events)).await;
    }

    async fn write(&mut self, rows: &RecordBatch) {
        self.flushes += 1;
        let table = self.lake.table("events").unwrap();
        let mut add = Vec::new();
        for (nth, partition) in partitions(rows).unwrap().into_iter().enumerate() {
            let name = footfall_lake::file_name(self.flushes.into(), nth);
            let written_at = self.flushes.cast_signed();
            let new = NewFile::new(events_table(), partition.event_date, name, Origin::Wal, written_at);
            add.push(write_file(table.store(), new, partition.rows).await.unwrap());
        }
        table.commit(&Commit::append(self.flushes.into(), add)).await.unwrap();
    }

    async fn merge_day(&self, day: i32) -> usize {
        let tasks = self.compactor.plan_day(day);
        for task in &tasks {
            self.compactor.execute(task, None).await.unwrap();
        }
        tasks.len()
    }

    async fn read(&self, sites: &SiteScope, sql: &str, values: &[ScalarValue]) -> RecordBatch {
        let batches = rows(&self.engine, sites, sql, values).await.unwrap();
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    async fn sessions(&self, sites: &SiteScope, condition: &str, values: &[ScalarValue]) -> Vec<Session> {
        let sql = format!("SELECT * FROM sessions WHERE {condition}");
        let batches = rows(&self.engine, sites, &sql, values).await.unwrap();
        let Some(first) = batches.first() else {
            return Vec::new();
        };
        rows_of(&concat_batches(&first.schema(), &batches).unwrap())
    }

    /// What the events in the lake give.
    async fn expected(&self) -> Vec<Session> {
        sessions_of(&self.read(&SiteScope::All, "SELECT * FROM events", &[]).await)
    }
}

fn time(at: Micros) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into()))
}

fn of(sessions: &[Session], keep: impl Fn(&Session) -> bool) -> Vec<Session> {
    sessions.iter().filter(|session| keep(session)).cloned().collect()
}

/// Compares the view with the events, by sites, visitors, times and columns.
async fn assert_equal(lake: &SessionLake, random: &mut Random, context: &str) {
    let all = SiteScope::All;
    let expected = lake.expected().await;
    assert_eq!(lake.sessions(&all, "true", &[]).await, expected, "{context}");
    let of_site = of(&expected, |session| session["tracking_id"] == "s");
    assert_eq!(
        lake.sessions(&only(&["s"]), "true", &[]).await,
        of_site,
        "{context}, a reader"
    );
    assert_eq!(
        lake.sessions(&all, "tracking_id = 's'", &[]).await,
        of_site,
        "{context}, a site"
    );
    let of_visitor = of(&of_site, |session| session["client_id"] == "x3");
    let condition = "tracking_id = 's' AND client_id IN ('x3')";
    assert_eq!(
        lake.sessions(&all, condition, &[]).await,
        of_visitor,
        "{context}, a visitor"
    );
    // Whole days, and any time.
    let from = MIDNIGHT - 3 * DAY + random.below(5).cast_signed() * DAY;
    let from = from + [0, random.below(DAY.unsigned_abs()).cast_signed()][random.index(2)];
    let to = from + [DAY, 3 * DAY, MINUTE][random.index(3)];
    for name in ["session_start", "session_end"] {
        let within = of(&expected, |session| {
            (from..to).contains(&session[name].parse().unwrap())
        });
        let condition = format!("{name} >= $1 AND {name} < $2");
        for (sites, site) in [(&all, None), (&only(&["t"]), Some("t"))] {
            let within = of(&within, |session| {
                site.is_none_or(|site| session["tracking_id"] == site)
            });
            let ours = lake.sessions(sites, &condition, &[time(from), time(to)]).await;
            assert_eq!(ours, within, "{context}, {condition} of {from} to {to} for {site:?}");
        }
    }
    let both = of(&expected, |session| {
        let at = |name: &str| session[name].parse::<Micros>().unwrap();
        at("session_start") < to && at("session_end") >= from
    });
    let ours = lake
        .sessions(
            &all,
            "session_start < $2 AND session_end >= $1",
            &[time(from), time(to)],
        )
        .await;
    assert_eq!(ours, both, "{context}, sessions that overlap {from} to {to}");
}

#[tokio::test(flavor = "multi_thread")]
async fn view_equals_events_after_every_flush_and_merge() {
    let mut long = 0;
    for seed in 0..2 {
        let mut random = Random(seed);
        let mut lake = session_lake(1 + random.index(3)).await;
        let (mut waiting, mut sent) = (random_events(&mut random), Vec::new());
        let mut merges = 0;
        let days = 20_754..20_765;
        while !waiting.is_empty() {
            // Any of those that wait: most come late. Some that were sent are sent again.
            let mut flush = Vec::new();
            for _ in 0..(20 + random.index(80)).min(waiting.len()) {
                flush.push(waiting.swap_remove(random.index(waiting.len())));
            }
            if !sent.is_empty() {
                let mut again: Event = Event::clone(&sent[random.index(sent.len())]);
                again.arrived += 7;
                flush.push(again);
            }
            sent.extend(flush.iter().cloned());
            lake.flush(&flush).await;
            let context = format!("seed {seed}, {} events", sent.len());
            assert_equal(&lake, &mut random, &context).await;
            if random.below(3) > 0 {
                merges += lake
                    .merge_day(days.start + i32::try_from(random.below(11)).unwrap())
                    .await;
                merges += lake.merge_day(20_757 + i32::try_from(random.below(2)).unwrap()).await;
                assert_equal(&lake, &mut random, &format!("{context}, {merges} merges")).await;
            }
        }
        for day in days {
            merges += lake.merge_day(day).await;
        }
        assert!(merges > 2, "seed {seed}: {merges} merges");
        assert_equal(&lake, &mut random, &format!("seed {seed}, all merged")).await;
        // Each event once: of those sent twice, the one that arrived first.
        let mut each: BTreeMap<u64, Event> = BTreeMap::new();
        for event in sent {
            let known = each.entry(event.seed).or_insert_with(|| event.clone());
            known.arrived = known.arrived.min(event.arrived);
        }
        let each: Vec<Event> = each.into_values().collect();
        let expected = sessions_of(&event_rows(&each));
        assert_eq!(
            lake.sessions(&SiteScope::All, "true", &[]).await,
            expected,
            "seed {seed}"
        );
        long += usize::from(
            expected
                .iter()
                .any(|session| session["session_duration"].parse::<i64>().unwrap() > 60_000),
        );
    }
    assert!(long > 0, "{long} histories with long sessions");
}

/// A visitor with one session on each of ten days, one file per day; those of even days are merged.
async fn ten_days() -> SessionLake {
    let mut lake = session_lake(2).await;
    for day in 0..10 {
        let at = |minute: i64| event("x3", MIDNIGHT + day * DAY + (600 + minute) * MINUTE);
        lake.flush(&[at(0), at(12)]).await;
        lake.flush(&[event("y1", MIDNIGHT + day * DAY)]).await;
        if day % 2 == 0 {
            lake.merge_day(20_758 + i32::try_from(day).unwrap()).await;
        }
    }
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_time_leave_days_nearby() {
    let lake = ten_days().await;
    let days = async |condition: &str| {
        let sql = format!("EXPLAIN FORMAT INDENT SELECT country FROM sessions WHERE {condition}");
        let plan = table(&lake.engine, &SiteScope::All, &sql).await;
        let mut days: Vec<_> = plan
            .split("event_date=2026-11-")
            .skip(1)
            .map(|rest| rest[..2].to_owned())
            .collect();
        days.sort();
        days.dedup();
        days.join(" ")
    };
    assert_eq!(days("true").await, "01 02 03 04 05 06 07 08 09 10");
    assert_eq!(days("session_start::date = '2026-11-05'").await, "03 04 05 06 07");
    assert_eq!(
        days("session_start >= '2026-11-07' AND session_start < '2026-11-08'").await,
        "05 06 07 08 09"
    );
    assert_eq!(
        days("session_end < '2026-11-02T10:00:00Z' AND bounced").await,
        "01 02 03 04"
    );
    assert_eq!(days("country = 'BE'").await, "01 02 03 04 05 06 07 08 09 10");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_reads_what_is_asked_of_each_source() {
    let lake = ten_days().await;
    let sql =
        "EXPLAIN FORMAT INDENT SELECT session_id, bounced FROM sessions WHERE tracking_id = 's' AND client_id = 'x3'";
    // Whole days, settled and unsettled; other days, of which there are none; events. A reader's plan does not tell.
    for (sites, scans, count, settled) in [
        (
            SiteScope::All,
            "DataSourceExec",
            3,
            "client_id, pageview_count, part_start, tracking_id",
        ),
        (
            only(&["s"]),
            "SiteFilterExec",
            4,
            "tracking_id, part_start, client_id, pageview_count, settled",
        ),
    ] {
        let plan = table(&lake.engine, &sites, sql).await;
        assert_eq!(plan.matches(scans).count(), count, "{plan}");
        assert_eq!(plan.matches("StitchExec").count(), 3, "{plan}");
        assert!(plan.contains(&format!("projection=[{settled}]")), "{plan}");
        let columns = "projection=[tracking_id, client_hash, part_start, client_id, duration, pageview_count]";
        assert!(plan.contains(columns), "{plan}");
        assert!(
            plan.contains("projection=[tracking_id, client_hash, event_timestamp, client_id, event_type]"),
            "{plan}"
        );
        assert_eq!(plan.matches(", predicate=client_hash").count(), count, "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_counted_grouped_and_limited() {
    let lake = ten_days().await;
    let answer = async |sql: &str| value(&lake.engine, &SiteScope::All, sql).await;
    assert_eq!(answer("SELECT count(*) FROM sessions").await, "20");
    assert_eq!(
        answer("SELECT sum(event_count) FROM sessions WHERE client_id = 'x3'").await,
        "20"
    );
    assert_eq!(
        answer("SELECT count(DISTINCT session_id) FROM sessions WHERE NOT bounced").await,
        "10"
    );
    assert_eq!(answer("SELECT max(session_duration) FROM sessions").await, "720");
    let sql = "SELECT session_start FROM sessions ORDER BY session_start DESC LIMIT 1";
    assert_eq!(answer(sql).await, "2026-11-10T10:00:00Z");
    let joined = "SELECT count(*) FROM sessions a JOIN sessions b ON a.client_hash = b.client_hash AND a.session_start = b.session_start";
    assert_eq!(answer(joined).await, "20");
    let limited = rows(&lake.engine, &SiteScope::All, "SELECT * FROM sessions LIMIT 3", &[])
        .await
        .unwrap();
    assert_eq!(limited.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_gets_what_a_lake_of_its_own_would_return() {
    let (mut shared, mut alone) = (session_lake(1).await, session_lake(1).await);
    for day in 0..3 {
        let mut random = Random(u64::try_from(day).unwrap());
        let all = random_events(&mut random);
        let ours: Vec<Event> = all
            .iter()
            .filter(|event| event.client.starts_with('x'))
            .cloned()
            .collect();
        shared.flush(&all).await;
        alone.flush(&ours).await;
        let day = 20_756 + day;
        assert_eq!(shared.merge_day(day).await > 0, alone.merge_day(day).await > 0);
    }
    let reader = only(&["s"]);
    for sql in [
        "SELECT * FROM sessions ORDER BY session_id",
        "SELECT count(*), sum(revenue), min(tracking_id), max(client_id) FROM sessions",
        "SELECT count(*) FROM sessions WHERE session_start > '2026-10-31'",
        // Fail on rows of another site, and on ours.
        "SELECT count(*) FROM sessions WHERE 1 / (CASE WHEN client_id = 'y1' THEN 0 ELSE 1 END) = 1",
        "SELECT count(*) FROM sessions WHERE tracking_id = 't' OR 1 / (CASE WHEN tracking_id = 't' THEN 0 ELSE 1 END) = 1",
        "SELECT count(*) FROM sessions WHERE client_id::int = 1 AND session_end < '2026-11-01'",
        "SELECT country::int FROM sessions ORDER BY session_id",
        "EXPLAIN FORMAT INDENT SELECT * FROM sessions WHERE client_id = 'x3' AND session_start > '2026-10-31'",
        "EXPLAIN FORMAT INDENT SELECT exit_page, count(*) FROM sessions GROUP BY 1 ORDER BY 2 LIMIT 3",
    ] {
        let ours = table(&shared.engine, &reader, sql).await;
        assert_eq!(ours, table(&alone.engine, &reader, sql).await, "{sql}");
        assert!(!ours.contains("Internal"), "{sql}: {ours}");
    }
    let nobody = table(&shared.engine, &only(&["nobody"]), "SELECT count(*) FROM sessions").await;
    assert!(nobody.contains("| 0 "), "{nobody}");
}
