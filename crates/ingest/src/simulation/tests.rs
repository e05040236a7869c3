//! The histories that `make test` runs, and proof that the simulation repeats itself and can fail.

use super::campaign::{Property, Seeds};
use super::events;
use super::evidence::{Added, Evidence, Row, Version};
use super::fault_profile::FaultProfile;
use super::history::{History, Step};
use super::invariants::{self, Failure};
use super::random::Random;
use super::run::Simulation;
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
fn random_flips_of_a_bit_cost_what_is_told_and_nothing_else() {
    FLIPPED_BITS.check(Seeds::from_environment(20));
}

/// The lake goes away in the middle of the history, so that the log holds something, of which a bit is flipped.
fn with_a_flipped_bit(history: &History, trace: &Trace) -> Result<(), Failure> {
    let mut simulation = Simulation::new(history.seed, trace.clone());
    let mut random = Random::new(history.seed ^ 0xF11B);
    let away = random.below(history.steps.len() as u64 + 1) as usize;
    for (nth, step) in history.steps.iter().enumerate() {
        if nth == away {
            simulation.carry_out(&Step::Lake(FaultProfile::Away))?;
        }
        simulation.carry_out(step)?;
    }
    simulation.pass(10_000)?;
    simulation.end(super::history::Power::Stays);
    let disk = simulation.world.disk.clone();
    let names = disk.segments();
    if let Some(name) = names.get(random.below(names.len() as u64) as usize) {
        let bits = disk.contents(name).len() as u64 * 8;
        disk.flip(name, random.below(bits) as usize);
        let report = verify_on(&disk).map_err(|error| Failure::new("a_flipped_bit_is_told", error.to_string()))?;
        if report.is_sound() && report.torn_bytes == 0 {
            return Err(Failure::new("a_flipped_bit_is_told", format!("{report:?}")));
        }
    }
    simulation.tampered = true;
    simulation.drain()?;
    invariants::check_all(&simulation.evidence())
}

#[test]
fn the_same_seed_is_the_same_history() {
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

/// Evidence of a history in which all went well: events 1 and 2, in two versions.
fn sound() -> Evidence {
    let row = |number| {
        let event = events::event(number, 0);
        Row {
            tracking_id: event.tracking_id,
            event_id: event.event_id,
            event_timestamp: event.event_timestamp,
        }
    };
    let version = |number: u64, event| Version {
        number,
        positions: vec![("log".into(), number.cast_signed())],
        added: vec![Added {
            path: format!("file-{number}"),
            rows: 1,
            found: Ok(vec![row(event)]),
        }],
    };
    let mut evidence = Evidence {
        versions: vec![Version::default(), version(1, 1), version(2, 2)],
        snapshot: (2, [("file-1".into(), 1), ("file-2".into(), 1)].into()),
        app_id: "log".into(),
        committed: Some(2),
        last: 2,
        ..Evidence::default()
    };
    for event in [1, 2] {
        evidence.known.possible.insert(event);
        evidence.known.acknowledge(event.into(), &[event]);
    }
    evidence
}

#[test]
fn each_invariant_is_broken_by_what_it_is_there_for() {
    assert_eq!(invariants::check_all(&sound()), Ok(()));
    type Breaking = fn(&mut Evidence);
    let broken: [(&str, Breaking); 13] = [
        ("every_version_is_whole", |e| {
            e.versions.remove(1);
        }),
        ("every_version_is_whole", |e| e.versions[1].added[0].rows = 2),
        ("every_version_is_whole", |e| {
            e.versions[1].added[0].found = Err("not found".into());
        }),
        ("every_version_is_whole", |e| {
            let added = e.versions[1].added[0].clone();
            e.versions[2].added.push(added);
        }),
        ("the_newest_snapshot_is_all_versions", |e| {
            e.snapshot.1.remove("file-1");
        }),
        ("the_newest_snapshot_is_all_versions", |e| e.snapshot.0 = 1),
        ("positions_only_grow", |e| e.versions[2].positions[0].1 = 1),
        ("every_acknowledged_event_is_there", |e| e.known.acknowledge(3, &[3])),
        ("no_event_is_there_twice", |e| {
            e.versions[2].added[0].found = e.versions[1].added[0].found.clone();
            e.known.acknowledged.clear();
        }),
        ("nothing_is_there_that_was_not_taken_in", |e| {
            e.known.possible.remove(&2);
        }),
        ("the_lake_has_the_whole_log", |e| e.last = 3),
        ("strangers_keep_what_they_committed", |e| {
            e.known.foreign_writers.insert(9);
        }),
        ("nobody_saw_what_must_not_happen", |e| e.known.acknowledge(2, &[1])),
    ];
    for (name, breaks) in broken {
        let mut evidence = sound();
        breaks(&mut evidence);
        let failure = invariants::check_all(&evidence).expect_err(name);
        assert_eq!(failure.invariant, name);
    }
    for (name, _) in invariants::ALL {
        assert!(
            broken.iter().any(|(broken, _)| *broken == name),
            "{name} was never seen to fail"
        );
    }
}

#[test]
fn a_record_that_a_reader_was_told_is_lost_may_be_missing_and_no_other() {
    let mut evidence = sound();
    evidence.known.acknowledge(3, &[3]);
    evidence.known.lost.push((3, 4));
    assert_eq!(invariants::every_acknowledged_event_is_there(&evidence), Ok(()));
    evidence.known.acknowledge(4, &[4]);
    assert!(invariants::every_acknowledged_event_is_there(&evidence).is_err());
}

#[test]
fn a_failing_history_is_shortened_to_what_fails() {
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
