//! Compactors are killed, frozen and thawed; the last one cleans up.

use footfall_lake::MAX_STAGED;
use footfall_model::clock::HOUR;

use super::{Simulation, TIMEOUT};
use crate::simulation::compactor;
use crate::simulation::invariants::Violation;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopCompactors {
    Kill,
    /// For this many milliseconds.
    Freeze(u64),
}

impl Simulation {
    /// A compactor was polled.
    pub(super) fn stop_compactors(&mut self) {
        match &mut self.stop_compactors {
            Some((left @ 1.., _)) => *left -= 1,
            Some((_, StopCompactors::Kill)) => {
                self.compactors.drain(..).for_each(|task| self.executor.kill(task));
                self.stop_compactors = None;
            }
            Some((_, StopCompactors::Freeze(millis))) => {
                let thaws = self.world.time.micros() + *millis * 1_000;
                for task in self.compactors.drain(..) {
                    self.executor.freeze(task);
                    self.frozen.push((thaws, task));
                }
                self.stop_compactors = None;
            }
            None => {}
        }
    }

    pub(super) fn thaw_compactors(&mut self, now: u64) {
        for (_, task) in self.frozen.extract_if(.., |(thaws, _)| *thaws <= now) {
            self.executor.thaw(task);
            self.compactors.push(task);
        }
    }

    /// If there were compactors: when none of their commits can arrive any more, a last one merges all that is left and
    /// removes what the others have left behind.
    pub(super) fn clean_up(&mut self) -> Result<(), Violation> {
        if !self.compacted {
            return Ok(());
        }
        self.start_at = u64::MAX;
        self.pass(((MAX_STAGED + 2 * HOUR) / 1_000).cast_unsigned())?;
        self.spawn_client(compactor::finish(self.world.clone()));
        match self.pass_until(TIMEOUT, |this| this.clients.iter().all(|id| this.executor.is_done(*id)))? {
            true => Ok(()),
            false => Err(Violation::new(
                "it_comes_to_rest",
                "the last compactor goes on".to_owned(),
            )),
        }
    }
}
