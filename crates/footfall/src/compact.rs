//! `footfall compact`: merges what is due, or what is asked for, and adds the steps of new funnels to merged files.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use chrono::{Days, NaiveDate};
use footfall_compactor::{Compactor, FunnelBackfill, MergeTask, Merged, RollupBackfill};
use footfall_funnels::FunnelDefinitions;
use footfall_model::clock::{Clock, IdGen, RandomIds, SystemClock};
use indicatif::HumanBytes;

use crate::cli::{CompactArgs, TextTable, print};
use crate::config::Config;

/// How often files may change under a merge before it is given up.
pub(crate) const ATTEMPTS: usize = 5;

/// Merges until nothing is due; with `--date`, that day once.
pub(crate) async fn run(config: Config, args: CompactArgs) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let lake = crate::rollups::open_lake(&config, Arc::clone(&clock)).await?;
    let funnels = funnels(&config).await?;
    let ids: Arc<dyn IdGen> = Arc::new(RandomIds);
    let compactor = Compactor::new(
        &lake,
        crate::contents::segment_kinds(&funnels),
        config.compact.policy(config.ingest.dedupe_window.0),
        Arc::clone(&clock),
        Arc::clone(&ids),
    )?;
    let backfill = FunnelBackfill::new(&lake, funnels, Arc::clone(&clock), Arc::clone(&ids))?;
    let rollups = RollupBackfill::new(&lake, clock, ids)?;
    let date = args.date.map(days_since_1970).transpose()?;
    let plan = || match date {
        Some(day) => compactor.plan_day(day),
        None => compactor.plan(),
    };
    if args.dry_run {
        print(&table(&plan()))?;
        for (files, what) in [
            (backfill.plan().len(), "steps of newer funnels"),
            (rollups.plan().len(), "segments of newer rollups"),
        ] {
            if files > 0 {
                print(&format!("{files} files lack the {what}.\n"))?;
            }
        }
        return Ok(());
    }
    let (mut conflicts, mut unreadable) = (0, 0);
    'plans: loop {
        lake.refresh().await?;
        let tasks = plan();
        if tasks.is_empty() {
            print("Nothing to merge.\n")?;
            break;
        }
        for task in &tasks {
            let started = Instant::now();
            match compactor.execute(task, None).await {
                Ok(merged) => print(&line(task, &merged, started.elapsed().as_secs_f64()))?,
                Err(error) if error.is_conflict() && conflicts < ATTEMPTS => {
                    conflicts += 1;
                    continue 'plans;
                }
                // The next plan leaves the file out.
                Err(error) if error.damaged().is_some() => {
                    unreadable += 1;
                    tracing::error!(%error, "the others of its day are merged without it");
                    continue 'plans;
                }
                Err(error) => {
                    let date = day(task.event_date);
                    return Err(error).with_context(|| format!("files of {date} were not merged"));
                }
            }
        }
        if date.is_some() {
            break;
        }
    }
    add_funnels(&backfill, date).await?;
    add_rollups(&rollups, date).await?;
    anyhow::ensure!(unreadable == 0, "{unreadable} files can't be read and are not merged");
    Ok(())
}

/// Gives the merged files, those of one day if it is given, the steps of funnels that are newer.
async fn add_funnels(backfill: &FunnelBackfill, date: Option<i32>) -> anyhow::Result<()> {
    let tasks = backfill.plan().into_iter();
    for task in tasks.filter(|task| date.is_none_or(|date| task.file.event_date == date)) {
        let date = day(task.file.event_date);
        match backfill.execute(&task).await {
            Ok(rows) => print(&format!(
                "{date}: {rows} steps of funnels that are newer than the file {}\n",
                task.file.path
            ))?,
            // Another compactor was there: whoever merged the file has added them, too.
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error).with_context(|| format!("steps of funnels were not added to {date}")),
        }
    }
    Ok(())
}

/// The same with the segments of rollups that are newer.
async fn add_rollups(backfill: &RollupBackfill, date: Option<i32>) -> anyhow::Result<()> {
    let tasks = backfill.plan().into_iter();
    for task in tasks.filter(|task| date.is_none_or(|date| task.file.event_date == date)) {
        let (date, path) = (day(task.file.event_date), &task.file.path);
        match backfill.execute(&task).await {
            Ok(rows) => print(&format!(
                "{date}: {rows} rows of rollups that are newer than the file {path}\n"
            ))?,
            // Another compactor was there.
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error).with_context(|| format!("rollups were not added to {date}")),
        }
    }
    Ok(())
}

/// The funnels of the state folder's catalog; none without one.
pub(crate) async fn funnels(config: &Config) -> anyhow::Result<Arc<FunnelDefinitions>> {
    let Some(catalog) = crate::state::open_catalog_if_there(&config.state_dir()).await? else {
        return Ok(Arc::default());
    };
    Ok(Arc::new(FunnelDefinitions::new(catalog.funnels().await?)))
}

/// The lake's number of a day.
pub(crate) fn days_since_1970(date: NaiveDate) -> anyhow::Result<i32> {
    Ok(i32::try_from((date - NaiveDate::default()).num_days())?)
}

/// A day for people.
pub(crate) fn day(event_date: i32) -> String {
    let days = Days::new(u64::try_from(event_date).unwrap_or_default());
    let date = NaiveDate::default().checked_add_days(days);
    date.map_or_else(|| event_date.to_string(), |date| date.to_string())
}

fn table(tasks: &[MergeTask]) -> String {
    if tasks.is_empty() {
        return "Nothing to merge.\n".into();
    }
    let mut table = TextTable::new(["DAY", "FILES", "ROWS", "SIZE", "REASON"]);
    for task in tasks {
        table.row([
            day(task.event_date),
            task.inputs.len().to_string(),
            task.rows().to_string(),
            HumanBytes(task.bytes()).to_string(),
            task.reason.to_string(),
        ]);
    }
    table.render()
}

fn line(task: &MergeTask, merged: &Merged, seconds: f64) -> String {
    format!(
        "{}: {} files -> {}, {} events ({} duplicates dropped), {} -> {} and {} of segments, {seconds:.1} s ({:.0} events/s): \
         {}\n",
        day(task.event_date),
        merged.files_read,
        merged.files_written,
        merged.rows_written,
        merged.duplicates,
        HumanBytes(merged.bytes_read),
        HumanBytes(merged.bytes_written),
        HumanBytes(merged.segment_bytes),
        merged.rows_read as f64 / seconds.max(1e-9),
        task.reason,
    )
}
