//! The real compactor, as a process of its own beside the writer's.
//!
//! Several may run at once, each under a lease of its own, under the same lease, or under none, as by hand. They do what
//! is due by different policies, one task in any order, and are killed at any point.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use footfall_compactor::{
    CompactError, Compactor, MergeTask, Policy, RetentionPolicy, RetentionTask, RollupSegments, SegmentKind,
    SessionSegments,
};
use footfall_lake::{Fence, Lake, LakeError};
use footfall_model::clock::{Clock, DAY, HOUR, Micros};
use footfall_model::rollup::{Rollup, built_in};
use footfall_model::table::{TableSpec, events};

use super::process::{World, open_lake};
use super::random::Random;

/// The compactors' lease in the Delta log.
pub(super) const LEASE: &str = "footfall-compactor-00";

/// How often one compactor looks for something to merge.
const PASSES: u32 = 12;

/// Merges after which the last compactor must have nothing left to do.
const LAST_MERGES: u32 = 60;

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

/// The rollups that it keeps: one by time, one by visitor.
pub(super) fn rollups() -> Vec<Rollup> {
    let mut rollups = built_in();
    rollups.retain(|rollup| ["events_totals", "visits"].contains(&rollup.name.as_str()));
    rollups
}

fn kinds() -> Vec<Arc<dyn SegmentKind>> {
    vec![Arc::new(RollupSegments(rollups())), Arc::new(SessionSegments)]
}

pub(super) fn segment_tables() -> Vec<Arc<TableSpec>> {
    let kinds = kinds();
    let tables = kinds.iter().map(|kind| kind.tables().expect("they are built in"));
    tables.flatten().collect()
}

/// Small limits, so that few files are enough for every kind of merge.
fn policy(random: &mut Random) -> Policy {
    Policy {
        target_bytes: random.pick(&[1, 64 * 1_024, 1 << 30]),
        fresh_age: random.pick(&[0, 1_000_000]),
        fresh_bytes: 0,
        fresh_files: random.between(2..=5) as usize,
        small_files: random.between(2..=3) as usize,
        small_bytes: random.pick(&[1, 1 << 20, 1 << 20]),
        medium_files: 2,
        max_inputs: random.between(2..=6) as usize,
        closed_after: random.pick(&[0, 2 * HOUR, 1_000 * HOUR, 1_000 * HOUR, 1_000 * HOUR]),
        late_age: random.pick(&[0, 6 * HOUR]),
        ..Policy::default()
    }
}

/// Events are kept for `all` days, those of one site for `site` days, rollups for `rollups` days.
pub(super) fn retention(all: u8, site: u8, rollups: u8) -> RetentionPolicy {
    RetentionPolicy {
        keep: Micros::from(all) * DAY,
        sites: [("site-1".to_owned(), Micros::from(site) * DAY)].into(),
        rollups: Micros::from(rollups) * DAY,
    }
}

/// The `nth` compactor of a history.
pub(super) async fn compact(world: World, nth: u32, lease: Lease, mut random: Random) {
    let fence = lease.fence(&world.epochs);
    let policy = policy(&mut random);
    let Some(process) = Process::start(world, format!("compactor {nth}"), policy, fence).await else {
        return;
    };
    // Merges of few rows write several files.
    let process = Process {
        compactor: process.compactor.with_batch_rows(random.pick(&[1, 4, 8_192])),
        ..process
    };
    for _ in 0..PASSES {
        match process.pass(&mut random).await {
            Ok(_) if random.chance(15) => return process.note("ends"),
            Ok(true) => {}
            Ok(false) => process.note("nothing to merge"),
            Err(error) if process.is_fenced(&error) => return process.note("stale lease"),
            Err(error) if error.is_conflict() => process.note("conflict"),
            Err(error) if is_of_store(&error) => process.note("no answer"),
            Err(CompactError::Lake(LakeError::StagedTooLong { .. })) => process.note("staged too long"),
            Err(error) => return process.violation(&error),
        }
        process.world.time.sleep_millis(random.between(1..=2_000)).await;
        let _ = process.lake.refresh().await;
    }
}

/// A compactor that merges nothing.
pub(super) async fn remove_orphans(world: World, nth: u32, mut random: Random) {
    let Some(process) = Process::start(world, format!("compactor {nth}"), Policy::default(), None).await else {
        return;
    };
    for _ in 0..PASSES {
        if let Err(error) = process.remove_orphans().await
            && !is_of_store(&error)
        {
            process.violation(&error);
        }
        process.world.time.sleep_millis(random.between(1..=2_000)).await;
        let _ = process.lake.refresh().await;
    }
}

/// Whether the store did not answer.
fn is_of_store(error: &CompactError) -> bool {
    matches!(error, CompactError::Lake(error) if error.is_transient())
}

