//! The steps of a history, drawn from a seed. They are plain data that prints as Rust code, so that a history can be
//! shortened, and a failing one becomes a test.

mod kinds;

use std::collections::VecDeque;

use super::compactor::Lease;
use super::fault_profile::FaultProfile;
use super::foreign_writer::Load;
use super::random::Random;
use kinds::StepKinds;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// Only the process ends; the page cache survives.
    Stays,
    Fails,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A client sends these events, at most this many times until they are acknowledged.
    Send {
        events: Vec<u32>,
        tries: u32,
    },
    /// Time passes, in milliseconds.
    Pause(u64),
    /// The process ends after this many polls; a new one starts.
    Crash(u32, Power),
    /// The process dies in the middle of a disk change, after this many changes; a new one starts.
    DieInDisk(u64, Power),
    /// The process shuts down in order; a new one starts.
    Restart,
    FailSyncs(u32),
    FailDirSync,
    FailTruncate,
    /// The disk has room for this many more bytes.
    DiskFull(u64),
    DiskFree,
    /// Milliseconds that a turn of the committer takes.
    SlowDisk(u64),
    Lake(FaultProfile),
    /// This many of the next commits of events take effect, at once or later, and are not answered.
    LoseReplies(u32),
    /// The process freezes while a new one starts, and continues after this many milliseconds: two writers.
    Zombie(u64),
    /// A second writer in the same process.
    Rival,
    /// This many rows are added to the table without the WAL.
    ForeignAppend(Load, u32),
    /// Another program deletes a file or some of its rows.
    ForeignDelete,
    /// Another program adds a live file again, with coarser statistics.
    ForeignRestate,
    /// A compactor merges files.
    Compact(Lease),
    /// A compactor removes what others have left, and merges nothing.
    RemoveOrphans,
    /// All running compactors are killed after this many of their polls: at any point.
    KillCompactors(u32),
    /// All running compactors freeze, after this many of their polls, for so many milliseconds.
    FreezeCompactors(u32, u64),
    /// From now on compactors keep events for this many days, those of one site for this many, and rollups for this many.
    Retention(u8, u8, u8),
    /// The files that were removed from the table are deleted.
    Vacuum,
    Checkpoint,
    /// The table follows what others have committed.
    Refresh,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    /// Decides what the steps leave open: which task runs next, which request fails.
    pub(super) seed: u64,
    pub(super) steps: Vec<Step>,
}

/// Maximum number of distinct events of a history: fewer than the writers' window holds, so that none may be stored
/// twice.
const EVENTS: u32 = 90;

/// A duplicate is sent within this time after the first, far less than the window.
const DUPLICATES_WITHIN: u64 = 20 * 60 * 1_000;

/// Rows that alone would fill the window.
const LARGE_LOAD: u32 = 230;

const HOUR: u64 = 3_600_000;

/// About the polls of a compactor that a merge takes.
const MERGE_POLLS: u64 = 40;

struct HistoryBuilder {
    random: Random,
    kinds: StepKinds,
    steps: Vec<Step>,
    now: u64,
    events: u32,
    /// Events that may be sent again, and when they were sent first.
    recent: VecDeque<(u32, u64)>,
    slept: bool,
}

impl History {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let kinds = StepKinds::draw(&mut random);
        let wanted = random.between(6..=36) as usize;
        let mut builder = HistoryBuilder {
            random,
            kinds,
            steps: Vec::new(),
            now: 0,
            events: 0,
            recent: VecDeque::new(),
            slept: false,
        };
        let sleeps = builder
            .random
            .chance(4)
            .then(|| builder.random.below(wanted as u64) as usize);
        if builder.kinds.retention {
            builder.retention();
        }
        while builder.steps.len() < wanted {
            builder.add();
            if sleeps.is_some_and(|at| builder.steps.len() > at) && !builder.slept {
                builder.long_sleep();
            }
        }
        let steps = builder.steps;
        Self { seed, steps }
    }

    /// For flipped bits: only sends, crashes and orderly restarts, so that whatever is missing is missing because of
    /// the flip.
    pub(super) fn calm(seed: u64) -> Self {
        let mut drawn = Self::draw(seed);
        for step in &mut drawn.steps {
            if let Step::Pause(millis) = step {
                *millis = (*millis).min(60_000);
            }
        }
        drawn.steps.retain(|step| {
            matches!(
                step,
                Step::Send { .. } | Step::Pause(_) | Step::Restart | Step::Crash(_, Power::Stays) | Step::Refresh
            )
        });
        drawn
    }
}

