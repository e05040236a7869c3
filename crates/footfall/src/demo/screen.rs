//! Terminal output. With `--once` standard output has only the line of results; progress goes to standard error.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct Screen {
    once: bool,
}

/// A bar on a terminal, else a line per tenth.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: u64,
    done: Mutex<u64>,
}

impl Screen {
    pub(super) fn new(once: bool) -> Self {
        Self { once }
    }

    pub(super) fn say(&self, text: &str) -> anyhow::Result<()> {
        if self.once {
            writeln!(std::io::stderr(), "{text}")?;
        } else {
            writeln!(std::io::stdout(), "{text}")?;
        }
        Ok(())
    }

    /// The result of `--once`.
    pub(super) fn result(&self, line: &str) -> anyhow::Result<()> {
        writeln!(std::io::stdout(), "{line}")?;
        Ok(())
    }

    pub(super) fn progress(&self, what: &'static str, total: u64) -> anyhow::Result<Progress> {
        let bar = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{msg} [{bar:40}] {human_pos}/{human_len} {per_sec} {eta}")?;
            Some(
                ProgressBar::new(total)
                    .with_style(style.progress_chars("=> "))
                    .with_message(what),
            )
        } else {
            None
        };
        Ok(Progress {
            bar,
            what,
            total,
            done: Mutex::new(0),
        })
    }
}

impl Progress {
    pub(super) fn advance(&self, by: u64) -> anyhow::Result<()> {
        let mut done = self.done.lock();
        let before = *done;
        *done += by;
        if let Some(bar) = &self.bar {
            bar.set_position((*done).min(self.total));
        } else if let Some(tenth) = tenth_passed(before, *done, self.total) {
            writeln!(
                std::io::stderr(),
                "{}: {} of {} ({}0%)",
                self.what,
                (*done).min(self.total),
                self.total,
                tenth
            )?;
        }
        Ok(())
    }

    /// Progress towards a known total.
    pub(super) fn set(&self, done: u64) -> anyhow::Result<()> {
        let before = *self.done.lock();
        self.advance(done.saturating_sub(before))
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The tenth that was reached between two numbers.
fn tenth_passed(before: u64, after: u64, total: u64) -> Option<u64> {
    let tenth = |done: u64| (u128::from(done.min(total)) * 10 / u128::from(total.max(1))) as u64;
    Some(tenth(after)).filter(|now| *now > tenth(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_prints_line_per_tenth() {
        let lines: Vec<_> = (0..1_000).filter_map(|n| tenth_passed(n, n + 1, 1_000)).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(tenth_passed(0, 1_000, 1_000), Some(10));
        assert_eq!(tenth_passed(1_000, 1_010, 1_000), None);
        assert_eq!(tenth_passed(0, 0, 0), None);
    }
}
