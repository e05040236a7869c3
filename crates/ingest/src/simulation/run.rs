//! Executes a history step by step, and then drains it.

mod compactors;
mod life;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use footfall_lake::Snapshot;
use futures::executor::block_on;

use super::compactor;
use super::disk::{Faults, SimDisk};
use super::executor::{Executor, ExecutorTurn, TaskId, Time};
use super::fault_profile::{FaultProfile, LATE};
use super::foreign_writer;
use super::history::{History, Power, Step};
use super::invariants::{self, Violation};
use super::model::Model;
use super::outcome::Outcome;
use super::process::{Ids, Process, World};
use super::random::Random;
use super::sender::{self, Endpoint};
use super::store::SimStore;
use super::trace::Trace;
use crate::wal::Position;
use compactors::StopCompactors;

/// Milliseconds after which a thawed zombie is killed.
const ZOMBIE_LIVES: u64 = 30_000;

/// Milliseconds within which an orderly shutdown must end, and all senders must have their replies.
const TIMEOUT: u64 = 30 * 60 * 1_000;

/// Polls without an advance of the clock after which the simulation counts as a livelock.
const MAX_POLLS: u64 = 100_000;

/// A frozen process that another one has replaced.
struct Zombie {
    process: Process,
    thaws: u64,
    ends: u64,
}

/// The result of an orderly shutdown.
#[derive(Debug, PartialEq, Eq)]
enum Shutdown {
    Clean,
    /// The writer gave up, or a crash came first.
    Otherwise,
}

pub(super) struct Simulation {
    pub(super) world: World,
    executor: Executor,
    endpoint: Endpoint,
    process: Option<Process>,
    zombies: Vec<Zombie>,
    clients: Vec<TaskId>,
    compactors: Vec<TaskId>,
    /// The running compactors stop after this many more polls.
    stop_compactors: Option<(u32, StopCompactors)>,
    /// Compactors that do not run before this moment.
    frozen: Vec<(u64, TaskId)>,
    /// Whether there was one.
    compacted: bool,
    /// Number of other programs so far.
    others: u32,
    random: Random,
    /// The last snapshots of processes that have ended.
    followed: Vec<Snapshot>,
    /// The process crashes after this many more polls.
    crash: Option<(u32, Power)>,
    /// Whether the machine fails too when the process dies in a disk change.
    dying: Power,
    start_at: u64,
    started: u64,
    /// Whether there was a second writer of the same WAL.
    rivals: bool,
    /// Bits of the WAL were flipped: damage is expected.
    pub(super) tampered: bool,
    /// The WAL's id and last position at its last orderly shutdown.
    stopped: (u128, Position),
}

impl Simulation {
    pub(super) fn new(seed: u64, trace: Trace) -> Self {
        let mut random = Random::new(seed ^ 0x5EED);
        let time = Time::default();
        let store = SimStore::new(Random::new(random.next()), time.clone(), trace.clone());
        let world = World {
            time: time.clone(),
            disk: SimDisk::new(random.next()),
            store,
            ids: Arc::new(Ids::default()),
            model: Model::default(),
            trace: trace.clone(),
            slow_disk: Arc::new(AtomicU64::new(0)),
            epochs: Arc::new(AtomicI64::new(1)),
        };
        Self {
            world,
            executor: Executor::new(time, Random::new(random.next()), trace),
            endpoint: Endpoint::default(),
            process: None,
            zombies: Vec::new(),
            clients: Vec::new(),
            compactors: Vec::new(),
            stop_compactors: None,
            frozen: Vec::new(),
            compacted: false,
            others: 0,
            random: Random::new(random.next()),
            followed: Vec::new(),
            crash: None,
            dying: Power::Stays,
            start_at: 0,
            started: 0,
            rivals: false,
            tampered: false,
            stopped: (0, 0),
        }
    }

    /// Runs the whole history, drains it, and checks the invariants.
    pub(super) fn run(history: &History, trace: &Trace) -> Result<(), Violation> {
        let mut simulation = Self::new(history.seed, trace.clone());
        for step in &history.steps {
            simulation.execute(step)?;
        }
        simulation.drain()?;
        invariants::check_all(&simulation.outcome())
    }