impl HistoryBuilder {
    fn add(&mut self) {
        if self.kinds.compactors && self.kinds.busy_compactors && self.random.chance(50) {
            self.compact();
        }
        match self.random.below(100) {
            0..43 => self.send(),
            43..49 => {}
            49..67 => self.trouble(),
            67..74 => self.lake(),
            74..81 => self.others(),
            _ => self.files(),
        }
        self.pause();
    }

    fn send(&mut self) {
        let count = self.random.pick(&[1, 1, 2, 3, 5, 8, 12]);
        let mut events = Vec::new();
        for _ in 0..count {
            let again = self.kinds.duplicates && self.random.chance(25);
            if again && !self.recent.is_empty() {
                // Recent or older.
                let reach = self.recent.len() as u64;
                let back = if self.random.chance(50) { reach.min(6) } else { reach };
                let index = reach - 1 - self.random.below(back);
                events.push(self.recent[index as usize].0);
            } else if self.events < EVENTS {
                events.push(self.events);
                self.recent.push_back((self.events, self.now));
                self.events += 1;
            }
        }
        let tries = self.random.pick(&[1, 1, 3]);
        self.steps.push(Step::Send { events, tries });
    }

    fn pause(&mut self) {
        let millis = match self.random.below(20) {
            0..6 => return,
            6..12 => self.random.between(1..=60),
            12..16 => self.random.between(60..=900),
            16..19 => self.random.between(900..=5_000),
            _ if self.kinds.hours && self.random.chance(50) => self.random.between(2 * HOUR..=8 * HOUR),
            _ => self.random.between(5_000..=90_000),
        };
        self.wait(millis);
    }

    fn wait(&mut self, millis: u64) {
        self.now += millis;
        let oldest = self.now.saturating_sub(DUPLICATES_WITHIN);
        self.recent.retain(|(_, first)| *first >= oldest);
        self.steps.push(Step::Pause(millis));
    }

    fn trouble(&mut self) {
        let Self { random, kinds, .. } = self;
        let step = match random.below(12) {
            0..3 if kinds.crashes => Step::Crash(random.below(40) as u32, kinds.power(random)),
            3..5 if kinds.dying_disk => Step::DieInDisk(random.below(12), kinds.power(random)),
            5 => Step::Restart,
            6 if kinds.disk => Step::FailSyncs(1 + random.below(3) as u32),
            7 if kinds.disk => Step::FailDirSync,
            8 if kinds.disk => Step::FailTruncate,
            9 if kinds.full => Step::DiskFull(random.below(2_000)),
            10 if kinds.full => Step::DiskFree,
            11 if kinds.disk => Step::SlowDisk(random.pick(&[0, 5, 200, 3_000])),
            _ => return,
        };
        self.steps.push(step);
        if self.kinds.power && self.random.chance(30) {
            self.power_failure_after_trouble();
        }
    }

    /// Right after a fault, before much else happens, something is acknowledged and the power fails: what the fault has
    /// left half done must not be built upon.
    fn power_failure_after_trouble(&mut self) {
        if self.kinds.disk && self.random.chance(30) {
            // What the page cache shows now is not on the disk, and no sync will report it.
            self.steps.extend([Step::FailTruncate, Step::FailSyncs(1)]);
            self.send();
            self.wait(2);
            self.steps.push(Step::Crash(0, Power::Stays));
        }
        for _ in 0..self.random.between(1..=3) {
            self.send();
            let moment = self.random.between(1..=120);
            self.wait(moment);
        }
        self.steps.push(Step::Crash(self.random.below(6) as u32, Power::Fails));
        self.wait(1);
    }

