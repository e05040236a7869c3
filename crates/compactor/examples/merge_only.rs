//! Merges what is due in the shard in a folder, without segments: the part of compaction that `make bench-compact`
//! compares with.

use std::sync::Arc;

use footfall_compactor::{Compactor, Policy};
use footfall_lake::{Lake, Location};
use footfall_model::clock::{RandomIds, SystemClock};
use footfall_model::table::events;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: merge_only <folder of a shard>")?;
    let lake = folder
        .strip_suffix("/shard=00")
        .ok_or("the folder must end in /shard=00")?;
    let location: Location = lake.parse()?;
    let store = location.shard_store(0, &footfall_lake::S3Options::default())?;
    let clock = Arc::new(SystemClock);
    let lake = Lake::open(store, &[Arc::clone(events())], Arc::<SystemClock>::clone(&clock) as _).await?;
    let compactor = Compactor::new(&lake, Vec::new(), Policy::default(), clock, Arc::new(RandomIds))?;
    loop {
        let tasks = compactor.plan();
        if tasks.is_empty() {
            return Ok(());
        }
        for task in &tasks {
            compactor.execute(task, None).await?;
        }
    }
}
