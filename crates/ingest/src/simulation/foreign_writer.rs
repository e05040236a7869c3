//! Other programs that commit to the same table: their versions lie between the writer's.

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use footfall_lake::{Commit, DataFile, LakeError, Operation, Origin, Txn};
use footfall_model::clock::{Clock, IdGen, Micros};
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions};
use serde_json::{Value, json};

use super::events::{self, FOREIGN_EVENTS};
use super::outcome::{EVENTS, actions, path_of};
use super::process::World;
use super::random::Random;
use super::table_client::TableClient;
use crate::writer;

/// How often a program plans again after another commit came first.
const PLANS: u32 = 4;

/// Rows that are added to the table without the WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Our own import, of new events.
    Import,
    /// Another program copies rows that were received hours ago.
    Backfill,
}

impl Load {
    fn origin(self) -> Origin {
        match self {
            Self::Import => Origin::Import,
            Self::Backfill => Origin::Foreign,
        }
    }

    fn received(self, now: Micros) -> Micros {
        match self {
            Self::Import => now,
            Self::Backfill => now - 3 * 3_600 * 1_000_000,
        }
    }
}

/// Commits events with the numbers of the `nth` foreign writer in one transaction.
pub(super) async fn append(world: World, nth: u32, load: Load, rows: u32) {
    let numbers: Vec<u32> = (0..rows).map(|row| FOREIGN_EVENTS + nth * 1_000 + row).collect();
    let Some(client) = TableClient::open(&world, format!("loader {nth}")).await else {
        return;
    };
    let received = load.received(Clock::now(&world.time));
    let events: Vec<_> = numbers.iter().map(|number| events::event(*number, received)).collect();
    let id = world.ids.next_id();
    let Ok(add) = client.write(&writer::rows(&events), 1, load.origin(), id).await else {
        return;
    };
    world.model.lock().foreign_possible.extend(&numbers);
    // With a position or without: a commit without one is recognized by its id alone.
    let txn = nth.is_multiple_of(2).then(|| Txn {
        app_id: format!("foreign_writer-{nth}"),
        after: 0,
        upto: 1,
        fingerprint: None,
    });
    let commit = Commit {
        txn,
        ..Commit::append(id, add)
    };
    match client.commit(&commit).await {
        Ok(_) => world.model.lock().foreign_committed.extend(&numbers),
        Err(error) if error.is_transient() => {}
        Err(error) => client.violation(&error),
    }
}

/// Deletes a file, or some of its rows.
pub(super) async fn delete(world: World, nth: u32, mut random: Random) {
    let Some(client) = TableClient::open(&world, format!("deleter {nth}")).await else {
        return;
    };
    for _ in 0..PLANS {
        let Some(file) = pick_file(&client, &mut random) else {
            return;
        };
        match delete_from(&client, &file, &mut random).await {
            Err(LakeError::Conflict { .. }) => client.note("conflict"),
            Err(error) if !error.is_transient() => return client.violation(&error),
            Ok(_) | Err(_) => return,
        }
        let _ = client.table.refresh().await;
    }
}

fn pick_file(client: &TableClient, random: &mut Random) -> Option<DataFile> {
    let snapshot = client.table.snapshot();
    let nth = random.below(snapshot.len() as u64) as usize;
    snapshot.files().nth(nth).map(|file| file.as_ref().clone())
}

async fn delete_from(client: &TableClient, file: &DataFile, random: &mut Random) -> Result<u64, LakeError> {
    let id = client.world.ids.next_id();
    let rows = client.read(file).await?;
    let kept: BooleanArray = (0..rows.num_rows()).map(|_| Some(random.chance(70))).collect();
    let mut add = Vec::new();
    // Such a program does not know our tags; if imported rows lost theirs, they would push out others at a recall.
    if kept.true_count() > 0 && file.origin != Origin::Import {
        let rows = filter_record_batch(&rows, &kept).expect("as many as there are rows");
        add = client.write(&rows, 1, Origin::Foreign, id).await?;
    }
    client.world.model.lock().deletions.insert(format!("{id:032x}"));
    let commit = Commit {
        operation: Operation::Delete,
        remove: vec![file.path.clone()],
        ..Commit::append(id, add)
    };
    client.commit(&commit).await
}

/// Adds a live file again, with statistics in milliseconds and without our tags, as programs do that compute
/// statistics.
pub(super) async fn restate(world: World, nth: u32, mut random: Random) {
    let Some(client) = TableClient::open(&world, format!("restater {nth}")).await else {
        return;
    };
    for _ in 0..PLANS {
        let Some(file) = pick_file(&client, &mut random) else {
            return;
        };
        let id = format!("{:032x}", world.ids.next_id());
        let text = restated(&world, &file, &id);
        world.model.lock().restatements.insert(id);
        let version = client.table.snapshot().version() + 1;
        let path = Path::from(format!("events/_delta_log/{version:020}.json"));
        let put = world
            .store
            .put_opts(&path, text.into(), PutOptions::from(PutMode::Create));
        if put.await.is_ok() {
            return client.note(&format!("version {version}"));
        }
        let _ = client.table.refresh().await;
    }
}

/// The version that adds `file` again.
fn restated(world: &World, file: &DataFile, id: &str) -> String {
    let versions = world.store.versions();
    let events = versions.iter().rev().filter(|version| version.folder == EVENTS);
    let adds = events
        .flat_map(|version| actions(&version.text))
        .filter_map(|mut action| {
            let add = action.get_mut("add")?.take();
            (path_of(EVENTS, &add) == file.path.as_ref()).then_some(add)
        });
    let mut add = adds.into_iter().next().expect("a live file was added");
    let mut stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
    for bounds in ["minValues", "maxValues"] {
        for column in ["event_timestamp", "created_at"] {
            if let Some(Value::String(time)) = stats[bounds].get_mut(column)
                && time.len() == "2026-11-01T00:00:00.000000Z".len()
            {
                time.replace_range(time.len() - 4..time.len() - 1, "");
            }
        }
    }
    add["stats"] = stats.to_string().into();
    add["dataChange"] = false.into();
    if file.origin != Origin::Import {
        add["tags"] = json!({});
    }
    let info = json!({ "commitInfo": { "operation": "COMPUTE STATS", "footfallCommit": id } });
    format!("{info}\n{}\n", json!({ "add": add }))
}
