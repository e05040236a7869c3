//! Random histories: flushes with late and repeated events, merges of two compactors, of which one has lost its lease,
//! retention of a site, and a crash of the process at any change of the store. At every point the views equal the events,
//! and these a simple model: the set of the events that came.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use footfall_compactor::{CompactError, Compactor, MergeTask, RetentionPolicy};
use footfall_lake::Fence;
use footfall_model::access::SiteScope;

use super::*;
use crate::testing::table;
use crate::tests::rollups::{Random, random_events};

/// The site whose time is over, whatever the machine's clock says.
const EXPIRED: &str = "site-2";

fn retention() -> RetentionPolicy {
    RetentionPolicy {
        sites: [(EXPIRED.to_owned(), -100_000 * footfall_model::clock::DAY)].into(),
        ..RetentionPolicy::default()
    }
}

fn lease(epoch: i64) -> Fence {
    Fence {
        app_id: "footfall-compactor-00".to_owned(),
        epoch,
    }
}

struct History {
    memory: Arc<InMemory>,
    random: Random,
    /// The events that came, each once, but those of the expired site.
    model: BTreeSet<String>,
    /// The newest epoch of the lease.
    epoch: i64,
    /// The newest that has been seen in the table.
    seen: i64,
    merges: u32,
    conflicts: u32,
    fenced: u32,
    crashes: u32,
}

impl History {
    /// A process over the store as it is.
    async fn process(&self) -> Rolled {
        Rolled::over(Arc::<InMemory>::clone(&self.memory), &small_merges()).await
    }

    async fn flush(&mut self, step: i64) {
        let events = random_events(&mut self.random);
        let batch = events.batch();
        let text = |name| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (sites, ids) = (text("tracking_id"), text("event_id"));
        for (site, id) in sites.iter().zip(&ids).filter(|(site, _)| *site != Some(EXPIRED)) {
            self.model.insert(format!("{} {}", site.unwrap(), id.unwrap()));
        }
        self.process().await.add(events, step).await;
    }

    /// Two compactors in one process, which may crash.
    async fn compact(&mut self, crashes: bool) {
        let store = CrashingStore::new(&self.memory, self.random.below(2) == 0);
        let process = Rolled::over(Arc::<CrashingStore>::clone(&store), &small_merges()).await;
        let [first, second] = process.compactors;
        let first = first.with_retention(retention());
        if crashes {
            let changes = self.random.below(40);
            store.left.store(changes.cast_signed(), Ordering::SeqCst);
        }
        let day = DAY + i32::try_from(self.random.below(3)).unwrap();
        let tasks = match self.random.below(3) {
            0 => first.plan(),
            _ => first.plan_day(day),
        };
        self.epoch += 1;
        for task in &tasks {
            self.merge(&first, &second, task).await;
        }
        for task in first.plan_retention() {
            if self.random.below(2) == 0 {
                // What it can't do, the next one does.
                let _ = first.retain(&task, Some(&lease(self.epoch))).await;
            }
        }
        self.crashes += u32::from(store.check().is_err());
    }

    /// One compactor has the lease, the other had it before.
    async fn merge(&mut self, first: &Compactor, second: &Compactor, task: &MergeTask) {
        let (ours, theirs) = (self.epoch, self.epoch - 1 - self.random.below(2).cast_signed());
        if self.random.below(2) == 0 {
            let lost = second.execute(task, Some(&lease(theirs))).await;
            self.check(lost.map(drop), theirs);
        }
        let (held, lost) = (lease(ours), lease(theirs));
        let (held, lost) = tokio::join!(first.execute(task, Some(&held)), second.execute(task, Some(&lost)));
        assert!(held.is_err() || lost.is_err(), "both have merged the same files");
        self.check(lost.map(drop), theirs);
        self.check(held.map(drop), ours);
    }

    /// Once a lease was seen in the table, nobody merges under an older one.
    fn check(&mut self, merged: Result<(), CompactError>, epoch: i64) {
        match merged {
            Ok(()) => {
                assert!(epoch >= self.seen, "the lease is lost");
                self.seen = epoch;
                self.merges += 1;
            }
            Err(error) => {
                self.conflicts += u32::from(error.is_conflict());
                self.fenced += u32::from(error.later_epoch().is_some());
            }
        }
    }

    /// What a process sees that begins now.
    async fn assert_sound(&self, context: &str) {
        let process = self.process().await;
        process.assert_views_equal_events(&SiteScope::All, context).await;
        process.assert_sessions_equal(context).await;
        process.assert_totals_equal_events(context).await;
        let ids = format!(
            "SELECT DISTINCT tracking_id || ' ' || event_id AS id FROM events WHERE tracking_id <> '{EXPIRED}' ORDER BY id"
        );
        let ids = table(&process.engine, &SiteScope::All, &ids).await;
        let found: BTreeSet<_> = ids.lines().filter(|line| line.contains("site-")).collect();
        let found: BTreeSet<_> = found
            .into_iter()
            .map(|line| line.trim_matches(['|', ' ']).to_owned())
            .collect();
        assert_eq!(found, self.model, "{context}");
    }

    /// Merges everything, and does all that retention wants.
    async fn finish(&self) {
        let process = self.process().await;
        let [first, _] = process.compactors;
        let first = first.with_retention(retention());
        for task in first.plan_retention() {
            first.retain(&task, None).await.unwrap();
        }
        for day in DAY..DAY + 3 {
            for task in first.plan_day(day) {
                first.execute(&task, None).await.unwrap();
            }
        }
        for file in first.merged_files(None) {
            assert_eq!(first.verify(&file).await.unwrap().differences, [""; 0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn views_equal_events_after_crashes_retention_and_lost_leases() {
    // How often two merges meet depends on the threads: histories follow until everything has happened often enough.
    let often = |seen: &[u32; 4]| seen.iter().all(|count| *count > 2);
    let mut seen = [0; 4];
    for seed in 0..12 {
        if seed >= 3 && often(&seen) {
            break;
        }
        let mut history = History {
            memory: Arc::new(InMemory::new()),
            random: Random(seed),
            model: BTreeSet::new(),
            epoch: 2,
            seen: 0,
            merges: 0,
            conflicts: 0,
            fenced: 0,
            crashes: 0,
        };
        for step in 0..5 {
            history.flush(step * 1_000_000).await;
            let crash = history.random.below(4) > 0;
            history.compact(crash).await;
            history.assert_sound(&format!("seed {seed}, step {step}")).await;
        }
        history.finish().await;
        history.assert_sound(&format!("seed {seed}, at the end")).await;
        assert_eq!(
            history.process().await.count().await,
            history.model.len() as u64,
            "seed {seed}: each event once"
        );
        let History {
            merges,
            conflicts,
            fenced,
            crashes,
            ..
        } = history;
        let counts = [merges, conflicts, fenced, crashes];
        seen.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
    }
    assert!(
        often(&seen),
        "too few merges, conflicts, lost leases or crashes: {seen:?}"
    );
}