    pub(super) fn execute(&mut self, step: &Step) -> Result<(), Violation> {
        let World { disk, store, trace, .. } = self.world.clone();
        trace.note(format_args!("{} {step:?}", self.world.time.micros()));
        self.advance_processes()?;
        match step {
            Step::Send { events, tries } => self.send(events, *tries),
            Step::Pause(millis) => self.pass(*millis)?,
            Step::Crash(polls, power) => self.crash = self.crash.or(Some((*polls, *power))),
            Step::DieInDisk(changes, power) => {
                self.dying = *power;
                disk.set(|faults| faults.fuse = Some(*changes));
            }
            Step::Restart => {
                self.stop()?;
            }
            Step::FailSyncs(times) => disk.set(|faults| faults.fail_syncs = *times),
            Step::FailDirSync => disk.set(|faults| faults.fail_dir_syncs = 1),
            Step::FailTruncate => disk.set(|faults| faults.fail_truncates = 1),
            Step::DiskFull(more) => {
                let used = disk.used();
                disk.set(|faults| faults.space = Some(used + more));
            }
            Step::DiskFree => disk.set(|faults| faults.space = None),
            Step::SlowDisk(millis) => self.world.slow_disk.store(*millis, Ordering::Relaxed),
            Step::Lake(fault_profile) => store.set(*fault_profile),
            Step::LoseReplies(commits) => store.lose_replies(*commits),
            Step::Zombie(millis) => self.zombie(*millis),
            Step::Rival => self.rival(),
            Step::ForeignAppend(..)
            | Step::ForeignDelete
            | Step::ForeignRestate
            | Step::Compact(_)
            | Step::RemoveOrphans
            | Step::Vacuum => self.change_files(step),
            Step::Retention(all, site, rollups) => {
                let policy = compactor::retention(*all, *site, *rollups);
                self.world.model.lock().retention.push(policy);
            }
            Step::KillCompactors(polls) => self.stop_compactors = Some((*polls, StopCompactors::Kill)),
            Step::FreezeCompactors(polls, millis) => {
                self.stop_compactors = Some((*polls, StopCompactors::Freeze(*millis)));
            }
            Step::Checkpoint => self.checkpoint(),
            Step::Refresh => self.refresh(),
        }
        Ok(())
    }

    fn send(&mut self, events: &[u32], tries: u32) {
        let World { time, model, trace, .. } = self.world.clone();
        let sender = sender::send(events.to_vec(), tries, self.endpoint.clone(), time, model, trace);
        let id = self.executor.spawn("sender".to_owned(), sender);
        self.clients.push(id);
    }

    /// What other programs do to the table's files.
    fn change_files(&mut self, step: &Step) {
        let world = self.world.clone();
        self.others += 1;
        let nth = self.others;
        let random = Random::new(self.random.next());
        match step {
            Step::ForeignAppend(load, rows) => self.spawn_client(foreign_writer::append(world, nth, *load, *rows)),
            Step::ForeignDelete => self.spawn_client(foreign_writer::delete(world, nth, random)),
            Step::ForeignRestate => self.spawn_client(foreign_writer::restate(world, nth, random)),
            Step::Compact(lease) => {
                self.spawn_client(compactor::compact(world, nth, *lease, random));
                self.compactors.extend(self.clients.last());
                self.compacted = true;
            }
            Step::RemoveOrphans => {
                self.spawn_client(compactor::remove_orphans(world, nth, random));
                self.compactors.extend(self.clients.last());
            }
            Step::Vacuum => world.store.vacuum(),
            _ => {}
        }
    }

    fn spawn_client(&mut self, task: impl Future<Output = ()> + 'static) {
        let id = self.executor.spawn(format!("client {}", self.others), task);
        self.clients.push(id);
    }

    /// Lets this much time pass, whatever happens meanwhile.
    pub(super) fn pass(&mut self, millis: u64) -> Result<(), Violation> {
        self.pass_until(millis, |_| false).map(|_| ())
    }

    /// The same until `done`; false if that was not reached.
    fn pass_until(&mut self, millis: u64, done: impl Fn(&Self) -> bool) -> Result<bool, Violation> {
        let end = self.world.time.micros() + millis * 1_000;
        let mut polls = 0;
        while !done(self) {
            self.advance_processes()?;
            let now = self.world.time.micros();
            match self.executor.turn(end.min(self.next_event(now))) {
                ExecutorTurn::Polled(id) => {
                    polls += 1;
                    self.polled(id)?;
                }
                ExecutorTurn::Advanced => polls = 0,
                ExecutorTurn::Rest if self.world.time.micros() >= end => return Ok(done(self)),
                ExecutorTurn::Rest => {}
            }
            if polls > MAX_POLLS {
                return Err(Violation::new(
                    "it_comes_to_rest",
                    "work goes on without end".to_owned(),
                ));
            }
        }
        Ok(true)
    }

