//! The histories that `make test` runs, and proof that the simulation is deterministic and its invariants can fail.

mod invariants;

use super::campaign::{Property, Seeds};
use super::compactor::Lease;
use super::fault_profile::FaultProfile;
use super::history::{History, Step};
use super::invariants::{Violation, check_all};
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
fn random_bit_flips_lose_only_reported_records() {
    FLIPPED_BITS.check(Seeds::from_environment(20));
}

/// What must happen in at least one of a few histories, as it appears in their traces.
const COVERED: [&[&str]; 18] = [
    &["compactor", "merged, ", "files_written: 3"],
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
        if has("compactor 2: merged") {
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
    check_all(&simulation.outcome())
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
