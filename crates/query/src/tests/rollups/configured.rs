//! Rollups that are made and dropped while events come in and files are merged.

use footfall_lake::Table;
use footfall_model::rollup::{Grain, Rollup, built_in};

use super::*;

/// What is configured, and how it changes.
#[derive(Default)]
pub(in crate::tests) struct Changes {
    revision: u64,
    rollups: Vec<Rollup>,
}

/// Some rollup under this name.
fn some_rollup(random: &mut Random, name: &str, revision: u64) -> Rollup {
    let mut dimensions = ["country", "event_type", "page_path", "is_bot"]
        .map(str::to_owned)
        .to_vec();
    dimensions.retain(|_| random.below(2) == 0);
    let sites = match random.below(3) {
        0 => SiteScope::All,
        1 => only(&["site-1"]),
        _ => only(&["site-0", "site-2", "nobody"]),
    };
    Rollup {
        name: name.to_owned(),
        revision,
        sites,
        grain: [Grain::QuarterHour, Grain::Hour, Grain::Day][random.below(3) as usize],
        per_visitor: random.below(4) == 0,
        ids: Vec::new(),
        dimensions,
        measures: built_in()[0].measures[..1 + random.below(9) as usize].to_vec(),
    }
}

impl Changes {
    /// Makes rollups, drops them, and makes others under their names.
    pub(in crate::tests) async fn change(&mut self, random: &mut Random, rolled: &Rolled, context: &str) {
        for name in ["mine", "order"] {
            if random.below(2) == 0 {
                continue;
            }
            self.revision += 1;
            let before = self.rollups.len();
            self.rollups.retain(|rollup| rollup.name != name);
            if self.rollups.len() == before || random.below(2) == 0 {
                self.rollups.push(some_rollup(random, name, self.revision));
            }
        }
        let set = rolled.lake.set_rollups(self.revision, self.rollups.clone()).await;
        set.unwrap_or_else(|error| panic!("{context}: {error}"));
    }
}

impl Rolled {
    /// Two processes do the same, as far as they get.
    pub(in crate::tests) async fn backfill_some(&self, random: &mut Random, context: &str) {
        let [first, second] = &self.backfills;
        for task in first.plan().iter().take(random.below(4) as usize) {
            let (ours, theirs) = tokio::join!(first.execute(task), second.execute(task));
            ours.and(theirs).unwrap_or_else(|error| panic!("{context}: {error}"));
        }
    }

    pub(in crate::tests) async fn backfill_all(&self) {
        for task in self.backfills[0].plan() {
            self.backfills[0].execute(&task).await.unwrap();
        }
        assert!(self.backfills[0].plan().is_empty());
        let events = self.lake.table("events").unwrap().snapshot();
        for open in self.lake.rollups().iter() {
            let progress = open.progress(&events);
            assert_eq!(progress.covered_rows, progress.rows, "{}", open.rollup.name);
        }
    }

    pub(in crate::tests) async fn set(&self, revision: u64, rollups: Vec<Rollup>) {
        self.lake.set_rollups(revision, rollups).await.unwrap();
    }
}

fn by_country(revision: u64, sites: SiteScope) -> Rollup {
    Rollup {
        name: "by_country".to_owned(),
        revision,
        sites,
        grain: Grain::Hour,
        per_visitor: false,
        ids: Vec::new(),
        dimensions: vec!["country".to_owned()],
        measures: built_in()[0].measures.clone(),
    }
}

async fn with_merged_events() -> Rolled {
    let rolled = rolled(&Policy::default()).await;
    rolled.add(events().crowd(50), 0).await;
    rolled.add(events().site("b").crowd(50), 1).await;
    let [compactor, _] = &rolled.compactors;
    compactor.execute(&compactor.plan_day(20_758)[0], None).await.unwrap();
    rolled
}

const COUNT: &str = "SELECT sum(event_count) FROM by_country";