/// The last compactor, when nothing else runs and no earlier commit can arrive any more: merges all that is due, removes
/// what others have left, and verifies every segment.
pub(super) async fn finish(world: World) {
    let fence = Lease::Taken.fence(&world.epochs);
    let policy = Policy {
        fresh_age: 0,
        fresh_bytes: 0,
        ..Policy::default()
    };
    let Some(process) = Process::start(world, "last compactor".to_owned(), policy, fence).await else {
        return;
    };
    if let Err(error) = process.finish().await {
        process.violation(&error);
    }
}

struct Process {
    world: World,
    name: String,
    lake: Lake,
    compactor: Compactor,
    fence: Option<Fence>,
}

impl Process {
    /// `None` if the lake can't be opened, which is a violation.
    async fn start(world: World, name: String, policy: Policy, fence: Option<Fence>) -> Option<Self> {
        let specs: Vec<_> = [Arc::clone(events())].into_iter().chain(segment_tables()).collect();
        let lake = open_lake(&world, &specs).await?;
        let clock: Arc<dyn Clock> = Arc::new(world.time.clone());
        let compactor = Compactor::new(&lake, kinds(), policy, clock, world.ids.clone());
        let retention = world.model.lock().retention.last().cloned();
        let compactor = compactor.expect("the lake has all tables");
        Some(Self {
            compactor: compactor.with_retention(retention.unwrap_or_default()),
            world,
            name,
            lake,
            fence,
        })
    }

    fn note(&self, what: &str) {
        let now = self.world.time.micros();
        self.world.trace.note(format_args!("{now} {}: {what}", self.name));
    }

    fn violation(&self, what: &dyn std::fmt::Display) {
        let violation = format!("{}: {what}", self.name);
        self.world.model.lock().violations.push(violation);
    }

    fn is_fenced(&self, error: &CompactError) -> bool {
        let ours = self.fence.as_ref().map(|fence| fence.epoch);
        error
            .later_epoch()
            .is_some_and(|theirs| ours.is_some_and(|ours| ours < theirs))
    }

    /// One of the tasks, if there are any; whether there were.
    async fn pass(&self, random: &mut Random) -> Result<bool, CompactError> {
        if random.chance(30) {
            self.retain(random.chance(50)).await?;
        }
        let tasks = match random.below(4) {
            0 => self.requested(random),
            _ => self.compactor.plan(),
        };
        let nth = random.below(tasks.len() as u64) as usize;
        if let Some(task) = tasks.get(nth) {
            let merged = self.compactor.execute(task, self.fence.as_ref()).await?;
            self.note(&format!("merged, {}: {merged:?}", task.reason));
        }
        if random.chance(30) {
            self.remove_orphans().await?;
        }
        Ok(!tasks.is_empty())
    }

    /// What merges a day as a user asks for it.
    fn requested(&self, random: &mut Random) -> Vec<MergeTask> {
        let events = self.lake.table("events").expect("the lake has it").snapshot();
        let nth = random.below(events.len() as u64) as usize;
        let day = events.files().nth(nth).map(|file| file.partition_date);
        day.map_or_else(Vec::new, |day| self.compactor.plan_day(day))
    }

    async fn remove_orphans(&self) -> Result<(), CompactError> {
        let removed = self.compactor.remove_orphan_segments().await?;
        if removed > 0 {
            self.note(&format!("removed {removed} orphans"));
        }
        Ok(())
    }

    /// Does what retention has planned: all of it, or a part.
    async fn retain(&self, all: bool) -> Result<(), CompactError> {
        let tasks = self.compactor.plan_retention();
        let part = if all { tasks.len() } else { 1 };
        for task in tasks.iter().take(part) {
            let gone = self.compactor.retain(task, self.fence.as_ref()).await?;
            let what = match task {
                RetentionTask::Retire(_) => "retired",
                RetentionTask::Remove(_) => "removed",
                RetentionTask::Rewrite(_) => "rewritten",
            };
            self.note(&format!("{what}, {gone} events are over"));
        }
        Ok(())
    }

    async fn finish(&self) -> Result<(), CompactError> {
        // What is fresh is merged before it is retired.
        for _ in 0..2 {
            self.lake.refresh().await?;
            self.retain(true).await?;
        }
        for merges in 0.. {
            self.lake.refresh().await?;
            let tasks = self.compactor.plan();
            let Some(task) = tasks.first() else { break };
            if merges == LAST_MERGES {
                self.violation(&format!("there is always something to merge: {task:?}"));
                break;
            }
            let merged = self.compactor.execute(task, self.fence.as_ref()).await?;
            self.note(&format!("merged, {}: {merged:?}", task.reason));
        }
        self.remove_orphans().await?;
        for file in self.compactor.merged_files(None) {
            let verified = self.compactor.verify(&file).await?;
            verified
                .differences
                .iter()
                .for_each(|difference| self.violation(difference));
        }
        Ok(())
    }
}
