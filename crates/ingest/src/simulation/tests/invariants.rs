//! Each invariant holds of a sound outcome, and can fail.

use footfall_lake::{ColumnStatistics, DataFile, Origin, StatValue};
use footfall_model::clock::DAY;

use crate::simulation::outcome::{Added, Contents, Outcome, Row, Seen, Version, VersionKind};
use crate::simulation::segments::{Segment, SegmentVersion, count};
use crate::simulation::{compactor, events, invariants};

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
