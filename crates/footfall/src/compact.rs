//! `footfall compact`: merges what is due, or what is asked for.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use chrono::{Days, NaiveDate};
use footfall_compactor::{Compactor, MergeTask, Merged};
use footfall_model::clock::{Clock, RandomIds, SystemClock};
use indicatif::HumanBytes;

use crate::cli::{CompactArgs, TextTable, print};
use crate::config::Config;

/// How often files may change under a merge before it is given up.
pub(crate) const ATTEMPTS: usize = 5;

/// Merges until nothing is due; with `--date`, that day once.
pub(crate) async fn run(config: Config, args: CompactArgs) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let lake = crate::serve::open_lake(&config, Arc::clone(&clock)).await?;
    let compactor = Compactor::new(
        &lake,
        crate::contents::segment_kinds(),
        config.compact.policy(config.ingest.dedupe_window.0),
        clock,
        Arc::new(RandomIds),
    )?;
    let plan = || match args.date {
        Some(date) => days_since_1970(date).map(|day| compactor.plan_day(day)),
        None => Ok(compactor.plan()),
    };
    if args.dry_run {
        return print(&table(&plan()?));
    }
    let (mut conflicts, mut unreadable) = (0, 0);
    'plans: loop {
        lake.refresh().await?;
        let tasks = plan()?;
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
                    return Err(error).with_context(|| format!("files of {} were not merged", day(task.event_date)));
                }
            }
        }
        if args.date.is_some() {
            break;
        }
    }
    anyhow::ensure!(unreadable == 0, "{unreadable} files can't be read and are not merged");
    Ok(())
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
