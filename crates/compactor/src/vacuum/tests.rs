use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

use footfall_lake::{
    ColumnStatistics, Commit, DataFile, LakeError, Location, Operation, Origin, S3Options, StatValue, data_path,
};
use footfall_model::table::events;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;

use super::*;

const POLICY: VacuumPolicy = VacuumPolicy {
    keep_removed: DAY,
    keep_unnamed: 3 * DAY,
};

/// The present, since Delta's library reads the machine's clock when it writes a checkpoint: later times are in its future.
fn start() -> Micros {
    footfall_model::clock::SystemClock.now() / HOUR * HOUR
}

#[derive(Debug, Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::Relaxed)
    }
}

/// A lake in a folder whose files are as old as the test's clock says.
struct TestLake {
    root: tempfile::TempDir,
    store: Arc<dyn ObjectStore>,
    clock: Arc<HandClock>,
    lake: Lake,
    next: u128,
}

impl TestLake {
    async fn open() -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock(AtomicI64::new(start())));
        let location = Location::Local(root.path().into());
        let store = location.shard_store(0, &S3Options::default()).unwrap();
        let lake = Lake::open(Arc::clone(&store), &[Arc::clone(events())], Arc::clone(&clock) as _)
            .await
            .unwrap();
        Self {
            root,
            store,
            clock,
            lake,
            next: 0,
        }
    }

    fn wait(&self, time: Micros) {
        self.clock.0.fetch_add(time, Ordering::Relaxed);
    }

    fn table(&self) -> &Arc<Table> {
        self.lake.table("events").unwrap()
    }

    /// Stores a file without committing it.
    async fn stage(&mut self) -> DataFile {
        self.next += 1;
        let path = data_path(
            events(),
            20_000 + (self.next % 3) as i32,
            &format!("{:032x}-00000", self.next),
        );
        self.store.put(&path, "rows".into()).await.unwrap();
        let now = UNIX_EPOCH + Duration::from_micros(self.clock.now().cast_unsigned());
        let on_disk: PathBuf = self.root.path().join("shard=00").join(path.as_ref());
        File::options()
            .write(true)
            .open(on_disk)
            .unwrap()
            .set_modified(now)
            .unwrap();
        let statistics = events().statistics_columns().map(|column| {
            let value = match column {
                "tracking_id" => StatValue::text("a"),
                "client_hash" => StatValue::Int64(1),
                _ => StatValue::Timestamp(self.clock.now()),
            };
            ColumnStatistics::exact(value.clone(), value, 0)
        });
        DataFile {
            partition_date: 20_000 + (self.next % 3) as i32,
            path,
            size: 4,
            rows: Some(1),
            written_at: self.clock.now(),
            statistics: statistics.collect(),
            origin: Origin::Wal,
            tags: Vec::new(),
        }
    }

    async fn commit(&mut self, add: Vec<DataFile>, remove: Vec<Path>) -> Result<u64, LakeError> {
        self.next += 1;
        let commit = Commit {
            operation: Operation::Merge,
            staged_at: add.iter().map(|file| file.written_at).min(),
            remove,
            ..Commit::append(self.next, add)
        };
        self.table().commit(&commit).await
    }

    fn vacuum(&self) -> Vacuum {
        Vacuum::new(&self.lake, POLICY, Arc::clone(&self.clock) as _)
    }

    /// Vacuums, and returns the paths that the plan names, with the reason, and how many were deleted.
    async fn sweep(&self, sweep: Sweep) -> (Vec<(Path, DeleteReason)>, u64) {
        let vacuum = self.vacuum();
        let planned = vacuum.plan(sweep).await.unwrap();
        let [table] = &planned[..] else { panic!("one table") };
        let deleted = vacuum.execute(table).await.unwrap();
        assert_eq!(deleted.failed, 0, "{:?}", deleted.error);
        let names = table.files.iter().map(|(file, reason)| (file.path.clone(), *reason));
        (names.collect(), deleted.files)
    }

    async fn stored(&self) -> BTreeSet<Path> {
        use futures::TryStreamExt;
        let all: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        let names = all.into_iter().map(|object| object.location);
        names
            .filter(|path| path.as_ref().ends_with(".parquet") && !path.as_ref().contains("_delta_log"))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_file_is_deleted_after_its_horizon() {
    let mut lake = TestLake::open().await;
    let (old, merged) = (lake.stage().await, lake.stage().await);
    lake.commit(vec![old.clone()], Vec::new()).await.unwrap();
    lake.wait(10 * DAY);
    lake.commit(vec![merged.clone()], vec![old.path.clone()])
        .await
        .unwrap_err();
    let merged = lake.stage().await;
    lake.commit(vec![merged.clone()], vec![old.path.clone()]).await.unwrap();
    for sweep in [Sweep::Log, Sweep::Folders] {
        assert!(
            !lake.sweep(sweep).await.0.iter().any(|(path, _)| *path == old.path),
            "a query may read it"
        );
    }
    lake.wait(DAY + 1);
    assert_eq!(
        lake.sweep(Sweep::Log).await,
        (vec![(old.path.clone(), DeleteReason::Removed)], 1)
    );
    let stored = lake.stored().await;
    assert!(!stored.contains(&old.path) && stored.contains(&merged.path));
    assert_eq!(lake.sweep(Sweep::Log).await.1, 0, "nothing is deleted twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn orphan_is_deleted_when_it_can_no_longer_be_committed() {
    let mut lake = TestLake::open().await;
    let (orphan, live) = (lake.stage().await, lake.stage().await);
    lake.commit(vec![live.clone()], Vec::new()).await.unwrap();
    lake.wait(POLICY.keep_unnamed);
    assert_eq!(lake.sweep(Sweep::Folders).await, (Vec::new(), 0));
    let refused = lake.commit(vec![orphan.clone()], Vec::new()).await.unwrap_err();
    assert!(matches!(refused, LakeError::StagedTooLong { .. }), "{refused}");
    lake.wait(1);
    assert_eq!(
        lake.sweep(Sweep::Log).await,
        (Vec::new(), 0),
        "the log does not name it"
    );
    assert_eq!(
        lake.sweep(Sweep::Folders).await,
        (vec![(orphan.path, DeleteReason::Orphan)], 1)
    );
    assert_eq!(lake.stored().await, BTreeSet::from([live.path]));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_becomes_live_after_the_plan_is_kept() {
    let mut lake = TestLake::open().await;
    let file = lake.stage().await;
    lake.commit(vec![file.clone()], Vec::new()).await.unwrap();
    lake.commit(Vec::new(), vec![file.path.clone()]).await.unwrap();
    lake.wait(2 * DAY);
    let vacuum = lake.vacuum();
    let planned = vacuum.plan(Sweep::Folders).await.unwrap();
    assert_eq!(planned[0].files.len(), 1);
    // Another program restores an old version.
    let again = DataFile {
        written_at: lake.clock.now(),
        ..file.clone()
    };
    lake.commit(vec![again], Vec::new()).await.unwrap();
    assert_eq!(vacuum.execute(&planned[0]).await.unwrap().files, 0);
    assert!(lake.stored().await.contains(&file.path));
}

#[test]
fn policy_covers_queries_and_dedupe_window_within_limits() {
    let hours = |hours| Duration::from_hours(hours);
    let keep = |query, window| VacuumPolicy::new(hours(query), hours(window)).keep_removed / HOUR;
    assert_eq!(keep(1, 6), 24, "a day at least");
    assert_eq!(keep(30, 6), 31);
    assert_eq!(keep(1, 40), 41);
    assert_eq!(keep(1, 1_000), 48, "the log does not remember it longer");
    const { assert!(POLICY.keep_unnamed > MAX_STAGED) };
}

/// What happens to the lake.
#[derive(Debug, Clone, Copy)]
enum Step {
    Stage,
    /// Commits the oldest staged file.
    Commit,
    Remove(usize),
    /// Replaces a file.
    Merge(usize),
    Wait(Micros),
    Checkpoint,
    Sweep(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Stage),
        2 => Just(Step::Commit),
        1 => (0_usize..8).prop_map(Step::Remove),
        2 => (0_usize..8).prop_map(Step::Merge),
        3 => (1_i64..30).prop_map(|hours| Step::Wait(hours * HOUR)),
        1 => Just(Step::Checkpoint),
        2 => any::<bool>().prop_map(Step::Sweep),
    ]
}

async fn check_history(steps: Vec<Step>) {
    let mut lake = TestLake::open().await;
    let (mut staged, mut live) = (Vec::new(), Vec::new());
    let mut removed: BTreeMap<Path, Micros> = BTreeMap::new();
    for step in steps {
        let now = lake.clock.now();
        match step {
            Step::Stage => staged.push(lake.stage().await),
            Step::Commit if !staged.is_empty() => {
                let file = staged.remove(0);
                if lake.commit(vec![file.clone()], Vec::new()).await.is_ok() {
                    live.push(file.path);
                }
            }
            Step::Remove(nth) if nth < live.len() => {
                let path = live.remove(nth);
                lake.commit(Vec::new(), vec![path.clone()]).await.unwrap();
                removed.insert(path, now);
            }
            Step::Merge(nth) if nth < live.len() => {
                let (path, new) = (live.remove(nth), lake.stage().await);
                live.push(new.path.clone());
                lake.commit(vec![new], vec![path.clone()]).await.unwrap();
                removed.insert(path, now);
            }
            Step::Wait(time) => lake.wait(time),
            Step::Checkpoint => lake.table().checkpoint().await.unwrap(),
            Step::Sweep(folders) => drop(lake.sweep(if folders { Sweep::Folders } else { Sweep::Log }).await),
            Step::Commit | Step::Remove(_) | Step::Merge(_) => {}
        }
        let stored = lake.stored().await;
        assert!(
            live.iter().all(|path| stored.contains(path)),
            "a live file is gone: {step:?}"
        );
        let fresh = removed
            .iter()
            .filter(|(_, at)| lake.clock.now() - **at <= POLICY.keep_removed);
        assert!(
            fresh.clone().all(|(path, _)| stored.contains(path)),
            "a query lost its file: {step:?}"
        );
    }
    lake.wait(4 * DAY);
    lake.sweep(Sweep::Folders).await;
    assert_eq!(
        lake.stored().await,
        live.into_iter().collect(),
        "only live files are left"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_live_or_pinned_file_is_deleted(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check_history(steps));
    }
}
