//! Histories that once failed, each as short as it was found, with the cause.

use super::campaign::Property;
use super::fault_profile::FaultProfile::{Away, Flaky, Stale, Storm};
use super::foreign_writer::Load;
use super::history::Power::{Fails, Stays};
use super::history::Step::*;
use super::history::{History, Step};
use super::run::Simulation;

fn holds(seed: u64, steps: Vec<Step>) {
    let property = Property {
        name: "a history that once failed",
        draw: History::draw,
        holds: Simulation::run,
    };
    if let Some(failure) = property.failure(&History { seed, steps }) {
        panic!("{failure}");
    }
}

/// The position was read at an older version than the table's.
#[test]
fn stale_list_keeps_position() {
    holds(
        9,
        vec![
            Send {
                events: vec![1],
                tries: 1,
            },
            Send {
                events: vec![3, 4],
                tries: 1,
            },
            Pause(726),
            Send {
                events: vec![16, 18, 22],
                tries: 1,
            },
            Refresh,
            Lake(Stale),
            Pause(883),
            Send {
                events: vec![22, 26, 27, 28, 29],
                tries: 1,
            },
            Pause(4435),
            DieInDisk(0, Fails),
            Send {
                events: vec![30],
                tries: 1,
            },
            Pause(1811),
        ],
    );
}

/// A table that had not been queried before was asleep when the first version with a position was committed.
#[test]
fn rival_commit_during_sleep_is_seen() {
    holds(
        156,
        vec![
            Send {
                events: vec![20],
                tries: 1,
            },
            Pause(88),
            Zombie(93_600_000),
            Pause(86_400_000),
            Pause(7_200_000),
        ],
    );
}

/// A position query while the store failed ended with "the table can't be read", and its caller gave up.
#[test]
fn failing_store_does_not_end_position_query() {
    holds(
        124,
        vec![
            Pause(46),
            Pause(287),
            Send {
                events: vec![11],
                tries: 1,
            },
            Pause(600),
            Lake(Flaky),
            Pause(4),
            ForeignAppend(Load::Import, 4),
            Pause(256),
        ],
    );
    holds(254, vec![Lake(Storm), Pause(853), Restart]);
}

/// After more than two days without the store, the writer gave up at its first commit: the file was stored too long ago.
#[test]
fn files_are_stored_again_after_days_without_store() {
    holds(
        174,
        vec![
            Pause(47),
            Lake(Away),
            Send {
                events: vec![13],
                tries: 1,
            },
            Pause(180_000_000),
        ],
    );
}

/// Not a fault, but how one becomes visible: the page cache shows a record that is not on the disk, and a sync reports
/// success for it. A restart that built upon it would lose what comes after.
#[test]
fn record_only_in_page_cache_is_not_built_upon() {
    for seed in 0..6 {
        holds(
            seed,
            vec![
                Send {
                    events: vec![1],
                    tries: 1,
                },
                Pause(50),
                FailTruncate,
                FailSyncs(1),
                Send {
                    events: vec![2, 3],
                    tries: 1,
                },
                Pause(2),
                Crash(0, Stays),
                Pause(5),
                Send {
                    events: vec![4],
                    tries: 1,
                },
                Pause(20),
                Crash(0, Fails),
                Pause(500),
            ],
        );
    }
}
