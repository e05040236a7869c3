//! `funnel_progress` and `funnel_results` equal a plain computation over all events, whatever has been merged, backfilled,
//! created, changed or deleted.

mod functions;
mod lake;
mod model;

use std::sync::Arc;

use footfall_funnels::{Definition, Funnel, FunnelDefinitions, FunnelScope, FunnelSet, Step};
use footfall_model::access::SiteScope;
use footfall_model::clock::{DAY, Micros};

use self::lake::{FunnelLake, progress, results};
use self::model::{Entry, TestEvent};
use crate::testing::{only, table, value};

const HOUR: Micros = 3_600_000_000;
const MINUTE: Micros = 60_000_000;

/// 2026-11-01.
const FIRST_DAY: i64 = 20_758;

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[usize::try_from(self.below(values.len() as u64)).unwrap()]
    }
}

/// Few visitors, and times at and around the edges of quarter hours, windows and days.
fn random_event(random: &mut Random, number: u64) -> TestEvent {
    let minutes = random.of(&[0, 1, 14, 15, 29, 30, 59, 60, 61, 90, 23 * 60, 23 * 60 + 59]);
    TestEvent {
        site: random.of(&["site-0", "site-1", "site-2"]),
        client: random.of(&["ann", "bob"]),
        time: (FIRST_DAY + i64::try_from(random.below(3)).unwrap()) * DAY + minutes * MINUTE,
        // Arrival decides between equal times, and need not follow them.
        arrived: 30_000 * DAY + i64::try_from(random.below(1_000)).unwrap(),
        id: format!("{number}"),
        kind: random.of(&["pageview", "click", "purchase"]),
        path: random.of(&[None, Some("/products/1"), Some("/products/2"), Some("/checkout")]),
        country: random.of(&[None, Some("DE"), Some("FR")]),
    }
}

/// Some events, and copies of known ones: sent again, with the same time or received again without one.
fn random_events(random: &mut Random, known: &[TestEvent]) -> Vec<TestEvent> {
    let first = known.len() as u64 * 100;
    let mut events: Vec<_> = (0..1 + random.below(40))
        .map(|n| random_event(random, first + n))
        .collect();
    for _ in 0..random.below(4).min(known.len() as u64) {
        let copied = &known[usize::try_from(random.below(known.len() as u64)).unwrap()];
        events.push(TestEvent {
            time: copied.time + random.of(&[0, 0, MINUTE, 2 * HOUR, DAY]),
            arrived: copied.arrived + 7,
            ..copied.clone()
        });
    }
    events
}

fn step(event_type: &str, path: Option<&str>) -> Step {
    Step {
        name: format!("{event_type} {}", path.unwrap_or("anywhere")),
        event_type: event_type.into(),
        filters: path
            .map(|path| ("page_path".to_owned(), path.to_owned()))
            .into_iter()
            .collect(),
    }
}

fn random_definition(random: &mut Random) -> Definition {
    let steps = [
        ("pageview", Some("/products/*")),
        ("pageview", None),
        ("click", None),
        ("pageview", Some("/checkout")),
        ("purchase", None),
    ];
    let count = 2 + random.below(3);
    Definition {
        name: "random".into(),
        steps: (0..count)
            .map(|_| random.of(&steps))
            .map(|(kind, path)| step(kind, path))
            .collect(),
        window: random.of(&["1h", "30m", "1s", "1d", "2d"]).parse().unwrap(),
        step_window: random
            .of(&[None, Some("10m"), Some("6h")])
            .map(|window| window.parse().unwrap()),
        strict_order: random.below(4) == 0,
        strict_deduplication: random.below(4) == 0,
        strict_increase: random.below(4) == 0,
        scope: random.of(&[FunnelScope::Visitor, FunnelScope::Visitor, FunnelScope::Session]),
    }
}

/// Creates, changes or deletes a funnel.
fn change(random: &mut Random, set: &FunnelSet) -> FunnelSet {
    let mut set = set.clone();
    set.revision += 1 + random.below(3);
    let some = (random.below(set.funnels.len().max(1) as u64)) as usize;
    match random.below(4) {
        0 if !set.funnels.is_empty() => {
            set.funnels.remove(some);
        }
        1 if !set.funnels.is_empty() => {
            let mut changed = set.funnels.remove(some);
            changed.revision = set.revision;
            changed.definition = random_definition(random);
            set.funnels.push(changed);
        }
        _ => {
            for site in ["site-0", "site-1"] {
                set.revision += 1;
                set.funnels.push(Funnel {
                    id: format!("funnel-{}", set.revision),
                    tracking_id: site.into(),
                    revision: set.revision,
                    definition: random_definition(random),
                    created_at: 0,
                });
            }
        }
    }
    set
}

