use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const SECOND: Micros = 1_000_000;

fn file(name: u64, bytes: u64, written_at: Micros) -> FileState {
    FileState {
        path: Path::from(format!("event_date=1970-01-01/events-{name}.parquet")),
        event_date: 0,
        rows: bytes / 40,
        bytes,
        written_at,
        stage: Stage::Fresh,
        imported_at: None,
    }
}

fn names(task: &MergeTask) -> Vec<&str> {
    let name = |file: &FileState| file.path.filename().map(str::to_owned);
    assert!(task.inputs.iter().all(|file| name(file).is_some()));
    task.inputs.iter().filter_map(|file| file.path.filename()).collect()
}

fn stage(task: &MergeTask) -> Stage {
    if task.is_final { Stage::Final } else { Stage::Merged }
}

#[test]
fn fresh_files_merge_after_a_minute() {
    let files: Vec<_> = (0..30).map(|n| file(n, MIB, n as Micros * 2 * SECOND)).collect();
    let policy = Policy::default();
    assert_eq!(plan(&files, &policy, 59 * SECOND), []);
    let [task] = &plan(&files, &policy, 60 * SECOND)[..] else {
        panic!("one task")
    };
    assert_eq!(
        (task.reason, task.inputs.len(), task.is_final),
        (MergeReason::Fresh, 30, false)
    );
    assert_eq!(names(task)[0], "events-0.parquet");
}

#[test]
fn few_tiny_fresh_files_are_not_merged() {
    let files: Vec<_> = (0..127).map(|n| file(n, 1_000, 0)).collect();
    assert_eq!(plan(&files, &Policy::default(), 3_600 * SECOND), []);
}

#[test]
fn large_import_is_merged_alone() {
    let [task] = &plan(&[file(1, 300 * MIB, 0)], &Policy::default(), 60 * SECOND)[..] else {
        panic!("one task")
    };
    assert_eq!((task.reason, task.inputs.len()), (MergeReason::Fresh, 1));
}

#[test]
fn small_and_medium_files_do_not_mix() {
    let merged = |n, bytes| FileState {
        stage: Stage::Merged,
        ..file(n, bytes, 0)
    };
    let mut files: Vec<_> = (0..63).map(|n| merged(n, 2 * MIB)).collect();
    files.extend((63..103).map(|n| merged(n, 40 * MIB)));
    assert_eq!(plan(&files, &Policy::default(), 3_600 * SECOND), []);
    files.push(merged(120, 3 * MIB));
    let [task] = &plan(&files, &Policy::default(), 3_600 * SECOND)[..] else {
        panic!("one task")
    };
    assert_eq!((task.reason, task.inputs.len()), (MergeReason::Small, 64));
}

#[test]
fn closed_day_is_finalized_once() {
    let now = DAY + 2 * 3_600 * SECOND;
    let mut files = vec![file(1, 300 * MIB, SECOND), file(2, 1_000, 2 * SECOND)];
    files[0].stage = Stage::Merged;
    assert_eq!(plan(&files, &Policy::default(), now - 1), []);
    let [task] = &plan(&files, &Policy::default(), now)[..] else {
        panic!("one task")
    };
    assert_eq!((task.reason, task.is_final), (MergeReason::ClosedDay, true));
    for file in &mut files {
        file.stage = Stage::Final;
    }
    assert_eq!(plan(&files, &Policy::default(), now), []);
}

