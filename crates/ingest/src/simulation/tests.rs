//! The histories that `make test` runs, and proof that the simulation is deterministic and its invariants can fail.

use footfall_lake::{ColumnStatistics, DataFile, Origin, StatValue};
use footfall_model::clock::DAY;

use super::campaign::{Property, Seeds};
use super::compactor::{self, Lease};
use super::events;
use super::fault_profile::FaultProfile;
use super::history::{History, Step};
use super::invariants::{self, Violation};
use super::outcome::{Added, Contents, Outcome, Row, Seen, Version, VersionKind};
use super::random::Random;
use super::run::Simulation;
use super::segments::{Segment, SegmentVersion, count};
use super::shrink::shrink;
use super::trace::Trace;
use crate::wal::verify_on;

const HISTORIES: Property = Property {
    name: "histories",
    draw: History::draw,
    holds: Simulation::run,
};

const FLIPPED_BITS: Property = Property {
    name: "flipped bits",
    draw: History::calm,
    holds: with_a_flipped_bit,
};

#[test]
fn random_histories_lose_and_double_nothing() {
    HISTORIES.check(Seeds::from_environment(150));
}

#[test]
fn random_bit_flips_lose_only_reported_records() {
    FLIPPED_BITS.check(Seeds::from_environment(20));
}

/// What must happen in at least one of a few histories, as it appears in their traces.
const COVERED: [&[&str]; 17] = [
    &["compactor", "merged, fresh files"],
    &["compactor", "merged, enough small files"],
    &["compactor", "merged, the day is over"],
    &["compactor", "merged, late events of a closed day"],
    &["compactor", "merged, requested"],
    &["compactor", "no answer"],
    &["last compactor: removed", "orphans"],
    &["staged too long"],
    &["compactor", "retired, "],
    &["compactor", "removed, "],
    &["compactor", "rewritten, "],
    &["compactor", "conflict"],
    &["compactor", "stale lease"],
    &["KillCompactors"],
    &["loader", "version"],
    &["deleter", "version"],
    &["restater", "version"],
];

#[test]
fn histories_cover_all_that_compactors_and_foreign_writers_do() {
    let mut seen = [0; COVERED.len()];
    for seed in 0..300 {
        let trace = Trace::new(true);
        assert_eq!(Simulation::run(&History::draw(seed), &trace), Ok(()), "seed {seed}");
        for line in trace.lines() {
            for (count, words) in seen.iter_mut().zip(COVERED) {
                *count += usize::from(words.iter().all(|word| line.contains(word)));
            }
        }
        if seen.iter().all(|count| *count > 0) {
            return;
        }
    }
    let missing: Vec<_> = seen.iter().zip(COVERED).filter(|(count, _)| **count == 0).collect();
    panic!("{missing:?} of {seen:?}");
}

/// A history in which a compactor is killed after this many polls of a merge with segments of two files before it.
fn killed_compactor(polls: u32) -> History {
    let send = |events: [u32; 4]| Step::Send {
        events: events.to_vec(),
        tries: 3,
    };
    let compact = [Step::Compact(Lease::Taken), Step::Pause(20_000)];
    let sends = [
        send([0, 1, 2, 3]),
        Step::Pause(900),
        send([4, 5, 6, 7]),
        Step::Pause(900),
    ];
    let more = [send([8, 9, 10, 11]), Step::Pause(900)];
    let killed = [
        Step::Compact(Lease::Taken),
        Step::KillCompactors(polls),
        Step::Pause(20_000),
    ];
    History {
        seed: 5,
        steps: sends.into_iter().chain(compact).chain(more).chain(killed).collect(),
    }
}

#[test]
fn compactor_killed_at_any_poll_leaves_nothing_behind() {
    let mut orphans = 0;
    for polls in 0.. {
        let trace = Trace::new(true);
        assert_eq!(
            Simulation::run(&killed_compactor(polls), &trace),
            Ok(()),
            "after {polls} polls"
        );
        let lines = trace.lines();
        let has = |words: &str| lines.iter().any(|line| line.contains(words));
        assert!(has("compactor 1: merged"));
        orphans += usize::from(has("last compactor: removed"));
        if has("compactor 2: ends") {
            assert!(
                orphans > 2,
                "killed between the commits of segments and events: {orphans} times"
            );
            return;
        }
    }
}

