//! Finds a short history that still fails, by leaving out steps and events.

use super::history::{History, Step};

/// Maximum number of histories to try.
const TRIES: usize = 800;

/// Leaves out everything without which `fails` still holds.
pub(super) fn shrink(history: &History, fails: impl Fn(&History) -> bool) -> History {
    let mut shrinking = Shrinking {
        best: history.clone(),
        tries: 0,
        fails,
    };
    while shrinking.steps() | shrinking.events() {}
    shrinking.best
}

struct Shrinking<F> {
    best: History,
    tries: usize,
    fails: F,
}

impl<F: Fn(&History) -> bool> Shrinking<F> {
    /// Replaces the history by a shorter one if that fails too.
    fn takes(&mut self, steps: Vec<Step>) -> bool {
        let seed = self.best.seed;
        let shorter = History { seed, steps };
        self.tries += 1;
        let taken = self.tries <= TRIES && (self.fails)(&shorter);
        if taken {
            self.best = shorter;
        }
        taken
    }

    /// Leaves out ranges of steps, long ones first; true if any could be left out.
    fn steps(&mut self) -> bool {
        let mut shorter = false;
        let mut length = self.best.steps.len().div_ceil(2);
        while length > 0 {
            let mut from = 0;
            while from < self.best.steps.len() {
                let mut steps = self.best.steps.clone();
                steps.drain(from..(from + length).min(steps.len()));
                match self.takes(steps) {
                    true => shorter = true,
                    false => from += length,
                }
            }
            length /= 2;
        }
        shorter
    }

    /// Leaves out single events and reduces sends to one attempt each.
    fn events(&mut self) -> bool {
        let mut shorter = false;
        for at in 0..self.best.steps.len() {
            let Step::Send { events, tries } = self.best.steps[at].clone() else {
                continue;
            };
            if tries > 1 {
                shorter |= self.replaces(
                    at,
                    Step::Send {
                        events: events.clone(),
                        tries: 1,
                    },
                );
            }
            for event in events.clone() {
                let Step::Send { events, tries } = self.best.steps[at].clone() else {
                    break;
                };
                let fewer: Vec<u32> = events.iter().copied().filter(|other| *other != event).collect();
                if !fewer.is_empty() {
                    shorter |= self.replaces(at, Step::Send { events: fewer, tries });
                }
            }
        }
        shorter
    }

    fn replaces(&mut self, at: usize, step: Step) -> bool {
        let mut steps = self.best.steps.clone();
        steps[at] = step;
        self.takes(steps)
    }
}
