use footfall_lake::{ColumnStatistics, Origin};
use footfall_model::table::events;
use object_store::path::Path;
use proptest::prelude::*;

use super::*;

fn policy(days: i64, sites: &[(&str, i64)]) -> RetentionPolicy {
    RetentionPolicy {
        keep: days * DAY,
        sites: sites
            .iter()
            .map(|(site, days)| ((*site).to_owned(), days * DAY))
            .collect(),
        rollups: 2 * days * DAY,
    }
}

fn file(name: &str, event_date: i32, sites: Option<(&str, &str)>, tags: &[(&str, &str)]) -> DataFile {
    let unknown = ColumnStatistics::default();
    let site = sites.map(|(first, last)| ColumnStatistics::exact(StatValue::text(first), StatValue::text(last), 0));
    let statistics = events().statistics_columns().map(|column| match column {
        SITE_COLUMN => site.clone().unwrap_or_default(),
        _ => unknown.clone(),
    });
    DataFile {
        path: Path::from(format!("events/event_date=x/{name}.parquet")),
        size: 1,
        rows: Some(1),
        written_at: 0,
        partition_date: event_date,
        statistics: statistics.collect(),
        origin: Origin::Compaction,
        tags: tags
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn planned(files: Vec<DataFile>, policy: &RetentionPolicy, now: Micros) -> Vec<String> {
    let snapshot = Snapshot::new(Arc::clone(events()), 1, files);
    let name = |file: &FileState| {
        file.path
            .filename()
            .unwrap_or_default()
            .trim_end_matches(".parquet")
            .to_owned()
    };
    let names = |files: &[FileState]| files.iter().map(name).collect::<Vec<_>>().join(" ");
    let line = |task| match task {
        RetentionTask::Remove(files) => format!("remove {}", names(&files)),
        RetentionTask::Retire(files) => format!("retire {}", names(&files)),
        RetentionTask::Rewrite(task) => format!(
            "rewrite {}{}",
            names(&task.inputs),
            if task.is_final { ", final" } else { "" }
        ),
    };
    let damaged = Path::from("events/event_date=x/damaged.parquet");
    plan(&snapshot, &[damaged], policy, now).into_iter().map(line).collect()
}

#[test]
fn day_is_kept_until_its_last_event_is_too_old() {
    assert!(!is_over(100, 10 * DAY, 111 * DAY - 1));
    assert!(is_over(100, 10 * DAY, 111 * DAY));
    assert!(!is_over(0, RetentionPolicy::default().keep, 100_000 * DAY));
}

#[test]
fn days_are_retired_then_removed_and_others_rewritten() {
    let policy = policy(100, &[("m", 10), ("z", 200)]);
    let fresh = |name| DataFile {
        origin: Origin::Wal,
        ..file(name, 150, Some(("a", "b")), &[])
    };
    let files = vec![
        file("rollups-over", 0, Some(("a", "z")), &[]),
        file("rollups-over-retired", 0, None, &[("stage", "retired")]),
        file("merged", 150, Some(("n", "z")), &[]),
        file("merged-with-m", 150, Some(("a", "z")), &[]),
        file("is-retired", 150, None, &[("stage", "retired")]),
        fresh("fresh"),
        fresh("fresh-too"),
        fresh("damaged"),
        file("has-m", 250, Some(("a", "n")), &[]),
        file("has-m-final", 250, Some(("m", "m")), &[("stage", "final")]),
        file("beside", 250, Some(("n", "z")), &[]),
        file("unknown", 250, None, &[]),
        file("young", 295, Some(("a", "z")), &[]),
    ];
    let expected = [
        "remove rollups-over rollups-over-retired damaged",
        "retire merged",
        "rewrite merged-with-m",
        "rewrite fresh fresh-too",
        "rewrite has-m",
        "rewrite has-m-final, final",
        "rewrite unknown",
    ];
    assert_eq!(planned(files, &policy, 300 * DAY), expected);
}

#[test]
fn rewritten_file_is_not_due_until_another_site_expires() {
    let both = policy(100, &[("a", 10), ("m", 20)]);
    let digest = |policy: &RetentionPolicy, day, now| policy.expired_sites(day, now).unwrap().digest();
    let first = digest(&both, 50, 61 * DAY);
    let done = || vec![file("x", 50, Some(("a", "z")), &[(RETENTION, &first)])];
    assert!(planned(done(), &both, 61 * DAY).is_empty());
    assert_eq!(planned(done(), &both, 71 * DAY), ["rewrite x"]);
    assert_ne!(first, digest(&both, 50, 71 * DAY));
}

#[test]
fn many_files_are_removed_in_batches() {
    let files = (0..2_500)
        .map(|nth| file(&nth.to_string(), nth % 7, None, &[]))
        .collect();
    let sizes: Vec<_> = planned(files, &policy(1, &[]), 1_000 * DAY)
        .iter()
        .map(|line| line.split(' ').count() - 1)
        .collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
}

proptest! {
    #[test]
    fn site_expires_by_its_own_time(
        default in 1_i64..50, own in prop::collection::btree_map("[a-e]", 1_i64..50, 0..5), day in 0_i32..60, now in 0_i64..120
    ) {
        let own: Vec<_> = own.iter().map(|(site, days)| (site.as_str(), *days)).collect();
        let policy = policy(default, &own);
        let expired = policy.expired_sites(day, now * DAY);
        for site in ["a", "b", "c", "d", "e", "other"] {
            let keep = own.iter().find(|(name, _)| *name == site).map(|(_, days)| *days);
            let is_over = keep.is_some_and(|keep| i64::from(day) + 1 + keep <= now);
            let found = expired.as_ref().is_some_and(|sites| {
                sites.contains(site) && sites.may_be_in(site, site) && sites.may_be_in("", "zz")
            });
            prop_assert_eq!(found, is_over, "{}", site);
        }
    }
}
