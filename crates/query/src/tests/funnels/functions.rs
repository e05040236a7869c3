//! `funnel`, `funnel_of` and `funnel_progress_of` equal a plain computation, and each other.

use std::collections::BTreeMap;

use footfall_funnels::{Definition, Funnel, FunnelSet};
use footfall_model::access::SiteScope;
use footfall_model::clock::{DAY, Micros};

use super::lake::FunnelLake;
use super::model::{self, Entry, TestEvent};
use super::{FIRST_DAY, HOUR, Random, random_definition, random_event};
use crate::testing::{only, rows, table};
use arrow::array::Array;

const FROM: Micros = FIRST_DAY * DAY + 6 * HOUR;
const TO: Micros = (FIRST_DAY + 2) * DAY;
const RANGE: &str = "'2026-11-01T06:00:00Z', '2026-11-03'";

fn funnel(definition: &Definition) -> Funnel {
    Funnel {
        id: "saved".into(),
        tracking_id: "site-0".into(),
        revision: 1,
        definition: definition.clone(),
        created_at: 0,
    }
}

/// The definition as SQL text.
fn json(site: &str, definition: &Definition) -> String {
    let mut body = serde_json::to_value(definition).unwrap();
    body["tracking_id"] = site.into();
    body.to_string().replace('\'', "''")
}

/// Users of each step, by country if asked.
fn expected(entries: &[Entry], steps: usize, by_country: bool) -> BTreeMap<Option<String>, Vec<usize>> {
    let mut depths: BTreeMap<(Option<String>, &str), usize> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| (FROM..TO).contains(&entry.times[0])) {
        let country = entry.country.clone().filter(|_| by_country);
        let depth = depths.entry((country, &entry.client)).or_default();
        *depth = (*depth).max(entry.times.len());
    }
    let mut users: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    if !by_country {
        users.insert(None, vec![0; steps]);
    }
    for ((country, _), depth) in depths {
        let users = users.entry(country).or_insert_with(|| vec![0; steps]);
        users.iter_mut().take(depth).for_each(|count| *count += 1);
    }
    users
}

/// The table that SQL shows for this.
fn shown(users: &BTreeMap<Option<String>, Vec<usize>>, by_country: bool) -> Vec<String> {
    let rows = users.iter().flat_map(|(country, users)| {
        users.iter().enumerate().map(move |(step, count)| {
            let before = step.checked_sub(1).map(|before| users[before]);
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let rate = match before {
                None => 1.0,
                Some(0) => 0.0,
                Some(before) => *count as f64 / before as f64,
            };
            let country = by_country.then(|| format!("{}|", country.as_deref().unwrap_or_default()));
            format!(
                "{}{step}|{count}|{rate:.6}|{:.6}",
                country.unwrap_or_default(),
                1.0 - rate
            )
        })
    });
    rows.collect()
}

