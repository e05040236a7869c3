//! `footfall rollup`.

use std::sync::Arc;

use anyhow::Context;
use footfall_lake::RollupProgress;
use footfall_model::clock::SystemClock;
use footfall_model::rollup::{Grain, RollupDefinition};
use serde_json::Value;

use super::args::AdminArgs;
use super::rollup_args::{RollupArgs, RollupCommand, RollupCreate, RollupName};
use super::site::{Missing, connect};
use super::table::TextTable;
use super::{print, rollup_advise, token};
use crate::admin::client::Admin;
use crate::admin::{RollupStatus, rollup_status, rollup_to_json};
use crate::config::Config;

pub(super) async fn run(config: &Config, args: RollupArgs) -> anyhow::Result<()> {
    match args.command {
        RollupCommand::List(args) => list(config, &args).await,
        RollupCommand::Create(args) => create(config, &args).await,
        RollupCommand::Drop(args) => drop(config, &args).await,
        RollupCommand::Advise(args) => rollup_advise::run(config, args).await,
    }
}

async fn create(config: &Config, args: &RollupCreate) -> anyhow::Result<()> {
    let path = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("{path} can't be read"))?;
    let definition: RollupDefinition =
        toml::from_str(&text).with_context(|| format!("{path} is not a rollup in TOML"))?;
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    let made = admin.create_rollup(definition).await?;
    if args.admin.json {
        return print(&format!("{}\n", rollup_to_json(made)?));
    }
    print(&format!(
        "rollup {} created; a running server knows it within a second, and adds its history in the background\n",
        made.rollup.definition.name
    ))
}

async fn list(config: &Config, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = connect(config, args, Missing::Refuse).await?;
    let mut rollups = admin.list_rollups().await?;
    if matches!(admin, Admin::Local(_)) && !rollups.is_empty() {
        let lake = crate::rollups::open_lake(config, Arc::new(SystemClock)).await?;
        rollups = rollups
            .into_iter()
            .map(|known| rollup_status(&lake, known.rollup))
            .collect();
    }
    if args.json {
        let all = rollups.into_iter().map(rollup_to_json);
        return print(&format!("{:#}\n", Value::from(all.collect::<Result<Vec<_>, _>>()?)));
    }
    if rollups.is_empty() {
        return print("there is no configured rollup yet; create one with `footfall rollup create --file r.toml`\n");
    }
    let mut table = TextTable::new(["ROLLUP", "SITES", "GRAIN", "DIMENSIONS", "MEASURES", "COVERED", "MADE"]);
    for RollupStatus { rollup, progress } in rollups {
        let definition = rollup.definition;
        let measures = definition.measures.iter().map(|measure| measure.name.as_str());
        let measures = measures.collect::<Vec<_>>().join(", ");
        let sites = definition
            .sites
            .map(|sites| sites.into_iter().collect::<Vec<_>>().join(", "));
        table.row([
            definition.name,
            sites.unwrap_or_else(|| "all".into()),
            grain(definition.grain).into(),
            definition.dimensions.join(", "),
            measures,
            progress.map_or_else(|| "-".into(), covered),
            token::rfc3339(rollup.created_at),
        ]);
    }
    print(&table.render())
}

async fn drop(config: &Config, args: &RollupName) -> anyhow::Result<()> {
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    let dropped = admin.drop_rollup(&args.name).await?;
    if args.admin.json {
        return print(&format!("{}\n", rollup_to_json(dropped)?));
    }
    print(&format!(
        "rollup {} is dropped; a running server follows within a second, and vacuum deletes its files after a day\n",
        dropped.rollup.definition.name
    ))
}

pub(super) fn grain(grain: Grain) -> &'static str {
    match grain {
        Grain::QuarterHour => "quarter_hour",
        Grain::Hour => "hour",
        Grain::Day => "day",
    }
}

/// The part of all events that its segments stand for; rounded down, so that 100% means all.
fn covered(progress: RollupProgress) -> String {
    let RollupProgress { rows, covered_rows, .. } = progress;
    match (covered_rows * 1_000).checked_div(rows) {
        Some(per_mille) => format!("{}.{}%", per_mille / 10, per_mille % 10),
        None => "no events yet".into(),
    }
}
