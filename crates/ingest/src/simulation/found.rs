//! Histories that once failed, each as short as it was found, and what was wrong.

use super::campaign::Property;
use super::history::Power::Fails;
use super::history::Step::*;
use super::history::{History, Step};
use super::simulation::Simulation;
use super::store::Weather::Stale;

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

/// The position was read at an older version than the table stood at.
#[test]
fn a_stale_list_took_the_position_back() {
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
