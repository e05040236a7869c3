//! `footfall import`: loads files into the lake, with a progress bar and a summary of each file.

mod bar;
mod summary;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use footfall_ingest::enrich::Enricher;
use footfall_ingest::import::{ImportOptions, ImportParts, Progress, Report, Sites, import_file};
use footfall_model::clock::{Clock, RandomIds, SystemClock};

use crate::cli::ImportArgs;
use crate::config::Config;
use bar::Bar;

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(200);

/// Imports each file; fails at the first that can't be read, and at the end if nothing of a file was imported because of
/// rejected rows. The other files stay imported.
pub(crate) async fn run(config: Config, args: ImportArgs) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalog = crate::state::open_catalog(&config.state_dir()).await?;
    let sites = catalog.sites().await?.into_iter();
    let sites: Sites = sites.map(|site| (site.tracking_id, site.dedupe_by)).collect();
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
        limits: config.ingest.collect(),
        skip_rejected: args.skip_rejected,
        ..ImportOptions::default()
    };
    let mut refused = 0;
    for path in &args.paths {
        let started = Instant::now();
        let report = with_progress(&parts, &options, path).await?;
        refused += usize::from(report.is_refused());
        print(&summary::lines(path, &report, started.elapsed()));
    }
    if refused > 0 {
        bail!(
            "nothing was imported of {refused} of {} files: correct the rows above, or create the sites, and run the same \
             command again",
            args.paths.len()
        );
    }
    Ok(())
}

async fn with_progress(parts: &ImportParts, options: &ImportOptions, path: &Path) -> anyhow::Result<Report> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("{} can't be read", path.display()))?
        .len();
    let progress = Arc::new(Progress::default());
    let mut bar = Bar::new(path, size)?;
    let importing = import_file(parts, options, PathBuf::from(path), Arc::clone(&progress));
    tokio::pin!(importing);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut importing => {
                bar.finish();
                return Ok(done?);
            }
            _ = ticks.tick() => bar.show(&progress)?,
        }
    }
}

#[expect(clippy::print_stdout, reason = "the report is the command's output")]
fn print(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}