async fn assert_equal(lake: &FunnelLake, events: &[TestEvent], check: u64, context: &str) -> usize {
    let set = lake.definitions.current();
    let expected = model::entries(events, &set.funnels);
    let all = progress(&lake.engine, &SiteScope::All, "true").await;
    assert_eq!(all, expected, "{context}");
    // Each takes a while to plan: one of them.
    match check {
        0 => assert_eq!(
            results(&lake.engine, &SiteScope::All).await,
            model::results(&expected, &set.funnels),
            "{context}"
        ),
        1 => {
            let of_reader: Vec<_> = expected
                .iter()
                .filter(|entry| entry.site == "site-1")
                .cloned()
                .collect();
            assert_eq!(
                progress(&lake.engine, &only(&["site-1"]), "true").await,
                of_reader,
                "{context}"
            );
        }
        2 => {
            let of_day = |entry: &&Entry| entry.times[0].div_euclid(DAY) == FIRST_DAY + 1;
            let of_day: Vec<_> = expected.iter().filter(of_day).cloned().collect();
            assert_eq!(
                progress(&lake.engine, &SiteScope::All, "date = '2026-11-02'").await,
                of_day,
                "{context}"
            );
        }
        _ => assert_equal_for_one_visitor(lake, &expected, context).await,
    }
    expected.len()
}

