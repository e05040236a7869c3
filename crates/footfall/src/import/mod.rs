//! `footfall import`: loads files into the lake, with a progress bar and a summary of each file.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use footfall_ingest::enrich::Enricher;
use footfall_ingest::import::{ImportOptions, ImportParts, Progress, Report, import_file};
use footfall_model::clock::{Clock, RandomIds, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::ImportArgs;
use crate::config::Config;

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(200);

/// Imports each file; fails at the first that can't be read. Files before it stay imported.
pub(crate) async fn run(config: Config, args: ImportArgs) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalog = crate::state::open_catalog(&config.state_dir()).await?;
    let sites: BTreeSet<String> = catalog
        .sites()
        .await?
        .into_iter()
        .map(|site| site.tracking_id)
        .collect();
    if sites.is_empty() {
        bail!(
            "there is no site yet whose events could be imported; create one with `footfall site create TRACKING_ID`"
        );
    }
    let lake = crate::serve::open_lake(&config, Arc::clone(&clock)).await?;
    let parts = ImportParts {
        table: crate::serve::events_of(&lake)?,
        enricher: Arc::new(Enricher::new(config.ingest.enrich())?),
        clock,
        ids: Arc::new(RandomIds),
        sites: Arc::new(sites),
    };
    let options = ImportOptions {
        format: args.format,
        dedupe: config.ingest.writer().dedupe,
        ..ImportOptions::default()
    };
    for path in &args.paths {
        let started = Instant::now();
        let report = with_progress(&parts, &options, path).await?;
        print(path, &report, started.elapsed());
    }
    Ok(())
}

async fn with_progress(parts: &ImportParts, options: &ImportOptions, path: &Path) -> anyhow::Result<Report> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("{} can't be read", path.display()))?
        .len();
    let progress = Arc::new(Progress::default());
    let bar = bar(path, size)?;
    let importing = import_file(parts, options, PathBuf::from(path), Arc::clone(&progress));
    tokio::pin!(importing);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut importing => {
                bar.finish_and_clear();
                return Ok(done?);
            }
            _ = ticks.tick() => {
                bar.set_position(progress.bytes_read.load(Ordering::Relaxed));
                bar.set_message(format!("{} rows", progress.rows_read.load(Ordering::Relaxed)));
            }
        }
    }
}

fn bar(path: &Path, size: u64) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {bytes}/{total_bytes} {msg} {eta}")?;
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    Ok(ProgressBar::new(size)
        .with_style(style.progress_chars("=> "))
        .with_prefix(name))
}

#[expect(clippy::print_stdout, reason = "the report is the command's output")]
fn print(path: &Path, report: &Report, took: Duration) {
    let path = path.display();
    if report.already_there {
        println!("{path}: imported before; nothing was added");
        return;
    }
    let seconds = took.as_secs_f64();
    println!(
        "{path}: {} of {} rows imported in {seconds:.1} s ({:.0} rows/s), {} duplicates, {} rejected",
        report.imported,
        report.rows,
        report.rows as f64 / seconds.max(1e-9),
        report.duplicates,
        report.rejected_rows(),
    );
    for (reason, rejected) in &report.rejected {
        let examples: Vec<_> = rejected.examples.iter().map(u64::to_string).collect();
        println!("  {} rows: {reason} (row {})", rejected.rows, examples.join(", "));
    }
}
