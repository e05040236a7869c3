//! How long planning takes over a table of 100,000 files: `make bench-planning`.
//!
//! The table is a log without files: planning reads none. Half of the files hold one site each, as after compaction;
//! half hold a range of sites, as the writer leaves them. EXPLAIN plans the statement and prints the plan. Ends with 1
//! if a site's month takes longer than the limit.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall_lake::{ColumnStatistics, Commit, DataFile, Origin, StatValue, Table, partition_folder};
use footfall_model::access::SiteScope;
use footfall_model::clock::{DAY, SystemClock};
use footfall_model::table;
use footfall_query::{Engine, EngineOptions};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;

const FILES: i32 = 100_000;
const DAYS: i32 = 400;
const FIRST_DAY: i32 = 20_000;
const SITES: i32 = 125;
const RUNS: usize = 21;

/// For one site's month.
const LIMIT: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let store = Arc::new(InMemory::new());
    let lake = Arc::new(Table::open(store, Arc::clone(table::events()), Arc::new(SystemClock)).await?);
    for (id, first) in (0..FILES).step_by(10_000).enumerate() {
        let add = (first..first + 10_000).map(file).collect();
        lake.commit(&Commit::append(id as u128, add)).await?;
    }
    let spill = tempfile::tempdir()?;
    let engine = Engine::new(Arc::clone(&lake), &EngineOptions::new(spill.path().to_owned()))?;
    println!("{} files over {DAYS} days", lake.snapshot().len());
    let reader = SiteScope::Only(Arc::new([site(62)].into()));
    let month = "event_timestamp >= '2025-03-01' AND event_timestamp < '2025-04-01'";
    let mut slowest = Duration::ZERO;
    for (what, sites, sql) in [
        ("no table", &reader, "SELECT 1".to_owned()),
        (
            "a site's month, by a reader",
            &reader,
            format!("SELECT count(*), sum(revenue) FROM events WHERE {month}"),
        ),
        (
            "a site's month, by a token for all sites",
            &SiteScope::All,
            format!(
                "SELECT count(*), sum(revenue) FROM events WHERE tracking_id = '{}' AND {month}",
                site(62)
            ),
        ),
        (
            "a visitor's month, by a reader",
            &reader,
            format!("SELECT * FROM events WHERE client_id = 'c' AND {month}"),
        ),
    ] {
        let time = median(&engine, sites, &format!("EXPLAIN {sql}")).await?;
        println!("{what:<45} {:>8.1} ms", time.as_secs_f64() * 1e3);
        slowest = slowest.max(time);
    }
    if slowest > LIMIT {
        eprintln!("error: planning took longer than {LIMIT:?}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn median(engine: &Engine, sites: &SiteScope, sql: &str) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let begun = Instant::now();
        let plan: Vec<_> = engine.execute(sites, sql, &[]).await?.try_collect().await?;
        times.push(begun.elapsed());
        assert!(!plan.is_empty(), "EXPLAIN has no rows");
    }
    times.sort();
    Ok(times[RUNS / 2])
}

fn site(nth: i32) -> String {
    format!("site-{nth:06}")
}

/// Days one after the other; in a day a file for each site, then as many for ranges of eight sites.
fn file(nth: i32) -> DataFile {
    let day = FIRST_DAY + nth / (FILES / DAYS);
    let nth_of_day = nth % (FILES / DAYS);
    let (first, last) = if nth_of_day < SITES {
        (nth_of_day, nth_of_day)
    } else {
        let first = (nth_of_day - SITES) * 8 % SITES;
        (first, (first + 7).min(SITES - 1))
    };
    let midnight = i64::from(day) * DAY;
    let time = |offset| StatValue::Timestamp(midnight + offset);
    let statistics = table::events().statistics_columns().map(|column| match column {
        "tracking_id" => ColumnStatistics::exact(StatValue::text(&site(first)), StatValue::text(&site(last)), 0),
        "client_hash" => ColumnStatistics::exact(StatValue::Int64(i64::MIN), StatValue::Int64(i64::MAX), 0),
        "event_timestamp" | "created_at" => ColumnStatistics::exact(time(0), time(DAY - 1), 0),
        _ => ColumnStatistics::default(),
    });
    DataFile {
        path: Path::from(format!(
            "events/{}/{nth:06}.parquet",
            partition_folder(table::events(), day)
        )),
        size: 50_000_000,
        rows: Some(1_000_000),
        written_at: midnight,
        partition_date: day,
        statistics: statistics.collect(),
        origin: Origin::Compaction,
        tags: Vec::new(),
    }
}