/// The lake becomes unreachable in the middle of the history, so that the WAL holds records, of which a bit is flipped.
fn with_a_flipped_bit(history: &History, trace: &Trace) -> Result<(), Violation> {
    let mut simulation = Simulation::new(history.seed, trace.clone());
    let mut random = Random::new(history.seed ^ 0xF11B);
    let away = random.below(history.steps.len() as u64 + 1) as usize;
    for (nth, step) in history.steps.iter().enumerate() {
        if nth == away {
            simulation.execute(&Step::Lake(FaultProfile::Away))?;
        }
        simulation.execute(step)?;
    }
    simulation.pass(10_000)?;
    simulation.end(super::history::Power::Stays);
    let disk = simulation.world.disk.clone();
    let names = disk.segments();
    if let Some(name) = names.get(random.below(names.len() as u64) as usize) {
        let bits = disk.contents(name).len() as u64 * 8;
        disk.flip(name, random.below(bits) as usize);
        let report =
            verify_on(&disk).map_err(|error| Violation::new("a_flipped_bit_is_reported", error.to_string()))?;
        if report.is_sound() && report.torn_bytes == 0 {
            return Err(Violation::new("a_flipped_bit_is_reported", format!("{report:?}")));
        }
    }
    simulation.tampered = true;
    simulation.drain()?;
    invariants::check_all(&simulation.outcome())
}

#[test]
fn same_seed_gives_same_history() {
    for seed in 0..4 {
        let run = || {
            let trace = Trace::new(true);
            let _ = Simulation::run(&History::draw(seed), &trace);
            trace
        };
        let (once, again) = (run(), run());
        if once.digest() != again.digest() {
            let (once, again) = (once.lines(), again.lines());
            let differs = once.iter().zip(&again).position(|(a, b)| a != b);
            let from = differs.unwrap_or(0).saturating_sub(3);
            panic!(
                "seed {seed} differs:\n{:#?}\n{:#?}",
                once.iter().skip(from).take(6).collect::<Vec<_>>(),
                again.iter().skip(from).take(6).collect::<Vec<_>>()
            );
        }
        assert!(once.digest().0 > 20, "something happens");
    }
}

fn row(number: u32) -> Row {
    let event = events::event(number, 0);
    Row {
        tracking_id: event.tracking_id,
        event_id: event.event_id,
        event_timestamp: event.event_timestamp,
        digest: 0,
    }
}

/// The column that has statistics here is the number of the event.
fn statistics(min: u32, max: u32) -> ColumnStatistics {
    ColumnStatistics::exact(StatValue::Int64(min.into()), StatValue::Int64(max.into()), 0)
}

fn added(name: &str, events: &[u32]) -> Added {
    Added {
        path: name.to_owned(),
        stage: None,
        rows: events.len() as u64,
        contents: Ok(Contents {
            rows: events.iter().map(|number| row(*number)).collect(),
            statistics: vec![statistics(events[0], events[events.len() - 1])],
        }),
    }
}

fn seen(version: u64, files: &[(&str, &[u32])]) -> Seen {
    let files = files.iter().map(|(name, events)| {
        let file = DataFile {
            path: (*name).into(),
            size: 1,
            rows: Some(events.len() as u64),
            written_at: 0,
            partition_date: 0,
            statistics: [statistics(events[0], events[events.len() - 1])].into(),
            origin: Origin::Wal,
            tags: Vec::new(),
        };
        ((*name).to_owned(), file)
    });
    Seen {
        version,
        files: files.collect(),
    }
}

