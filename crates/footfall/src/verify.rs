//! `footfall verify`: compares segments with the events that they stand for.

use std::sync::Arc;

use footfall_compactor::{Compactor, Policy};
use footfall_lake::DataFile;
use footfall_model::clock::{IdGen, RandomIds, SystemClock};

use crate::cli::{VerifyArgs, print, printable_lines};
use crate::compact::days_since_1970;
use crate::config::Config;

/// Fails if anything differs, once everything is read.
pub(crate) async fn run(config: Config, args: VerifyArgs) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock);
    let lake = crate::rollups::open_lake(&config, clock.clone()).await?;
    let funnels = crate::compact::funnels(&config).await?;
    let kinds = crate::contents::segment_kinds(&funnels);
    let compactor = Compactor::new(&lake, kinds, Policy::default(), clock, Arc::new(RandomIds))?;
    let date = args.date.map(days_since_1970).transpose()?;
    let merged = compactor.merged_files(date);
    let total = merged.len();
    let files = sample(merged, args.sample, &RandomIds);
    let (mut rows, mut segments, mut differences) = (0, 0, 0);
    for file in &files {
        let verified = match compactor.verify(file).await {
            // A merge has replaced it: the next run reads what it became.
            Err(error) if error.is_conflict() => continue,
            verified => verified?,
        };
        rows += verified.rows;
        segments += verified.segments;
        differences += verified.differences.len();
        for difference in verified.differences {
            print(&printable_lines(&format!("{difference}\n")))?;
        }
    }
    let count = files.len();
    print(&format!(
        "{count} of {total} merged files, {rows} events, {segments} segments, {differences} differences\n"
    ))?;
    anyhow::ensure!(differences == 0, "{differences} differences were found");
    Ok(())
}

/// Any `count` of the files.
fn sample(mut files: Vec<Arc<DataFile>>, count: Option<usize>, ids: &dyn IdGen) -> Vec<Arc<DataFile>> {
    if let Some(count) = count {
        files.sort_by_cached_key(|_| ids.next_id());
        files.truncate(count);
    }
    files
}
