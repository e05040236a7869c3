//! `footfall funnel`.

use std::path::Path;

use anyhow::Context;
use footfall_catalog::NewFunnel;
use serde_json::Value;

use super::args::AdminArgs;
use super::funnel_args::{FunnelArgs, FunnelCommand, FunnelCreate, FunnelId, FunnelUpdate};
use super::site::{Missing, connect};
use super::table::TextTable;
use super::{print, token};
use crate::admin::{funnel_to_json, parse_funnel};
use crate::config::Config;

pub(super) async fn run(config: &Config, args: FunnelArgs) -> anyhow::Result<()> {
    match args.command {
        FunnelCommand::Create(args) => create(config, &args).await,
        FunnelCommand::List(args) => list(config, &args).await,
        FunnelCommand::Show(args) => show(config, &args).await,
        FunnelCommand::Update(args) => update(config, &args).await,
        FunnelCommand::Delete(args) => delete(config, &args).await,
    }
}

async fn create(config: &Config, args: &FunnelCreate) -> anyhow::Result<()> {
    let new = read(&args.file)?;
    let made = connect(config, &args.admin, Missing::Refuse)
        .await?
        .create_funnel(new)
        .await?;
    if args.admin.json {
        return print(&format!("{}\n", funnel_to_json(made)?));
    }
    print(&format!(
        "funnel {} created; a running server knows it within a second\n",
        made.id
    ))
}

async fn update(config: &Config, args: &FunnelUpdate) -> anyhow::Result<()> {
    let new = read(&args.file)?;
    let changed = connect(config, &args.admin, Missing::Refuse)
        .await?
        .change_funnel(&args.id, new)
        .await?;
    if args.admin.json {
        return print(&format!("{}\n", funnel_to_json(changed)?));
    }
    print(&format!(
        "funnel {} is changed; a running server knows it within a second\n",
        changed.id
    ))
}

fn read(file: &Path) -> anyhow::Result<NewFunnel> {
    let path = file.display();
    let json = std::fs::read(file).with_context(|| format!("{path} can't be read"))?;
    parse_funnel(&json).with_context(|| format!("{path} is not a funnel in JSON"))
}

async fn list(config: &Config, args: &AdminArgs) -> anyhow::Result<()> {
    let funnels = connect(config, args, Missing::Refuse).await?.list_funnels().await?;
    if args.json {
        let all = funnels.into_iter().map(funnel_to_json);
        return print(&format!("{:#}\n", Value::from(all.collect::<Result<Vec<_>, _>>()?)));
    }
    if funnels.is_empty() {
        return print("there is no funnel yet; create one with `footfall funnel create --file funnel.json`\n");
    }
    let mut table = TextTable::new(["FUNNEL", "SITE", "NAME", "STEPS", "WINDOW", "MADE"]);
    for funnel in funnels {
        let steps = funnel.definition.steps.iter().map(|step| step.name.as_str());
        let steps = steps.collect::<Vec<_>>().join(" > ");
        let (window, made) = (funnel.definition.window.to_string(), token::rfc3339(funnel.created_at));
        table.row([
            funnel.id,
            funnel.tracking_id,
            funnel.definition.name,
            steps,
            window,
            made,
        ]);
    }
    print(&table.render())
}

async fn show(config: &Config, args: &FunnelId) -> anyhow::Result<()> {
    let funnel = connect(config, &args.admin, Missing::Refuse)
        .await?
        .funnel(&args.id)
        .await?;
    print(&format!("{:#}\n", funnel_to_json(funnel)?))
}

async fn delete(config: &Config, args: &FunnelId) -> anyhow::Result<()> {
    let deleted = connect(config, &args.admin, Missing::Refuse)
        .await?
        .delete_funnel(&args.id)
        .await?;
    if args.admin.json {
        return print(&format!("{}\n", funnel_to_json(deleted)?));
    }
    print(&format!(
        "funnel {} is deleted; a running server follows within a second\n",
        deleted.id
    ))
}
