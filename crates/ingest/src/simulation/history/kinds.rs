//! Which kinds of steps a history has.

use super::Power;
use crate::simulation::random::Random;

/// What a history may contain: each kind of fault occurs only in some of the histories, so that each also occurs alone.
#[derive(Debug)]
pub(super) struct StepKinds {
    pub(super) crashes: bool,
    pub(super) dying_disk: bool,
    pub(super) power: bool,
    pub(super) disk: bool,
    pub(super) full: bool,
    pub(super) fault_profile: bool,
    pub(super) rivals: bool,
    pub(super) foreign_writers: bool,
    pub(super) duplicates: bool,
    pub(super) hours: bool,
    pub(super) checkpoints: bool,
    pub(super) compactors: bool,
    pub(super) busy_compactors: bool,
    pub(super) large_loads: bool,
    pub(super) deletes: bool,
    pub(super) restatements: bool,
    pub(super) retention: bool,
    pub(super) vacuum: bool,
}

impl StepKinds {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            crashes: random.chance(70),
            dying_disk: random.chance(40),
            power: random.chance(60),
            disk: random.chance(40),
            full: random.chance(25),
            fault_profile: random.chance(60),
            rivals: random.chance(35),
            foreign_writers: random.chance(35),
            duplicates: random.chance(80),
            hours: random.chance(15),
            checkpoints: random.chance(15),
            compactors: random.chance(60),
            busy_compactors: random.chance(50),
            large_loads: random.chance(20),
            deletes: random.chance(20),
            restatements: random.chance(20),
            retention: random.chance(20),
            vacuum: random.chance(40),
        }
    }

    pub(super) fn power(&self, random: &mut Random) -> Power {
        match self.power && random.chance(50) {
            true => Power::Fails,
            false => Power::Stays,
        }
    }
}