    /// The next moment at which [`Self::advance_processes`] has something to do.
    fn next_event(&self, now: u64) -> u64 {
        let zombies = self.zombies.iter().flat_map(|zombie| [zombie.thaws, zombie.ends]);
        let frozen = self.frozen.iter().map(|(thaws, _)| *thaws);
        let start = self.process.is_none().then_some(self.start_at);
        zombies
            .chain(frozen)
            .chain(start)
            .filter(|at| *at > now)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Starts processes that are due, thaws and kills zombies, handles a writer that gave up.
    fn advance_processes(&mut self) -> Result<(), Violation> {
        let now = self.world.time.micros();
        self.thaw_compactors(now);
        for zombie in &self.zombies {
            if zombie.thaws <= now {
                self.executor.thaw(zombie.process.writer);
            }
        }
        let (over, alive) = std::mem::take(&mut self.zombies)
            .into_iter()
            .partition::<Vec<_>, _>(|zombie| zombie.ends <= now);
        self.zombies = alive;
        over.into_iter().for_each(|zombie| self.discard(zombie.process));
        if self.process.is_none() && self.start_at <= now {
            self.start()?;
        }
        let ending = self.process.as_ref().map(|process| Arc::clone(&process.ending));
        let ended = ending.and_then(|ending| ending.lock().take_if(|ended| ended.is_err()));
        if let Some(Err(error)) = ended {
            self.accept(&error)?;
            self.end(Power::Stays);
            self.start_at = now + 1_000_000;
        }
        Ok(())
    }

    fn polled(&mut self, id: TaskId) -> Result<(), Violation> {
        if self.world.disk.is_dead() {
            self.end(self.dying);
        } else if self
            .process
            .as_ref()
            .is_some_and(|process| process.tasks().any(|task| task == id))
        {
            match &mut self.crash {
                Some((0, power)) => {
                    let power = *power;
                    self.crash = None;
                    self.end(power);
                }
                Some((left, _)) => *left -= 1,
                None => {}
            }
        } else if self.compactors.contains(&id) {
            self.stop_compactors();
        }
        self.advance_processes()
    }

    fn checkpoint(&self) {
        let table = self.process.as_ref().and_then(|process| process.table.lock().clone());
        if let Some(table) = table {
            let written = block_on(table.checkpoint());
            self.world.trace.note(format_args!("checkpoint: {}", written.is_ok()));
        }
    }

    fn refresh(&mut self) {
        let Some(process) = &mut self.process else { return };
        let table = process.table.lock().clone();
        if let Some(table) = table {
            let refresh = async move { drop(table.refresh().await) };
            process.others.push(self.executor.spawn("refresh".to_owned(), refresh));
        }
    }

    /// Ends all faults: every sender gets its reply, and the WAL is written to the lake.
    pub(super) fn drain(&mut self) -> Result<(), Violation> {
        self.world
            .trace
            .note(format_args!("{} drain", self.world.time.micros()));
        self.world.disk.set(|faults| *faults = Faults::default());
        self.world.slow_disk.store(0, Ordering::Relaxed);
        self.world.store.set(FaultProfile::Calm);
        self.world.store.lose_replies(0);
        // Zombies end, and timed-out requests take effect.
        self.pass(LATE / 1_000 + ZOMBIE_LIVES + 1_000)?;
        (self.crash, self.stop_compactors) = (None, None);
        self.thaw_compactors(u64::MAX);
        for zombie in std::mem::take(&mut self.zombies) {
            self.discard(zombie.process);
        }
        if let Some(process) = &mut self.process {
            process.others.drain(..).for_each(|task| self.executor.kill(task));
        }
        if !self.pass_until(TIMEOUT, |this| this.clients.iter().all(|id| this.executor.is_done(*id)))? {
            return Err(Violation::new(
                "everybody_gets_an_answer",
                "a sender waits in vain".to_owned(),
            ));
        }
        for _ in 0..4 {
            self.pass_until(TIMEOUT, |this| this.process.is_some())?;
            if self.stop()? == Shutdown::Clean {
                return self.clean_up();
            }
        }
        Err(Violation::new("it_comes_to_rest", "no writer could finish".to_owned()))
    }

    pub(super) fn outcome(&self) -> Outcome {
        Outcome::of(&self.world, self.stopped, &self.followed)
    }
}
