//! A real lake with real compactors, and what its views return.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use footfall_compactor::{CompactError, Compactor, FunnelBackfill, FunnelSegments, Policy, SegmentKind};
use footfall_funnels::FunnelDefinitions;
use footfall_lake::{Commit, Lake, NewFile, Origin, partitions, write_file};
use footfall_model::access::SiteScope;
use footfall_model::clock::{IdGen, Micros, SystemClock};
use footfall_model::hash::client_hash;
use footfall_model::table::events as events_table;
use object_store::memory::InMemory;

use super::model::{DayStep, Entry, TestEvent};
use crate::testing::{events, rows};
use crate::{Engine, EngineOptions, Views};

#[derive(Debug, Default)]
struct CountedIds(AtomicU64);

impl IdGen for CountedIds {
    fn next_id(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

fn engine(lake: &Lake, definitions: &Arc<FunnelDefinitions>, options: &EngineOptions) -> Engine {
    let views = Views {
        funnels: Some(Arc::clone(definitions)),
        ..Views::default()
    };
    Engine::with_views(lake, views, options).unwrap()
}

pub(super) struct FunnelLake {
    pub(super) engine: Engine,
    pub(super) definitions: Arc<FunnelDefinitions>,
    lake: Lake,
    compactor: Compactor,
    backfill: FunnelBackfill,
    ids: Arc<CountedIds>,
    spill: tempfile::TempDir,
}

impl FunnelLake {
    pub(super) async fn open() -> Self {
        let definitions = Arc::<FunnelDefinitions>::default();
        let kind = Arc::new(FunnelSegments(Arc::clone(&definitions)));
        let mut specs = vec![Arc::clone(events_table())];
        specs.extend(kind.tables().unwrap());
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(CountedIds::default()));
        let lake = Lake::open(Arc::new(InMemory::new()), &specs, clock.clone())
            .await
            .unwrap();
        // Files that end early, so that a day has several.
        let policy = Policy {
            target_bytes: 16 * 1_024,
            ..Policy::default()
        };
        let spill = tempfile::tempdir().unwrap();
        let options = EngineOptions::new(spill.path().to_owned());
        Self {
            engine: engine(&lake, &definitions, &options),
            compactor: Compactor::new(&lake, vec![kind], policy, clock.clone(), ids.clone()).unwrap(),
            backfill: FunnelBackfill::new(&lake, Arc::clone(&definitions), clock, ids.clone()).unwrap(),
            definitions,
            lake,
            ids,
            spill,
        }
    }

    pub(super) fn engine_of_memory(&self, memory_bytes: usize) -> Engine {
        let options = EngineOptions {
            memory_bytes,
            ..EngineOptions::new(self.spill.path().to_owned())
        };
        engine(&self.lake, &self.definitions, &options)
    }

    pub(super) async fn add(&self, events: &[TestEvent]) {
        let table = self.lake.table("events").unwrap();
        let id = self.ids.next_id();
        let mut add = Vec::new();
        for (nth, partition) in partitions(&batch(events)).unwrap().into_iter().enumerate() {
            let name = footfall_lake::file_name(id, nth);
            let written_at = Micros::try_from(id).unwrap();
            let new = NewFile::new(events_table(), partition.event_date, name, Origin::Wal, written_at);
            add.push(write_file(table.store(), new, partition.rows).await.unwrap());
        }
        table.commit(&Commit::append(id, add)).await.unwrap();
    }

    /// Merges a day. Returns the number of merges.
    pub(super) async fn merge(&self, day: i32) -> usize {
        let tasks = self.compactor.plan_day(day);
        for task in &tasks {
            self.compactor.execute(task, None).await.unwrap();
        }
        tasks.len()
    }

    /// Does at most so many of the tasks that there are, every other one twice at the same time. Returns how many.
    pub(super) async fn backfill(&self, most: usize) -> usize {
        let tasks = self.backfill.plan();
        for (nth, task) in tasks.iter().take(most).enumerate() {
            if nth % 2 == 1 {
                self.backfill.execute(task).await.unwrap();
                continue;
            }
            let (one, other) = tokio::join!(self.backfill.execute(task), self.backfill.execute(task));
            let failed: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
            assert!(
                failed.len() < 2 && failed.iter().all(CompactError::is_conflict),
                "{failed:?}"
            );
        }
        tasks.len().min(most)
    }
}

fn batch(all: &[TestEvent]) -> RecordBatch {
    let template = all.iter().fold(events(), |builder, _| builder.pageview("/")).batch();
    let text = |of: fn(&TestEvent) -> Option<&str>| Arc::new(all.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let time = |of: fn(&TestEvent) -> Micros| {
        Arc::new(TimestampMicrosecondArray::from_iter_values(all.iter().map(of)).with_timezone("UTC")) as ArrayRef
    };
    let hash = |event: &TestEvent| client_hash(event.site, event.client).cast_signed();
    let schema = template.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(template.columns())
        .map(|(field, column)| match field.name().as_str() {
            "tracking_id" => text(|event| Some(event.site)),
            "client_id" => text(|event| Some(event.client)),
            "client_hash" => Arc::new(Int64Array::from_iter_values(all.iter().map(hash))),
            "event_timestamp" => time(|event| event.time),
            "created_at" => time(|event| event.arrived),
            "event_id" => text(|event| Some(&event.id)),
            "event_type" => text(|event| Some(event.kind)),
            "page_path" => text(|event| event.path),
            "country" => text(|event| event.country),
            _ => Arc::clone(column),
        });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

async fn all_rows(engine: &Engine, sites: &SiteScope, sql: &str) -> Vec<RecordBatch> {
    rows(engine, sites, sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// `funnel_progress`, also by the specification's columns.
pub(super) async fn progress(engine: &Engine, sites: &SiteScope, condition: &str) -> Vec<Entry> {
    let sql = format!(
        "SELECT * FROM funnel_progress WHERE {condition} ORDER BY tracking_id, funnel_id, client_id, entered_at"
    );
    let mut entries = Vec::new();
    for batch in all_rows(engine, sites, &sql).await {
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        let text = |name: &str, row: usize| column(name).as_string::<i32>().value(row).to_owned();
        let flag = |name: &str, row: usize| column(name).as_boolean().value(row);
        for row in 0..batch.num_rows() {
            let times = column("step_times").as_list::<i32>().value(row);
            let times = times.as_primitive::<TimestampMicrosecondType>().values().to_vec();
            for step in 0..4 {
                let stamps = column(&format!("step{step}_timestamp")).as_primitive::<TimestampMicrosecondType>();
                let stamp = stamps.is_valid(row).then(|| stamps.value(row));
                assert_eq!(stamp, times.get(step).copied());
                assert_eq!(flag(&format!("step{step}_completed"), row), step < times.len());
            }
            let depth = column("steps_completed").as_primitive::<Int32Type>().value(row);
            assert_eq!(usize::try_from(depth).unwrap(), times.len());
            assert_eq!(
                column("entered_at")
                    .as_primitive::<TimestampMicrosecondType>()
                    .value(row),
                times[0]
            );
            let seconds = column("time_to_convert").as_primitive::<Int64Type>();
            let countries = column("country");
            entries.push(Entry {
                site: text("tracking_id", row),
                funnel: text("funnel_id", row),
                client: text("client_id", row),
                converted: flag("fully_converted", row),
                seconds: seconds.is_valid(row).then(|| seconds.value(row)),
                deepest_of_day: flag("deepest_of_day", row),
                country: countries.is_valid(row).then(|| text("country", row)),
                times,
            });
        }
    }
    entries
}

pub(super) async fn results(engine: &Engine, sites: &SiteScope) -> Vec<DayStep> {
    let sql = "SELECT * FROM funnel_results ORDER BY tracking_id, funnel_id, date, step_index";
    let mut results = Vec::new();
    for batch in all_rows(engine, sites, sql).await {
        let text = |index: usize, row: usize| batch.column(index).as_string::<i32>().value(row).to_owned();
        for row in 0..batch.num_rows() {
            let seconds = batch.column(7).as_primitive::<Float64Type>();
            results.push((
                text(0, row),
                text(1, row),
                batch.column(2).as_primitive::<Date32Type>().value(row),
                batch.column(3).as_primitive::<Int32Type>().value(row),
                text(4, row),
                batch.column(5).as_primitive::<Int64Type>().value(row),
                batch.column(6).as_primitive::<Float64Type>().value(row),
                seconds.is_valid(row).then(|| seconds.value(row)),
            ));
        }
    }
    results
}
