//! The progress bar: first of the bytes that are read, then of the days that are compared with the lake.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::Ordering;

use footfall_ingest::import::Progress;
use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Bar {
    bar: ProgressBar,
    is_comparing: bool,
}

impl Bar {
    pub(super) fn new(path: &Path, size: u64) -> anyhow::Result<Self> {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(size),
            false => ProgressBar::hidden(),
        };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let style = style("{prefix} [{bar:30}] {bytes}/{total_bytes} {msg} {eta}")?;
        Ok(Self {
            bar: bar.with_style(style).with_prefix(name.into_owned()),
            is_comparing: false,
        })
    }

    pub(super) fn show(&mut self, progress: &Progress) -> anyhow::Result<()> {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let days = read(&progress.days);
        if days == 0 {
            self.bar.set_position(read(&progress.bytes_read));
            self.bar.set_message(format!("{} rows", read(&progress.rows_read)));
            return Ok(());
        }
        if !self.is_comparing {
            self.is_comparing = true;
            self.bar
                .set_style(style("{prefix} [{bar:30}] {pos}/{len} {msg} {eta}")?);
            self.bar.set_message("days compared with the lake");
            self.bar.reset();
        }
        self.bar.set_length(days);
        self.bar.set_position(read(&progress.days_compared));
        Ok(())
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> anyhow::Result<ProgressStyle> {
    Ok(ProgressStyle::with_template(template)?.progress_chars("=> "))
}