/// For each table two versions: with the segment of the merged file of these events before that is made, and without it
/// after its removal.
fn segments(events: &[u32]) -> Vec<SegmentVersion> {
    let rows: Vec<_> = events.iter().map(|number| row(*number)).collect();
    let tables = compactor::segment_tables();
    let versions = |number, after| {
        let rows = &rows;
        tables.iter().map(move |table| {
            let mut rollups = compactor::rollups().into_iter();
            let grain = rollups
                .find(|rollup| rollup.folder() == table.folder())
                .map(|found| found.grain);
            let segment = Segment {
                path: format!("{}/merged.parquet", table.folder()),
                covers: "merged".to_owned(),
                counts: grain.map(|grain| (grain, Ok(count(rows, grain)))),
            };
            SegmentVersion {
                folder: table.folder().to_owned(),
                number,
                after,
                removed: (number > 1).then(|| segment.path.clone()).into_iter().collect(),
                added: if number == 1 { vec![segment] } else { Vec::new() },
            }
        })
    };
    versions(1, 4).chain(versions(2, 6)).collect()
}

/// The outcome of a history without faults: events 1 to 3 in as many versions, the first two merged under a lease, one
/// of them deleted by another program, and its file added again.
fn sound() -> Outcome {
    let append = |number: u64, event| Version {
        number,
        positions: vec![("log".into(), number.cast_signed())],
        added: vec![added(&format!("file-{number}"), &[event])],
        ..Version::default()
    };
    let merge = Version {
        number: 4,
        kind: VersionKind::Merge,
        epoch: Some(7),
        removed: vec!["file-1".into(), "file-2".into()],
        added: vec![Added {
            stage: Some("merged".into()),
            ..added("merged", &[1, 2])
        }],
        ..Version::default()
    };
    let delete = Version {
        number: 5,
        kind: VersionKind::Delete,
        commit: "delete".into(),
        removed: vec!["merged".into()],
        added: vec![added("rest", &[2])],
        ..Version::default()
    };
    let restate = Version {
        number: 6,
        commit: "restate".into(),
        epoch: Some(7),
        added: vec![added("rest", &[2])],
        ..Version::default()
    };
    let (first, second, third) = (append(1, 1), append(2, 2), append(3, 3));
    let mut outcome = Outcome {
        versions: vec![Version::default(), first, second, third, merge, delete, restate],
        segments: segments(&[1, 2]),
        newest: seen(6, &[("file-3", &[3]), ("rest", &[2])]),
        followed: vec![seen(4, &[("file-3", &[3]), ("merged", &[1, 2])])],
        app_id: "log".into(),
        committed: Some(3),
        last: 3,
        ..Outcome::default()
    };
    outcome.expected.deletions.insert("delete".into());
    outcome.expected.restatements.insert("restate".into());
    for event in [1, 2, 3] {
        outcome.expected.possible.insert(event);
        outcome.expected.acknowledge(event.into(), &[event]);
    }
    outcome
}