async fn found(lake: &FunnelLake, call: &str, by_country: bool) -> Vec<String> {
    let country = if by_country {
        "coalesce(country, '') || '|' || "
    } else {
        ""
    };
    let order = if by_country { "country NULLS FIRST, " } else { "" };
    let sql = format!(
        "SELECT {country}concat_ws('|', step_index, users, CAST(CAST(conversion_rate AS DECIMAL(9, 6)) AS VARCHAR), \
         CAST(CAST(drop_off_rate AS DECIMAL(9, 6)) AS VARCHAR)) FROM {call} ORDER BY {order}step_index"
    );
    let batches = rows(&lake.engine, &SiteScope::All, &sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let values = batches.iter().flat_map(|batch| {
        let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        let texts = arrow::array::AsArray::as_string::<i32>(&column).clone();
        (0..texts.len())
            .map(move |row| texts.value(row).to_owned())
            .collect::<Vec<_>>()
    });
    values.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_equal_plain_computation() {
    let mut converted = 0;
    for seed in 0..12 {
        let mut random = Random(seed);
        let lake = FunnelLake::open().await;
        let events: Vec<TestEvent> = (0..60).map(|n| random_event(&mut random, n)).collect();
        let (merged, fresh) = events.split_at(40);
        lake.add(merged).await;
        lake.merge(i32::try_from(FIRST_DAY).unwrap()).await;
        lake.add(fresh).await;
        let definition = random_definition(&mut random);
        let set = vec![funnel(&definition)];
        let entries = model::entries(&events, &set);
        lake.definitions.replace(FunnelSet {
            catalog: "c".into(),
            revision: 1,
            funnels: set,
        });
        if seed % 2 == 0 {
            lake.backfill(usize::MAX).await;
        }
        let steps = definition.steps.len();
        let json = json("site-0", &definition);
        for by_country in [false, true] {
            let breakdown = if by_country { ", 'country'" } else { "" };
            let users = expected(&entries, steps, by_country);
            converted += users.values().map(|users| users[steps - 1]).sum::<usize>();
            let expected = shown(&users, by_country);
            for call in [
                format!("funnel('saved', {RANGE}{breakdown})"),
                format!("funnel_of('{json}', {RANGE}{breakdown})"),
            ] {
                assert_eq!(found(&lake, &call, by_country).await, expected, "seed {seed}: {call}");
            }
        }
        let all = "tracking_id, client_id, entered_at, step_times, steps_completed, time_to_convert, country";
        let progress = async |source: &str| {
            let sql = format!("SELECT {all} FROM {source} ORDER BY {all}");
            table(&lake.engine, &SiteScope::All, &sql).await
        };
        assert_eq!(
            progress(&format!("funnel_progress_of('{json}')")).await,
            progress("funnel_progress").await,
            "seed {seed}"
        );
    }
    assert!(converted >= 5, "otherwise the test says little: {converted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn description_ends_with_the_funnels_that_it_was_made_of() {
    let lake = FunnelLake::open().await;
    let saved = |revision, funnels| FunnelSet {
        catalog: "c".into(),
        revision,
        funnels,
    };
    let definition = random_definition(&mut Random(5));
    lake.definitions.replace(saved(1, vec![funnel(&definition)]));
    let sql = format!("SELECT * FROM funnel('saved', {RANGE})");
    let described = lake.engine.describe(&SiteScope::All, &sql).await.unwrap();
    let known = || lake.engine.describe_known(&SiteScope::All, &sql, &[]);
    assert_eq!(known(), Some((described.schema, described.version)));
    lake.definitions.replace(saved(2, Vec::new()));
    assert_eq!(known(), None);
    assert!(lake.engine.describe(&SiteScope::All, &sql).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_hide_other_sites() {
    let lake = FunnelLake::open().await;
    let mut random = Random(5);
    let events: Vec<TestEvent> = (0..80).map(|n| random_event(&mut random, n)).collect();
    lake.add(&events).await;
    let definition = random_definition(&mut random);
    lake.definitions.replace(FunnelSet {
        catalog: "c".into(),
        revision: 1,
        funnels: vec![funnel(&definition)],
    });
    let run = async |sites: &SiteScope, sql: String| rows(&lake.engine, sites, &sql, &[]).await;
    let mine = only(&["site-1"]);
    let refused = async |id: &str| {
        let sql = format!("SELECT * FROM funnel('{id}', {RANGE})");
        run(&mine, sql).await.unwrap_err().to_string()
    };
    assert_eq!(refused("saved").await.replace("saved", "none"), refused("none").await);
    // Neither an existing site of others nor one that does not exist has visitors.
    let counted = async |sites: &SiteScope, site: &str| {
        let sql = format!(
            "SELECT step_index, users FROM funnel_of('{}', {RANGE}) ORDER BY 1",
            json(site, &definition)
        );
        table(&lake.engine, sites, &sql).await
    };
    assert_eq!(counted(&mine, "site-0").await, counted(&mine, "nowhere").await);
    assert_ne!(counted(&SiteScope::All, "site-0").await, counted(&mine, "site-0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_are_refused_with_reason() {
    let lake = FunnelLake::open().await;
    let valid = json("site-0", &random_definition(&mut Random(1)));
    for (call, reason) in [
        ("funnel()".to_owned(), "expected funnel("),
        ("funnel('x')".to_owned(), "no funnel"),
        (format!("funnel_of(1, {RANGE})"), "texts that are spelled out"),
        (format!("funnel_of('{{', {RANGE})"), "not JSON"),
        (format!("funnel_of('[]', {RANGE})"), "lacks its site"),
        (
            format!("funnel_of('{{\"tracking_id\": \"a\", \"name\": \"n\", \"steps\": []}}', {RANGE})"),
            "steps: there are 0",
        ),
        (
            format!("funnel_of('{valid}', {RANGE}, 'client_id')"),
            "no breakdown by \"client_id\"",
        ),
        (
            format!("funnel_of('{valid}', {RANGE}, 'country', 1)"),
            "expected funnel_of(",
        ),
        (format!("funnel_of('{valid}', 'yesterday', '2026-11-03')"), "yesterday"),
    ] {
        let sql = format!("SELECT * FROM {call}");
        let error = rows(&lake.engine, &SiteScope::All, &sql, &[])
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{call}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_results_are_of_their_own_funnel() {
    let lake = FunnelLake::open().await;
    let mut random = Random(5);
    let events: Vec<TestEvent> = (0..80).map(|n| random_event(&mut random, n)).collect();
    lake.add(&events).await;
    let calls: Vec<String> = (0..6)
        .map(|_| {
            format!(
                "funnel_of('{}', {RANGE})",
                json("site-0", &random_definition(&mut random))
            )
        })
        .collect();
    let users = |call: &str| format!("(SELECT concat_ws('|', step_index, users) AS users FROM {call})");
    let all = async |sql: String| table(&lake.engine, &SiteScope::All, &sql).await;
    let pairs = async |a: &str, b: &str| {
        let sql = format!(
            "SELECT a.users, b.users FROM {} a CROSS JOIN {} b ORDER BY 1, 2",
            users(a),
            users(b)
        );
        all(sql).await
    };
    let mut found = std::collections::BTreeSet::new();
    for call in &calls {
        found.insert(all(format!("SELECT users FROM {} ORDER BY 1", users(call))).await);
    }
    assert!(found.len() > 2, "otherwise the test says little: {found:?}");
    let swapped = calls.iter().zip(calls.iter().skip(1));
    let mut different = 0;
    for (a, b) in swapped {
        different += usize::from(pairs(a, b).await != pairs(b, a).await);
    }
    assert!(different > 2, "{different}");
}
