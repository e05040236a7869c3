//! `footfall table`: whether other programs may write the lake's tables.

use std::sync::Arc;

use anyhow::Context;
use footfall_lake::{Lake, Table};
use footfall_model::clock::SystemClock;

use crate::cli::{TableArgs, TableCommand, print};
use crate::config::Config;

pub(crate) async fn run(config: Config, args: TableArgs) -> anyhow::Result<()> {
    let (names, exclusive) = match args.command {
        TableCommand::Lock(names) => (names.names, true),
        TableCommand::Unlock(names) => (names.names, false),
    };
    let lake = crate::rollups::open_lake(&config, Arc::new(SystemClock)).await?;
    for table in tables(&lake, &names)? {
        let changed = table.set_exclusive(exclusive).await?;
        let state = if exclusive { "locked" } else { "unlocked" };
        let already = if changed { "" } else { " already" };
        print(&format!("table {} is {state}{already}\n", table.spec().name()))?;
    }
    Ok(())
}

/// The named tables, or all.
fn tables(lake: &Lake, names: &[String]) -> anyhow::Result<Vec<Arc<Table>>> {
    if names.is_empty() {
        return Ok(lake.tables().collect());
    }
    let known = || {
        lake.tables()
            .map(|table| table.spec().name().to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = names.iter().map(|name| {
        let table = lake.tables().find(|table| table.spec().name() == name);
        table.with_context(|| format!("there is no table {name:?}; there are {}", known()))
    });
    found.collect()
}