#[test]
fn each_invariant_can_fail() {
    assert_eq!(invariants::check_all(&sound()), Ok(()));
    type Breaking = fn(&mut Outcome);
    let broken: &[(&str, Breaking)] = &[
        ("every_version_is_whole", |o| {
            o.versions.remove(1);
        }),
        ("every_version_is_whole", |o| o.versions[1].added[0].rows = 2),
        ("every_version_is_whole", |o| {
            o.versions[1].added[0].contents = Err("not found".into());
        }),
        ("every_version_is_whole", |o| {
            let added = o.versions[1].added[0].clone();
            o.versions[2].added.push(added);
        }),
        ("every_version_is_whole", |o| {
            o.versions[6].removed.push("merged".into())
        }),
        ("every_version_is_whole", |o| o.expected.restatements.clear()),
        ("rows_are_conserved", |o| o.versions[4].added[0] = added("merged", &[1])),
        ("rows_are_conserved", |o| {
            o.versions[4].added[0] = added("merged", &[1, 2, 2])
        }),
        ("rows_are_conserved", |o| {
            o.versions[4].added[0] = added("merged", &[1, 2, 4])
        }),
        ("rows_are_conserved", |o| {
            o.versions[5].added[0] = added("rest", &[2, 4])
        }),
        ("rows_are_conserved", |o| o.versions[5].kind = VersionKind::Append),
        ("rows_are_conserved", |o| o.expected.deletions.clear()),
        ("rows_are_conserved", |o| {
            // The day of the deleted row ends when its time does.
            let end = (events::event(1, 0).event_timestamp.div_euclid(DAY) + 1) * DAY;
            o.expected.deletions.clear();
            o.expected.retention.push(compactor::retention(2, 1, 9));
            o.versions[5].at = end + DAY - 1;
        }),
        ("snapshots_are_their_versions", |o| {
            o.newest.files.remove("file-3");
        }),
        ("snapshots_are_their_versions", |o| o.newest.version = 1),
        ("snapshots_are_their_versions", |o| o.followed[0].version = 3),
        ("statistics_are_true", |o| {
            o.newest.files.get_mut("rest").unwrap().statistics[0].max = Some(StatValue::Int64(1));
        }),
        ("statistics_are_true", |o| {
            o.followed[0].files.get_mut("merged").unwrap().statistics[0].null_count = Some(1);
        }),
        ("statistics_are_true", |o| {
            o.followed[0].files.get_mut("merged").unwrap().rows = Some(1);
        }),
        ("positions_only_grow", |o| o.versions[2].positions[0].1 = 1),
        ("fences_are_respected", |o| o.versions[6].epoch = Some(6)),
        ("every_acknowledged_event_is_there", |o| o.expected.acknowledge(4, &[4])),
        ("no_event_is_there_twice", |o| {
            o.versions[2].added[0] = added("file-2", &[1])
        }),
        ("nothing_is_there_that_was_not_taken_in", |o| {
            o.expected.possible.remove(&2);
        }),
        ("the_lake_has_the_whole_log", |o| o.last = 4),
        ("foreign_rows_are_kept", |o| {
            o.expected.foreign_committed.insert(9);
        }),
        ("segments_are_there_before_their_events", |o| {
            o.segments.remove(0);
        }),
        ("segments_are_there_before_their_events", |o| o.segments[2].after = 5),
        ("segments_go_after_their_events", |o| o.segments[3].after = 5),
        ("segments_go_after_their_events", |o| {
            let again = o.segments[5].clone();
            o.segments.push(again);
        }),
        ("views_count_every_event_once", |o| o.segments = segments(&[1, 2, 2])),
        ("views_count_every_event_once", |o| o.segments = segments(&[2])),
        ("no_segment_is_left_over", |o| {
            o.segments.pop();
        }),
        ("nobody_saw_what_must_not_happen", |o| o.expected.acknowledge(2, &[1])),
    ];
    for (name, breaks) in broken {
        let mut outcome = sound();
        breaks(&mut outcome);
        let holds = invariants::ALL.iter().find(|(known, _)| known == name).expect(name).1;
        assert!(holds(&outcome).is_err(), "{name}");
    }
    for (name, _) in invariants::ALL {
        assert!(
            broken.iter().any(|(broken, _)| broken == name),
            "{name} was never seen to fail"
        );
    }
}

#[test]
fn rows_may_go_when_their_time_is_over() {
    let mut outcome = sound();
    outcome.expected.deletions.clear();
    outcome.expected.retention.push(compactor::retention(2, 1, 9));
    let end = (events::event(1, 0).event_timestamp.div_euclid(DAY) + 1) * DAY;
    outcome.versions[5].at = end + DAY;
    assert_eq!(invariants::check_all(&outcome), Ok(()));
}

#[test]
fn only_reported_records_may_be_missing() {
    let mut outcome = sound();
    outcome.expected.acknowledge(4, &[4]);
    outcome.expected.lost.push((4, 5));
    assert_eq!(invariants::every_acknowledged_event_is_there(&outcome), Ok(()));
    outcome.expected.acknowledge(5, &[5]);
    assert!(invariants::every_acknowledged_event_is_there(&outcome).is_err());
}

#[test]
fn failing_history_is_shortened() {
    let drawn = (0..)
        .map(History::draw)
        .find(|history| history.steps.len() > 30)
        .unwrap();
    let sends = |history: &History, wanted: u32| {
        let mut steps = history.steps.iter();
        steps.any(|step| matches!(step, Step::Send { events, .. } if events.contains(&wanted)))
    };
    let shortest = shrink(&drawn, |history| sends(history, 3) && sends(history, 9));
    let events = shortest.steps.iter().map(|step| match step {
        Step::Send { events, tries: 1 } => events.len(),
        other => panic!("{other:?} is of no use"),
    });
    assert_eq!(events.sum::<usize>(), 2, "{shortest}");
}