#[tokio::test(flavor = "multi_thread")]
async fn new_rollup_is_exact_at_once_and_then_read_from_segments() {
    let rolled = with_merged_events().await;
    rolled.set(7, vec![by_country(7, SiteScope::All)]).await;
    let explain = format!("EXPLAIN {COUNT}");
    assert_eq!(value(&rolled.engine, &SiteScope::All, COUNT).await, "100");
    let before = table(&rolled.engine, &SiteScope::All, &explain).await;
    assert!(!before.contains("rollups/by_country-7/"), "{before}");
    let backfill = &rolled.backfills[0];
    let tasks = backfill.plan();
    assert_eq!(tasks.len(), 1);
    backfill.execute(&tasks[0]).await.unwrap();
    assert!(backfill.plan().is_empty());
    assert_eq!(value(&rolled.engine, &SiteScope::All, COUNT).await, "100");
    let after = table(&rolled.engine, &SiteScope::All, &explain).await;
    assert!(
        after.contains("rollups/by_country-7/") && !after.contains(" events/"),
        "{after}"
    );
    let covered = "SELECT covered_rows FROM system.coverage WHERE table_name = 'by_country'";
    assert_eq!(value(&rolled.engine, &SiteScope::All, covered).await, "100");
    // A merge keeps its segments with those of all others.
    rolled.add(events().at("2026-11-01 23:00").crowd(5), 2).await;
    let [compactor, _] = &rolled.compactors;
    compactor.execute(&compactor.plan_day(20_758)[0], None).await.unwrap();
    assert!(rolled.backfills[0].plan().is_empty());
    assert_eq!(value(&rolled.engine, &SiteScope::All, COUNT).await, "105");
    let open = rolled.lake.rollups();
    assert_eq!(
        open[0].table.snapshot().files().count(),
        1,
        "that of the merged file went with it"
    );
    let verified = compactor.verify(&compactor.merged_files(None)[0]).await.unwrap();
    assert_eq!(
        (verified.segments, verified.differences.len()),
        (built_in().len() + 2, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn segment_is_used_once_if_two_compactors_made_it() {
    let rolled = with_merged_events().await;
    rolled.set(7, vec![by_country(7, SiteScope::All)]).await;
    let task = rolled.backfills[0].plan().remove(0);
    for backfill in &rolled.backfills {
        backfill.execute(&task).await.unwrap();
    }
    assert_eq!(rolled.lake.rollups()[0].table.snapshot().files().count(), 2);
    assert_eq!(value(&rolled.engine, &SiteScope::All, COUNT).await, "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_a_file_that_is_gone_are_not_kept() {
    let rolled = with_merged_events().await;
    rolled.set(7, vec![by_country(7, SiteScope::All)]).await;
    let task = rolled.backfills[0].plan().remove(0);
    rolled.add(events().at("2026-11-01 23:00").crowd(5), 2).await;
    // The merge knows of no rollup, as that of a process which has not heard of it.
    let [compactor, _] = &rolled.compactors;
    rolled.set(8, Vec::new()).await;
    compactor.execute(&compactor.plan_day(20_758)[0], None).await.unwrap();
    rolled.set(9, vec![by_country(9, SiteScope::All)]).await;
    let error = rolled.backfills[0].execute(&task).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(value(&rolled.engine, &SiteScope::All, COUNT).await, "105");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_rollup_is_gone_and_its_name_is_free() {
    let rolled = with_merged_events().await;
    rolled.set(7, vec![by_country(7, SiteScope::All)]).await;
    rolled.backfill_all().await;
    let described = rolled.engine.describe(&SiteScope::All, COUNT).await.unwrap();
    rolled.set(8, Vec::new()).await;
    let gone = rolled.engine.execute(&SiteScope::All, COUNT, &[]).await.err().unwrap();
    assert!(gone.to_string().contains("not found"), "{gone}");
    // What was described before runs over what it was described over.
    let pinned = rolled
        .engine
        .execute_at(&SiteScope::All, COUNT, &[], Some(described.version))
        .await;
    assert!(pinned.is_ok());
    let other = Rollup {
        dimensions: vec!["device".to_owned()],
        ..by_country(9, SiteScope::All)
    };
    rolled.set(9, vec![other]).await;
    assert_eq!(value(&rolled.engine, &SiteScope::All, COUNT).await, "100");
    let plan = table(&rolled.engine, &SiteScope::All, &format!("EXPLAIN {COUNT}")).await;
    assert!(
        !plan.contains("rollups/by_country-7/"),
        "segments of another definition: {plan}"
    );
    // An older set, from a slow look-up, changes nothing.
    rolled.set(7, vec![by_country(7, SiteScope::All)]).await;
    assert_eq!(rolled.lake.rollups()[0].rollup.revision, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollup_of_some_sites_shows_no_other_site() {
    let rolled = with_merged_events().await;
    rolled.set(7, vec![by_country(7, only(&["b", "secret"]))]).await;
    for _ in 0..2 {
        assert_eq!(value(&rolled.engine, &SiteScope::All, COUNT).await, "50");
        assert_eq!(value(&rolled.engine, &only(&["b"]), COUNT).await, "50");
        assert_eq!(value(&rolled.engine, &only(&["a", "b"]), COUNT).await, "50");
        let plan = table(&rolled.engine, &only(&["a", "b"]), &format!("EXPLAIN VERBOSE {COUNT}")).await;
        assert!(!plan.contains("secret"), "{plan}");
        let all = "SELECT sum(unique_users), sum(sessions) FROM by_country";
        let of_events =
            "SELECT count(DISTINCT client_id) AS u, count(DISTINCT client_id) AS s FROM events WHERE tracking_id = 'b'";
        let rows = |text: String| text.lines().nth(3).map(|row| row.replace(' ', ""));
        assert_eq!(
            rows(table(&rolled.engine, &SiteScope::All, all).await),
            rows(table(&rolled.engine, &SiteScope::All, of_events).await)
        );
        rolled.backfill_all().await;
    }
    // For a reader of other sites, it is not there.
    let other = only(&["a"]);
    let refused = rolled.engine.execute(&other, COUNT, &[]).await.err().unwrap();
    let missing = COUNT.replace("by_country", "no_country");
    let missing = rolled.engine.execute(&other, &missing, &[]).await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        missing.to_string().replace("no_country", "by_country")
    );
    let named = |scope: &SiteScope| rolled.engine.tables(scope).iter().any(|info| info.name == "by_country");
    assert!(!named(&other) && named(&SiteScope::All) && named(&only(&["b"])));
    let listed = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'by_country'";
    assert_eq!(value(&rolled.engine, &other, listed).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_process_reads_the_same_segments() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let one = Rolled::over(Arc::clone(&store), &Policy::default()).await;
    one.add(events().crowd(50), 0).await;
    let [compactor, _] = &one.compactors;
    compactor.execute(&compactor.plan_day(20_758)[0], None).await.unwrap();
    let other = Rolled::over(store, &Policy::default()).await;
    for process in [&one, &other] {
        process.set(7, vec![by_country(7, SiteScope::All)]).await;
    }
    one.backfill_all().await;
    other.lake.refresh().await.unwrap();
    let tables: Vec<Arc<Table>> = other.lake.tables().collect();
    assert!(
        tables
            .iter()
            .any(|table| table.spec().folder() == "rollups/by_country-7")
    );
    let plan = table(&other.engine, &SiteScope::All, &format!("EXPLAIN {COUNT}")).await;
    assert!(plan.contains("rollups/by_country-7/"), "{plan}");
    assert_eq!(value(&other.engine, &SiteScope::All, COUNT).await, "50");
    assert!(other.backfills[0].plan().is_empty());
}
