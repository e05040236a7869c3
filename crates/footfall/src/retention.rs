//! `footfall retention`: removes events that have reached the end of their time.

use std::sync::Arc;

use footfall_catalog::Catalog;
use footfall_compactor::{Compactor, RetentionPolicy, RetentionTask};
use footfall_lake::Lake;
use footfall_model::clock::{Clock, DAY, Micros, RandomIds, SystemClock};
use indicatif::HumanBytes;

use crate::cli::{RetentionArgs, TextTable, print};
use crate::compact::{ATTEMPTS, day};
use crate::config::Config;

/// Removes until nothing is due.
pub(crate) async fn run(config: Config, args: RetentionArgs) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalog = crate::state::open_catalog(&config.state_dir()).await?;
    let lake = crate::rollups::open_lake(&config, Arc::clone(&clock)).await?;
    let policy = policy(&config, catalog.as_ref()).await?;
    let compactor = compactor(&config, &lake, clock).await?.with_retention(policy);
    let tasks = compactor.plan_retention();
    if args.dry_run || tasks.is_empty() {
        return print(&table(&tasks));
    }
    execute(&lake, &compactor, tasks).await
}

async fn compactor(config: &Config, lake: &Lake, clock: Arc<dyn Clock>) -> anyhow::Result<Compactor> {
    let funnels = crate::compact::funnels(config).await?;
    let kinds = crate::contents::segment_kinds(&funnels);
    let policy = config.compact.policy(config.ingest.dedupe_window.0);
    Ok(Compactor::new(lake, kinds, policy, clock, Arc::new(RandomIds))?)
}

/// The configured retention, and those of sites that have their own.
pub(crate) async fn policy(config: &Config, catalog: &dyn Catalog) -> anyhow::Result<RetentionPolicy> {
    let sites = catalog.sites().await?.into_iter();
    let own = sites.filter_map(|site| Some((site.tracking_id, Micros::from(site.retention_days?) * DAY)));
    Ok(RetentionPolicy {
        keep: Micros::try_from(config.ingest.retention.0.as_micros()).unwrap_or(Micros::MAX),
        sites: own.collect(),
        rollups: Micros::try_from(config.compact.rollup_retention.0.as_micros()).unwrap_or(Micros::MAX),
    })
}

async fn execute(lake: &Lake, compactor: &Compactor, mut tasks: Vec<RetentionTask>) -> anyhow::Result<()> {
    let (mut conflicts, mut unreadable) = (0, 0);
    while !tasks.is_empty() {
        for task in &tasks {
            match compactor.retain(task, None).await {
                Ok(rows) => print(&format!("{}: {rows} events removed\n", days(task)))?,
                Err(error) if error.is_conflict() && conflicts < ATTEMPTS => {
                    conflicts += 1;
                    break;
                }
                // The next plan leaves the file out.
                Err(error) if error.damaged().is_some() => {
                    unreadable += 1;
                    tracing::error!(%error, "the file stays until its day is over for every site");
                }
                Err(error) => return Err(error.into()),
            }
        }
        lake.refresh().await?;
        tasks = compactor.plan_retention();
    }
    anyhow::ensure!(unreadable == 0, "{unreadable} files can't be read");
    Ok(())
}

fn days(task: &RetentionTask) -> String {
    match task {
        RetentionTask::Rewrite(task) => day(task.event_date),
        RetentionTask::Remove(files) | RetentionTask::Retire(files) => {
            let dates = || files.iter().map(|file| file.event_date);
            let (first, last) = (dates().min().unwrap_or_default(), dates().max().unwrap_or_default());
            if first == last {
                day(first)
            } else {
                format!("{} to {}", day(first), day(last))
            }
        }
    }
}

fn table(tasks: &[RetentionTask]) -> String {
    if tasks.is_empty() {
        return "Nothing to remove.\n".into();
    }
    let mut table = TextTable::new(["DAYS", "FILES", "ROWS", "SIZE", "WHY"]);
    for task in tasks {
        let (files, why) = match task {
            RetentionTask::Remove(files) => (files, "over for every site, rollups too"),
            RetentionTask::Retire(files) => (files, "over for every site; rollups stay"),
            RetentionTask::Rewrite(task) => (&task.inputs, "over for some sites, or without rollups: rewritten"),
        };
        table.row([
            days(task),
            files.len().to_string(),
            files.iter().map(|file| file.rows).sum::<u64>().to_string(),
            HumanBytes(files.iter().map(|file| file.bytes).sum()).to_string(),
            why.to_owned(),
        ]);
    }
    table.render()
}