#[test]
fn single_file_of_closed_day_gets_segments_if_it_is_large() {
    let now = DAY + 2 * 3_600 * SECOND;
    let reasons = |file: FileState| {
        plan(&[file], &Policy::default(), now)
            .iter()
            .map(|t| t.reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(file(1, 300 * MIB, 0)), [MergeReason::ClosedDay]);
    assert_eq!(reasons(file(1, 1_000, 0)), []);
    let merged = FileState {
        stage: Stage::Merged,
        ..file(1, 300 * MIB, 0)
    };
    assert_eq!(reasons(merged), []);
}

#[test]
fn late_events_delay_rewrite_of_closed_day() {
    let policy = Policy::default();
    let now = 10 * DAY;
    let day = FileState {
        stage: Stage::Final,
        ..file(1, 300 * MIB, 2 * DAY)
    };
    let late = |bytes, age| file(2, bytes, now - age);
    assert_eq!(plan(&[day.clone(), late(MIB, 3_600 * SECOND)], &policy, now), []);
    let reasons = |files: &[FileState]| plan(files, &policy, now).iter().map(|t| t.reason).collect::<Vec<_>>();
    assert_eq!(reasons(&[day.clone(), late(MIB, policy.late_age)]), [MergeReason::Late]);
    assert_eq!(reasons(&[day, late(40 * MIB, SECOND)]), [MergeReason::Late]);
}

#[test]
fn backlog_of_100_000_small_files_drains() {
    let policy = Policy::default();
    let mut files: Vec<_> = (0..100_000).map(|n| file(n, 10_000, n as Micros)).collect();
    let mut rounds = 0;
    loop {
        let now = 30 * DAY;
        let tasks = plan(&files, &policy, now);
        if tasks.is_empty() {
            break;
        }
        rounds += 1;
        let merged: HashSet<_> = tasks
            .iter()
            .flat_map(|task| &task.inputs)
            .map(|file| &file.path)
            .collect();
        files.retain(|file| !merged.contains(&file.path));
        for (nth, task) in tasks.iter().enumerate() {
            assert!(task.inputs.len() <= policy.max_inputs && task.inputs.len() > 1);
            files.push(FileState {
                stage: stage(task),
                ..file(1_000_000 * rounds + nth as u64, task.bytes(), now)
            });
        }
        assert!(rounds < 10, "{} files left", files.len());
    }
    assert!(
        files.len() <= 4 && files.iter().all(|file| file.stage == Stage::Final),
        "{files:?}"
    );
}

#[test]
fn closed_day_of_1_000_large_files_is_reduced_to_runs_and_then_closed() {
    let policy = Policy::default();
    let large = |n| FileState {
        stage: Stage::Merged,
        ..file(n, 200 * MIB, n as Micros)
    };
    let (mut files, mut next, mut written) = ((0..1_000).map(large).collect::<Vec<_>>(), 0, 0);
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    for round in 0.. {
        let tasks = plan(&files, &policy, 30 * DAY + round);
        if tasks.is_empty() {
            break;
        }
        for task in tasks {
            let inputs: Vec<_> = task.inputs.iter().collect();
            let held = runs(&inputs).map(|run| run.iter().map(|file| file.row_group_bytes()).max().unwrap());
            assert!(held.sum::<u64>() <= policy.input_bytes);
            written += carry_out(&mut files, &task, &policy, 30 * DAY + round, &mut next);
        }
        assert!(round < 4, "{} files left", files.len());
    }
    assert!(files.iter().all(|file| file.stage == Stage::Final));
    assert_eq!(written, 2 * total, "each event is rewritten twice");
}

#[test]
fn task_is_bounded_by_row_groups_and_full_ones_do_not_wait() {
    let policy = Policy::default();
    let medium = |n| FileState {
        stage: Stage::Merged,
        ..file(n, 64 * MIB, n as Micros)
    };
    let files: Vec<_> = (0..60).map(medium).collect();
    let [task] = &plan(&files, &policy, 3_600 * SECOND)[..] else {
        panic!("one task")
    };
    assert_eq!((task.reason, task.inputs.len()), (MergeReason::Medium, 49));
    let two = Policy {
        input_bytes: 1,
        ..policy
    };
    assert!(
        plan(&files, &two, 3_600 * SECOND)
            .iter()
            .all(|task| task.inputs.len() == 2)
    );
}

#[test]
fn files_of_one_merge_are_one_run() {
    let named = |name: &str, stage| FileState {
        path: Path::from(format!("event_date=1970-01-01/{name}.parquet")),
        stage,
        ..file(0, MIB, 0)
    };
    let (one, two) = ("0".repeat(31) + "a", "0".repeat(31) + "b");
    let files = [
        named(&format!("{one}-00000"), Stage::Merged),
        named(&format!("{one}-00002"), Stage::Merged),
        named(&format!("{two}-00003"), Stage::Merged),
        named(&format!("{two}-00004"), Stage::Fresh),
        named(&format!("{two}-00005"), Stage::Fresh),
        named("part-0", Stage::Merged),
        named("part-1", Stage::Merged),
    ];
    let files: Vec<_> = files.iter().collect();
    let lengths: Vec<_> = runs(&files).map(<[_]>::len).collect();
    assert_eq!(lengths, [2, 1, 1, 1, 1, 1]);
}

#[test]
fn recent_imports_merge_only_with_one_another() {
    let policy = Policy::default();
    let imported = |n, at| FileState {
        imported_at: Some(at),
        ..file(n, 20 * MIB, at)
    };
    let files = [
        file(1, 2 * MIB, 0),
        imported(2, 0),
        file(3, 2 * MIB, 0),
        imported(4, SECOND),
    ];
    let merges = |files: &[FileState], now| {
        let tasks = plan(files, &policy, now);
        let merges = tasks.iter().map(|task| {
            (
                names(task).join(" ").replace("events-", "").replace(".parquet", ""),
                task.is_final,
            )
        });
        let mut merges: Vec<_> = merges.collect();
        merges.sort();
        merges
    };
    let apart = [("1 3".to_owned(), false), ("2 4".to_owned(), false)];
    assert_eq!(merges(&files, 3_600 * SECOND), apart);
    let requested = plan_requested(&files, 0, &policy, 3_600 * SECOND);
    assert_eq!(
        requested.iter().map(|task| task.inputs.len()).collect::<Vec<_>>(),
        [2, 2]
    );
    // The day of a late import is over, but closes when its rows are no longer recent.
    let late = |file: &FileState| FileState {
        written_at: file.written_at + 3 * DAY,
        imported_at: file.imported_at.map(|at| at + 3 * DAY),
        ..file.clone()
    };
    let late: Vec<_> = files.iter().map(late).collect();
    assert_eq!(merges(&late, 3 * DAY + 3_600 * SECOND), apart);
    assert_eq!(
        merges(&late, 3 * DAY + 7 * 3_600 * SECOND),
        [("1 2 3 4".to_owned(), true)]
    );
    // An import of history is all that its days have.
    let only: Vec<_> = late.iter().filter(|file| file.imported_at.is_some()).cloned().collect();
    assert_eq!(merges(&only, 3 * DAY + 3_600 * SECOND), [("2 4".to_owned(), true)]);
}

/// The `nth` file of a merge.
fn merged(task: &MergeTask, merge: u64, nth: u64, bytes: u64, now: Micros) -> FileState {
    FileState {
        path: Path::from(format!("event_date=1970-01-01/{merge:032x}-{nth:05}.parquet")),
        stage: stage(task),
        ..file(0, bytes, now)
    }
}

/// Executes planned merges, with outputs cut at the target size; returns the bytes written.
fn carry_out(files: &mut Vec<FileState>, task: &MergeTask, policy: &Policy, now: Micros, next: &mut u64) -> u64 {
    files.retain(|file| !task.inputs.contains(file));
    *next += 1;
    let (mut left, mut nth) = (task.bytes(), 0);
    while left > 0 {
        let bytes = if left > policy.target_bytes * 3 / 2 {
            policy.target_bytes
        } else {
            left
        };
        left -= bytes;
        files.push(merged(task, *next, nth, bytes, now));
        nth += 1;
    }
    task.bytes()
}

#[test]
fn flushed_rows_are_written_at_most_four_times() {
    let policy = Policy::default();
    for flush_bytes in [2_000, 8_000, 80_000, 400_000, 1_500_000] {
        let (mut files, mut next, mut ingested, mut written, mut most) = (Vec::new(), 0, 0, 0, 0);
        for now in (0..DAY + 3 * 3_600 * SECOND).step_by(2 * SECOND as usize) {
            if now < DAY {
                next += 1;
                files.push(file(next, flush_bytes, now));
                ingested += flush_bytes;
                written += flush_bytes;
            }
            if now % (10 * SECOND) == 0 {
                for task in plan(&files, &policy, now) {
                    written += carry_out(&mut files, &task, &policy, now, &mut next);
                }
            }
            most = most.max(files.len());
        }
        let amplification = written as f64 / ingested as f64;
        assert!(amplification <= 4.0, "{flush_bytes}: {amplification}");
        assert!(most <= 320, "{flush_bytes}: {most} files at once");
        assert!(files.iter().all(|file| file.stage == Stage::Final), "{flush_bytes}");
    }
}

proptest! {
    #[test]
    fn tasks_are_disjoint(
        sizes in prop::collection::vec((0_u64..500, 0_i32..4, 0_i64..200_000, any::<bool>()), 0..300), now in 0_i64..500_000
    ) {
        let files: Vec<_> = (0..).zip(&sizes).map(|(n, (mib, event_date, at, is_final))| FileState {
            path: Path::from(format!("event_date={event_date}/{n}.parquet")),
            event_date: *event_date,
            stage: if *is_final { Stage::Final } else { Stage::Fresh },
            ..file(n, mib * MIB + 1, at * SECOND)
        }).collect();
        let tasks = plan(&files, &Policy::default(), now * SECOND);
        let mut seen = HashSet::new();
        for task in &tasks {
            prop_assert!(task.inputs.len() > 1 || matches!(task.reason, MergeReason::Late | MergeReason::Fresh | MergeReason::ClosedDay));
            for input in &task.inputs {
                prop_assert_eq!(input.event_date, task.event_date);
                prop_assert!(seen.insert(input.path.clone()));
            }
        }
    }
}
