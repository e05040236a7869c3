//! `footfall vacuum`: deletes files that no table needs any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use footfall_compactor::vacuum::{Sweep, TableSweep, Vacuum, VacuumPolicy};
use footfall_compactor::{Compactor, Policy};
use footfall_model::clock::{Clock, RandomIds, SystemClock};
use footfall_query::SNAPSHOT_KEPT;
use indicatif::HumanBytes;

use crate::cli::{TextTable, VacuumArgs, print};
use crate::config::Config;

pub(crate) async fn run(config: Config, args: VacuumArgs) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let lake = crate::rollups::open_lake(&config, Arc::clone(&clock)).await?;
    let vacuum = Vacuum::new(&lake, policy(&config), Arc::clone(&clock));
    let sweeps = vacuum.plan(Sweep::Folders).await?;
    print(&table(&sweeps))?;
    if args.dry_run {
        return Ok(());
    }
    let funnels = crate::compact::funnels(&config).await?;
    let kinds = crate::contents::segment_kinds(&funnels);
    let compactor = Compactor::new(&lake, kinds, Policy::default(), Arc::clone(&clock), Arc::new(RandomIds))?;
    // The next vacuum deletes them.
    compactor.remove_orphan_segments().await?;
    let mut failed = None;
    for sweep in &sweeps {
        let deleted = vacuum.execute(sweep).await?;
        if let Some(error) = deleted.error {
            failed.get_or_insert(anyhow::Error::from(error).context(format!(
                "{} files of {} were not deleted",
                deleted.failed,
                sweep.table()
            )));
        }
    }
    if let Some(catalog) = crate::state::open_catalog_if_there(&config.state_dir()).await? {
        let (keep, now) = (policy(&config).keep_removed, clock.now());
        crate::rollups::delete_dropped(&config, catalog.as_ref(), &lake, keep, now).await?;
    }
    failed.map_or(Ok(()), Err)
}

/// How long removed files are kept under this configuration.
pub(crate) fn policy(config: &Config) -> VacuumPolicy {
    let query = &config.query;
    let times = [
        query.queue_timeout.0,
        query.timeout.0,
        query.idle_timeout.0,
        SNAPSHOT_KEPT,
    ];
    VacuumPolicy::new(times.iter().sum::<Duration>(), config.ingest.dedupe_window.0)
}

fn table(sweeps: &[TableSweep]) -> String {
    let mut sums = BTreeMap::new();
    for sweep in sweeps {
        for (file, reason) in &sweep.files {
            let (files, bytes) = sums.entry((sweep.table(), *reason)).or_insert((0_u64, 0_u64));
            *files += 1;
            *bytes += file.bytes;
        }
    }
    if sums.is_empty() {
        return "Nothing to delete.\n".into();
    }
    let mut table = TextTable::new(["TABLE", "FILES", "SIZE", "WHY"]);
    for ((name, reason), (files, bytes)) in sums {
        table.row([
            name.to_owned(),
            files.to_string(),
            HumanBytes(bytes).to_string(),
            reason.to_string(),
        ]);
    }
    table.render()
}
