//! A simulated compactor: merges files of a day, as another process would.
//!
//! Several may run at once, each under a lease of its own, under the same lease, or under none. A compactor whose
//! inputs are no longer live plans again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use footfall_lake::{Commit, DataFile, Fence, LakeError, Operation, Origin, Snapshot};
use footfall_model::clock::IdGen;

use super::process::World;
use super::random::Random;
use super::table_client::TableClient;

/// The compactors' lease in the Delta log.
pub(super) const LEASE: &str = "footfall-compactor-00";

/// Maximum number of merges that one compactor attempts.
const PASSES: u32 = 6;

/// Maximum number of files per merge.
const INPUTS: u64 = 6;

/// The lease under which a compactor works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// It acquires the lease: the previous holder can't commit any more once this one has.
    Taken,
    /// It believes that it holds the lease that another one holds.
    Shared,
    /// None: only the conflict check of the removed files protects the table.
    Missing,
}

impl Lease {
    fn fence(self, epochs: &AtomicI64) -> Option<Fence> {
        let epoch = match self {
            Self::Taken => epochs.fetch_add(1, Ordering::Relaxed) + 1,
            Self::Shared => epochs.load(Ordering::Relaxed),
            Self::Missing => return None,
        };
        let app_id = LEASE.to_owned();
        Some(Fence { app_id, epoch })
    }
}

/// The `nth` compactor of a history.
pub(super) async fn compact(world: World, nth: u32, lease: Lease, mut random: Random) {
    let fence = lease.fence(&world.epochs);
    let Some(client) = TableClient::open(&world, format!("compactor {nth}")).await else {
        return;
    };
    for _ in 0..PASSES {
        match pass(&client, fence.clone(), &mut random).await {
            Ok(None) => return client.note("nothing to merge"),
            Ok(Some(_)) if random.chance(40) => return,
            Ok(Some(_)) => {}
            Err(LakeError::StaleLease { ours, theirs, .. }) if ours < theirs => return client.note("stale lease"),
            Err(LakeError::Conflict { .. }) => client.note("conflict"),
            // Includes a file that was vacuumed before it was read.
            Err(error) if error.is_transient() => client.note("no answer"),
            Err(error) => return client.violation(&error),
        }
        world.time.sleep_millis(random.between(1..=2_000)).await;
        let _ = client.table.refresh().await;
    }
}

/// Merges some files, if there are any; returns the version that it made.
async fn pass(client: &TableClient, fence: Option<Fence>, random: &mut Random) -> Result<Option<u64>, LakeError> {
    let inputs = plan(&client.table.snapshot(), random);
    let Some(first) = inputs.first() else { return Ok(None) };
    let origin = match first.origin {
        Origin::Import => Origin::Import,
        _ => Origin::Compaction,
    };
    let mut batches = Vec::new();
    for file in &inputs {
        batches.push(client.read(file).await?);
    }
    client.world.time.sleep_millis(random.below(1_500)).await;
    let merged = merge(&batches);
    let id = client.world.ids.next_id();
    let add = client.write(&merged, random.pick(&[1, 1, 1, 2]), origin, id).await?;
    client.world.time.sleep_millis(random.below(1_500)).await;
    let commit = Commit {
        operation: Operation::Merge,
        remove: inputs.iter().map(|file| file.path.clone()).collect(),
        fence,
        ..Commit::append(id, add)
    };
    client.commit(&commit).await.map(Some)
}

/// Some files of one day. Imported files are merged only with imported ones: in a file with others, their rows would
/// count among the newest that a restarted writer recalls.
fn plan(snapshot: &Snapshot, random: &mut Random) -> Vec<Arc<DataFile>> {
    let mut groups: BTreeMap<(i32, bool), Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in snapshot.files() {
        let group = (file.partition_date, file.origin == Origin::Import);
        groups.entry(group).or_default().push(Arc::clone(file));
    }
    // Sometimes a single file is rewritten.
    let least = if random.chance(15) { 1 } else { 2 };
    let groups: Vec<_> = groups.into_values().filter(|files| files.len() >= least).collect();
    let indices: Vec<_> = (0..groups.len()).collect();
    if indices.is_empty() {
        return Vec::new();
    }
    let mut files = groups[random.pick(&indices)].clone();
    let wanted = random.between(least as u64..=INPUTS) as usize;
    while files.len() > wanted {
        files.remove(random.below(files.len() as u64) as usize);
    }
    files
}

/// All rows; of those with the same id, the first.
fn merge(batches: &[RecordBatch]) -> RecordBatch {
    let all = concat_batches(&batches[0].schema(), batches).expect("files of one table");
    let text = |name| all.column_by_name(name).unwrap().as_string::<i32>();
    let mut seen = HashSet::new();
    let ids = text("tracking_id").iter().zip(text("event_id"));
    let first: BooleanArray = ids.map(|id| Some(seen.insert(id))).collect();
    filter_record_batch(&all, &first).expect("as many as there are rows")
}
