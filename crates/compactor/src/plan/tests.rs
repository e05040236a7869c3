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
        is_final: false,
    }
}

fn names(task: &Task) -> Vec<&str> {
    let name = |file: &FileState| file.path.filename().map(str::to_owned);
    assert!(task.inputs.iter().all(|file| name(file).is_some()));
    task.inputs.iter().filter_map(|file| file.path.filename()).collect()
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
        (Reason::Fresh, 30, false)
    );
    assert_eq!(names(task)[0], "events-0.parquet");
}

#[test]
fn few_small_files_of_today_stay() {
    let files: Vec<_> = (0..7).map(|n| file(n, MIB, 0)).collect();
    assert_eq!(plan(&files, &Policy::default(), 3_600 * SECOND), []);
}

#[test]
fn files_of_different_tiers_do_not_merge() {
    let mut files: Vec<_> = (0..7).map(|n| file(n, MIB, 0)).collect();
    files.extend((7..14).map(|n| file(n, 40 * MIB, 0)));
    assert_eq!(plan(&files, &Policy::default(), 3_600 * SECOND), []);
    files.push(file(14, 41 * MIB, 0));
    let [task] = &plan(&files, &Policy::default(), 3_600 * SECOND)[..] else {
        panic!("one task")
    };
    assert_eq!((task.reason, task.inputs.len()), (Reason::Tier, 8));
}

#[test]
fn closed_day_becomes_final_and_then_rests() {
    let now = DAY + 2 * 3_600 * SECOND;
    let mut files = vec![file(1, 300 * MIB, SECOND), file(2, 5 * MIB, 2 * SECOND)];
    assert_eq!(plan(&files, &Policy::default(), now - 1), []);
    let [task] = &plan(&files, &Policy::default(), now)[..] else {
        panic!("one task")
    };
    assert_eq!((task.reason, task.is_final), (Reason::ClosedDay, true));
    for file in &mut files {
        file.is_final = true;
    }
    assert_eq!(plan(&files, &Policy::default(), now), []);
}

#[test]
fn late_events_wait_for_others_before_a_closed_day_is_rewritten() {
    let policy = Policy::default();
    let now = 10 * DAY;
    let day = FileState {
        is_final: true,
        ..file(1, 300 * MIB, 2 * DAY)
    };
    let late = |bytes, age| file(2, bytes, now - age);
    assert_eq!(plan(&[day.clone(), late(MIB, 3_600 * SECOND)], &policy, now), []);
    let reasons = |files: &[FileState]| plan(files, &policy, now).iter().map(|t| t.reason).collect::<Vec<_>>();
    assert_eq!(reasons(&[day.clone(), late(MIB, policy.late_age)]), [Reason::Late]);
    assert_eq!(reasons(&[day, late(40 * MIB, SECOND)]), [Reason::Late]);
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
                is_final: task.is_final,
                ..file(1_000_000 * rounds + nth as u64, task.bytes(), now)
            });
        }
        assert!(rounds < 10, "{} files left", files.len());
    }
    assert!(files.len() <= 4 && files.iter().all(|file| file.is_final), "{files:?}");
}

/// Merges as planned, with outputs cut at the target size; returns bytes written.
fn carry_out(files: &mut Vec<FileState>, task: &Task, policy: &Policy, now: Micros, next: &mut u64) -> u64 {
    files.retain(|file| !task.inputs.contains(file));
    let mut left = task.bytes();
    while left > 0 {
        let bytes = if left > policy.target_bytes * 3 / 2 {
            policy.target_bytes
        } else {
            left
        };
        left -= bytes;
        *next += 1;
        files.push(FileState {
            is_final: task.is_final,
            ..file(*next, bytes, now)
        });
    }
    task.bytes()
}

#[test]
fn a_day_of_flushes_is_written_at_most_four_times() {
    let policy = Policy::default();
    for flush_bytes in [80_000, 400_000, 1_500_000, 6_000_000] {
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
        assert!(most <= 120, "{flush_bytes}: {most} files at once");
        assert!(files.iter().all(|file| file.is_final), "{flush_bytes}");
    }
}

proptest! {
    #[test]
    fn no_file_is_in_two_tasks_and_none_alone(
        sizes in prop::collection::vec((0_u64..500, 0_i32..4, 0_i64..200_000, any::<bool>()), 0..300), now in 0_i64..500_000
    ) {
        let files: Vec<_> = (0..).zip(&sizes).map(|(n, (mib, event_date, at, is_final))| FileState {
            path: Path::from(format!("event_date={event_date}/{n}.parquet")),
            event_date: *event_date,
            is_final: *is_final,
            ..file(n, mib * MIB + 1, at * SECOND)
        }).collect();
        let tasks = plan(&files, &Policy::default(), now * SECOND);
        let mut seen = HashSet::new();
        for task in &tasks {
            prop_assert!(task.inputs.len() > 1 || task.reason == Reason::Late);
            for input in &task.inputs {
                prop_assert_eq!(input.event_date, task.event_date);
                prop_assert!(seen.insert(input.path.clone()));
            }
        }
    }
}