/// Conditions on the funnel, the time and the visitor.
async fn assert_equal_for_one_visitor(lake: &FunnelLake, all: &[Entry], context: &str) {
    let set = lake.definitions.current();
    let Some(funnel) = set.funnels.last() else { return };
    let condition = format!(
        "funnel_id = '{}' AND entered_at >= '2026-11-01T00:15:00Z' AND entered_at < '2026-11-02T01:00:00Z' \
         AND client_id = 'ann'",
        funnel.id
    );
    let range = FIRST_DAY * DAY + 15 * MINUTE..(FIRST_DAY + 1) * DAY + HOUR;
    let asked = |entry: &&Entry| entry.funnel == funnel.id && range.contains(&entry.times[0]) && entry.client == "ann";
    let asked: Vec<_> = all.iter().filter(asked).cloned().collect();
    assert_eq!(
        progress(&lake.engine, &SiteScope::All, &condition).await,
        asked,
        "{context}: {condition}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn views_equal_plain_computation_over_random_histories() {
    let (mut entries, mut backfills, mut merges) = (0, 0, 0);
    for seed in 0..6 {
        let mut random = Random(seed);
        let lake = FunnelLake::open().await;
        let mut events: Vec<TestEvent> = Vec::new();
        for nth in 0..14 {
            let context = format!("seed {seed}, step {nth}");
            match if nth == 0 { 0 } else { random.below(8) } {
                0 | 1 => {
                    let new = random_events(&mut random, &events);
                    lake.add(&new).await;
                    events.extend(new);
                }
                2 | 3 => lake
                    .definitions
                    .replace(change(&mut random, &lake.definitions.current())),
                4 | 5 => backfills += lake.backfill(usize::try_from(random.below(3)).unwrap()).await,
                _ => {
                    let day = FIRST_DAY + i64::try_from(random.below(3)).unwrap();
                    merges += lake.merge(i32::try_from(day).unwrap()).await;
                }
            }
            entries += assert_equal(&lake, &events, random.below(4), &context).await;
        }
        backfills += lake.backfill(usize::MAX).await;
        assert_eq!(lake.backfill(usize::MAX).await, 0, "seed {seed}: nothing is left");
        for check in 0..4 {
            entries += assert_equal(&lake, &events, check, &format!("seed {seed}, at the end")).await;
        }
    }
    // Otherwise the test could not fail.
    assert!(
        entries > 1_000 && backfills > 5 && merges > 5,
        "{entries} entries, {backfills} backfills, {merges} merges"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn backfilled_files_are_not_read_for_funnels() {
    let lake = FunnelLake::open().await;
    let mut random = Random(1);
    let events: Vec<_> = (0..60).map(|n| random_event(&mut random, n)).collect();
    lake.add(&events).await;
    lake.add(&[random_event(&mut random, 60)]).await;
    for day in 0..3 {
        lake.merge(i32::try_from(FIRST_DAY).unwrap() + day).await;
    }
    let definition = Definition {
        steps: vec![step("pageview", None), step("click", None)],
        ..random_definition(&mut random)
    };
    let funnel = |id: &str, revision| Funnel {
        id: id.into(),
        tracking_id: "site-0".into(),
        revision,
        definition: definition.clone(),
        created_at: 0,
    };
    let set = |funnels: Vec<Funnel>| FunnelSet {
        catalog: "c".into(),
        revision: funnels.iter().map(|funnel| funnel.revision).max().unwrap(),
        funnels,
    };
    let reads_events = async |funnel: &str, revision: u64| {
        let sql = format!("EXPLAIN SELECT * FROM funnel_progress WHERE funnel_id = '{funnel}'");
        let plan = table(&lake.engine, &SiteScope::All, &sql).await;
        assert!(plan.contains("FunnelEntriesExec"), "{plan}");
        // Rows of other funnels, which a segment may hold too, are not sorted.
        let is_read = plan.contains("funnel_steps/event_date");
        assert!(!is_read || plan.contains(&format!("IN (SET) ([{revision}])")), "{plan}");
        plan.contains("events/event_date")
    };
    let is_covered = async || {
        let sql = "SELECT sum(covered_files) = sum(files) FROM system.coverage WHERE table_name = 'funnel_steps'";
        value(&lake.engine, &SiteScope::All, sql).await
    };
    lake.definitions.replace(set(vec![funnel("old", 5)]));
    assert!(reads_events("old", 5).await, "no segment has it yet");
    assert_eq!(is_covered().await, "false");
    lake.backfill(usize::MAX).await;
    assert_eq!(is_covered().await, "true");
    assert!(!reads_events("old", 5).await, "segments have it");
    lake.definitions.replace(set(vec![funnel("old", 5), funnel("new", 9)]));
    assert!(reads_events("new", 9).await);
    assert!(!reads_events("old", 5).await, "another funnel does not matter");
    lake.backfill(usize::MAX).await;
    assert!(!reads_events("new", 9).await);
    // A catalog that knows nothing of those segments.
    let other = FunnelSet {
        catalog: "other".into(),
        ..set(vec![funnel("old", 5)])
    };
    lake.definitions.replace(other);
    assert!(reads_events("old", 5).await, "another catalog's segments say nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn funnels_beyond_the_memory_spill() {
    const VISITORS: usize = 100_000;
    let lake = FunnelLake::open().await;
    let clients: Vec<&str> = (0..VISITORS).map(|n| &*format!("client-{n}").leak()).collect();
    let event = |(n, client): (i64, &'static str)| TestEvent {
        site: "site-0",
        client,
        time: FIRST_DAY * DAY + n * MINUTE / 100,
        arrived: FIRST_DAY * DAY + n,
        id: format!("event-{n}"),
        kind: "pageview",
        path: None,
        country: None,
    };
    let events: Vec<_> = (0..).zip(clients.iter().chain(&clients).copied()).map(event).collect();
    lake.add(&events).await;
    let numbers =
        async |memory_bytes: usize, sql: &str| table(&lake.engine_of_memory(memory_bytes), &SiteScope::All, sql).await;
    let step = r#"{"name": "view", "event_type": "pageview"}"#;
    let definition =
        format!(r#"{{"tracking_id": "site-0", "name": "two views", "steps": [{step}, {step}], "window": "7d"}}"#);
    // 200,000 rows of 48 bytes, without and with texts.
    let analysis =
        format!("SELECT users, avg_seconds_to_convert FROM funnel_of('{definition}', '2020-01-01', '2100-01-01')");
    let entries = format!(
        "SELECT count(*) AS entries, max(client_id), sum(steps_completed) FROM funnel_progress_of('{definition}')"
    );
    for (sql, count) in [(analysis, VISITORS), (entries, 2 * VISITORS)] {
        let enough = numbers(256 << 20, &sql).await;
        assert!(enough.contains(&format!("| {count} ")), "{enough}");
        assert_eq!(numbers(8 << 20, &sql).await, enough, "{sql}");
    }
}

/// An event every 25 minutes from `first` to `last`, counted from 23:40 of the first day. A click then, and a purchase next.
fn chain_over_midnight(first: i64, last: i64) -> Vec<TestEvent> {
    let event = |nth: i64| TestEvent {
        site: "site-0",
        client: "ann",
        time: (FIRST_DAY + 1) * DAY + (25 * nth - 20) * MINUTE,
        arrived: 30_000 * DAY,
        id: nth.to_string(),
        kind: match nth {
            0 => "click",
            1 => "purchase",
            _ => "pageview",
        },
        path: None,
        country: None,
    };
    (first..=last).map(event).collect()
}

/// What lasts longer than a day is cut at midnight, whatever part of it a statement reads.
#[tokio::test(flavor = "multi_thread")]
async fn session_of_one_day_is_that_of_all_events() {
    let funnel = Funnel {
        id: "f".into(),
        tracking_id: "site-0".into(),
        revision: 1,
        definition: Definition {
            name: "over midnight".into(),
            steps: vec![step("click", None), step("purchase", None)],
            window: "1h".parse().unwrap(),
            scope: FunnelScope::Session,
            ..Definition::default()
        },
        created_at: 0,
    };
    // From 00:20 to 00:05 of the next day is less than a day, and so is from 12:00 to the end of the window.
    for (first, last, depth) in [(-156, 1, 1), (-28, 72, 1), (-56, 1, 2), (-28, 12, 2)] {
        let events = chain_over_midnight(first, last);
        let lake = FunnelLake::open().await;
        lake.definitions.replace(FunnelSet {
            catalog: "c".into(),
            revision: 1,
            funnels: vec![funnel.clone()],
        });
        lake.add(&events).await;
        let expected = model::entries(&events, std::slice::from_ref(&funnel));
        assert_eq!(expected[0].times.len(), depth, "{first} to {last}");
        for is_merged in [false, true] {
            if is_merged {
                for day in -4..4 {
                    lake.merge(i32::try_from(FIRST_DAY + day).unwrap()).await;
                }
            }
            let found = progress(&lake.engine, &SiteScope::All, "date = '2026-11-01'").await;
            assert_eq!(found, expected, "{first} to {last}, merged: {is_merged}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_sees_funnels_of_its_sites_alone() {
    let lake = FunnelLake::open().await;
    let mut random = Random(2);
    let funnel = |site: &str, revision| Funnel {
        id: format!("funnel of {site}"),
        tracking_id: site.into(),
        revision,
        definition: random_definition(&mut Random(2)),
        created_at: 0,
    };
    lake.definitions.replace(FunnelSet {
        catalog: "c".into(),
        revision: 2,
        funnels: vec![funnel("site-0", 1), funnel("site-1", 2)],
    });
    let events: Vec<_> = (0..80).map(|n| random_event(&mut random, n)).collect();
    lake.add(&events).await;
    let seen = async |sites: &SiteScope, sql: &str| table(&lake.engine, sites, sql).await;
    let names = "SELECT DISTINCT funnel_id FROM funnel_results ORDER BY 1";
    assert!(seen(&SiteScope::All, names).await.contains("funnel of site-0"));
    let mine = only(&["site-1"]);
    assert!(!seen(&mine, names).await.contains("site-0"));
    assert!(seen(&mine, names).await.contains("funnel of site-1"));
    let asked = "SELECT * FROM funnel_progress WHERE funnel_id = 'funnel of site-0'";
    assert!(!seen(&mine, asked).await.contains("site-0"));
    // To a reader, a funnel of another site is a funnel that does not exist.
    let explain = |id: &str| format!("EXPLAIN SELECT entered_at FROM funnel_progress WHERE funnel_id = '{id}'");
    let theirs = seen(&mine, &explain("funnel of site-0")).await;
    let nobodys = seen(&mine, &explain("funnel of site-9")).await;
    assert_eq!(theirs.replace("site-0", "site-9"), nobodys);
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_reads_no_columns_of_entries() {
    let lake = FunnelLake::open().await;
    let mut random = Random(3);
    lake.definitions.replace(change(&mut Random(3), &FunnelSet::default()));
    let events: Vec<_> = (0..80).map(|n| random_event(&mut random, n)).collect();
    lake.add(&events).await;
    let expected = model::entries(&events, &lake.definitions.current().funnels).len();
    let counted = value(&lake.engine, &SiteScope::All, "SELECT count(*) FROM funnel_progress").await;
    assert_eq!(counted, expected.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn views_without_funnels_are_empty() {
    let lake = FunnelLake::open().await;
    assert_eq!(Arc::<FunnelDefinitions>::clone(&lake.definitions).current().funnels, []);
    for view in ["funnel_progress", "funnel_results"] {
        let sql = format!("SELECT count(*) FROM {view}");
        assert_eq!(value(&lake.engine, &SiteScope::All, &sql).await, "0");
    }
}