    /// A machine is suspended for more than a day; meanwhile another one continues and cleans up the Delta log.
    fn long_sleep(&mut self) {
        self.slept = true;
        self.steps.push(Step::Lake(FaultProfile::Calm));
        self.send();
        let moment = self.random.between(1..=600);
        self.wait(moment);
        self.steps.push(Step::Zombie(28 * HOUR));
        for hours in [1, 25, 3] {
            // Several versions before each checkpoint, so that some can be cleaned away.
            for _ in 0..2 {
                self.send();
                self.wait(2_000);
            }
            self.steps.push(Step::Checkpoint);
            self.wait(hours * HOUR);
        }
    }

    fn retention(&mut self) {
        let random = &mut self.random;
        let (all, site) = (random.pick(&[1, 2, 3, 5]), random.pick(&[1, 2, 3]));
        let rollups = random.pick(&[all, 4, u8::MAX]);
        self.steps.push(Step::Retention(all, site, rollups));
    }

    fn lake(&mut self) {
        use FaultProfile::{Away, Calm, Flaky, Lossy, Shaky, Slow, Stale, Storm};
        if self.kinds.fault_profile {
            let fault_profile = self
                .random
                .pick(&[Calm, Calm, Slow, Flaky, Lossy, Stale, Storm, Shaky, Away]);
            self.steps.push(Step::Lake(fault_profile));
        }
    }

    /// What changes the files of the table beside the writer.
    fn files(&mut self) {
        let Self { random, kinds, .. } = self;
        let step = match random.below(12) {
            0..6 if kinds.compactors && kinds.retention && random.chance(10) => return self.retention(),
            0..6 if kinds.compactors => return self.compact(),
            6 if kinds.compactors => Step::KillCompactors(0),
            7..9 if kinds.vacuum => Step::Vacuum,
            9 if kinds.deletes => Step::ForeignDelete,
            10 if kinds.restatements => Step::ForeignRestate,
            11 if kinds.large_loads => Step::ForeignAppend(random.pick(&[Load::Import, Load::Backfill]), LARGE_LOAD),
            _ => return,
        };
        self.steps.push(step);
    }

    fn compact(&mut self) {
        let random = &mut self.random;
        if self.kinds.fault_profile && random.chance(20) {
            self.steps.push(Step::LoseReplies(random.between(1..=2) as u32));
        } else if self.kinds.fault_profile && random.chance(50) {
            let fault_profile = random.pick(&[FaultProfile::Shaky, FaultProfile::Shaky, FaultProfile::Slow]);
            self.steps.push(Step::Lake(fault_profile));
        }
        let lease = random.pick(&[Lease::Taken, Lease::Taken, Lease::Shared, Lease::Missing]);
        self.steps.push(Step::Compact(lease));
        // Two at once, or some that are killed.
        if random.chance(40) {
            let other = random.pick(&[Lease::Taken, Lease::Shared, Lease::Missing]);
            self.steps.push(Step::Compact(other));
        }
        if random.chance(30) {
            self.steps.push(Step::RemoveOrphans);
        }
        let (killed, frozen) = (random.chance(30), random.chance(8));
        if killed {
            self.steps.push(Step::KillCompactors(random.below(MERGE_POLLS) as u32));
        } else if frozen && !self.slept {
            self.freeze_compactors();
        }
    }

    /// Compactors are suspended in the middle of a merge for as long as others may take for a crash.
    fn freeze_compactors(&mut self) {
        self.slept = true;
        let polls = self.random.below(MERGE_POLLS) as u32;
        self.steps.push(Step::FreezeCompactors(polls, 51 * HOUR));
        for hours in [50, 2] {
            self.send();
            self.wait(hours * HOUR);
            let other = match self.random.chance(60) {
                true => Step::RemoveOrphans,
                false => Step::Compact(Lease::Missing),
            };
            self.steps.push(other);
            self.wait(20_000);
        }
    }

    fn others(&mut self) {
        let Self { random, kinds, .. } = self;
        let step = match random.below(8) {
            0..2 if kinds.rivals => Step::Zombie(random.pick(&[0, 20, 500, 2_500, 10_000, 60_000])),
            2 if kinds.rivals => Step::Rival,
            3..6 if kinds.foreign_writers => Step::ForeignAppend(Load::Import, 1 + random.below(4) as u32),
            6 if kinds.checkpoints => Step::Checkpoint,
            _ => Step::Refresh,
        };
        self.steps.push(step);
    }
}
