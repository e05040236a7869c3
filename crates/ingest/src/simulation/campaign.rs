//! Runs many histories and reports those that fail.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::history::{History, Step};
use super::invariants::Violation;
use super::shrink::shrink;
use super::trace::Trace;

/// A kind of history: how it is generated, run and judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) draw: fn(u64) -> History,
    pub(super) holds: fn(&History, &Trace) -> Result<(), Violation>,
}

/// The seeds to run, and whether to report progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeds {
    first: u64,
    count: u64,
    progress: bool,
}

impl Seeds {
    /// `SEEDS` histories from `SEED` on; `count` from 0 on if the environment sets neither.
    pub(super) fn from_environment(count: u64) -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
            Some(
                text.parse()
                    .unwrap_or_else(|_| panic!("{name} must be a number, it is {text:?}")),
            )
        };
        let asked = number("SEEDS");
        Self {
            first: number("SEED").unwrap_or(0),
            count: asked.unwrap_or(count),
            progress: asked.is_some(),
        }
    }
}

/// A failing history, and the shortest one that it was reduced to.
struct FailingHistory {
    property: &'static str,
    drawn: History,
    shortest: History,
    failure: Violation,
}

impl Property {
    pub(super) fn failure(&self, history: &History) -> Option<Violation> {
        let trace = Trace::new(false);
        match catch_unwind(AssertUnwindSafe(|| (self.holds)(history, &trace))) {
            Ok(held) => held.err(),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Some(Violation::new("nothing_panics", text.unwrap_or_default()))
            }
        }
    }

    /// Runs all seeds on all processors. Panics with the shortest failing history if there is one.
    pub(super) fn check(&self, seeds: Seeds) {
        let next = AtomicU64::new(0);
        let found: Mutex<Option<(u64, Violation)>> = Mutex::new(None);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let nth = next.fetch_add(1, Ordering::Relaxed);
                        if nth >= seeds.count || found.lock().is_some() {
                            return;
                        }
                        let seed = seeds.first + nth;
                        if let Some(failure) = self.failure(&(self.draw)(seed)) {
                            found.lock().get_or_insert((seed, failure));
                        }
                        self.report_progress(seeds, nth + 1);
                    }
                });
            }
        });
        if let Some((seed, _)) = found.into_inner() {
            panic!("{}", self.shortest(seed));
        }
    }

    fn report_progress(&self, seeds: Seeds, done: u64) {
        let every = (seeds.count / 20).max(1);
        if seeds.progress && (done.is_multiple_of(every) || done == seeds.count) {
            eprintln!("{}: {done} of {} histories", self.name, seeds.count);
        }
    }

    fn shortest(&self, seed: u64) -> FailingHistory {
        let drawn = (self.draw)(seed);
        let first = self.failure(&drawn).expect("the same seed is the same history");
        let shortest = shrink(&drawn, |history| {
            self.failure(history)
                .is_some_and(|failure| failure.invariant == first.invariant)
        });
        let failure = self.failure(&shortest).expect("the same history ends the same way");
        FailingHistory {
            property: self.name,
            drawn,
            shortest,
            failure,
        }
    }
}

impl fmt::Display for FailingHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            property,
            drawn,
            shortest,
            failure,
        } = self;
        writeln!(f, "{property}: seed {} breaks {failure}", drawn.seed)?;
        let (steps, all) = (shortest.steps.len(), drawn.steps.len());
        writeln!(
            f,
            "the shortest history that does so, {steps} of {all} steps, for a test of its own:\n"
        )?;
        writeln!(f, "{shortest}\nrun it again: SEED={} make simulate SEEDS=1", drawn.seed)
    }
}

/// Formats the history as Rust code.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "History {{\n    seed: {},\n    steps: vec![", self.seed)?;
        for step in &self.steps {
            match step {
                Step::Send { events, tries } => {
                    writeln!(f, "        Send {{ events: vec!{events:?}, tries: {tries} }},")?
                }
                other => writeln!(f, "        {other:?},")?,
            }
        }
        writeln!(f, "    ],\n}}")
    }
}
