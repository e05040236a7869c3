//! `footfall funnel`.

use anyhow::Context;
use footfall_funnels::Funnel;
use serde_json::{Value, json};

use super::args::AdminArgs;
use super::funnel_args::{FunnelArgs, FunnelCommand, FunnelCreate, FunnelId};
use super::site::{Missing, connect};
use super::table::TextTable;
use super::{print, token};
use crate::admin::parse_funnel;
use crate::config::Config;

pub(super) async fn run(config: &Config, args: FunnelArgs) -> anyhow::Result<()> {
    match args.command {
        FunnelCommand::Create(args) => create(config, &args).await,
        FunnelCommand::List(args) => list(config, &args).await,
        FunnelCommand::Show(args) => show(config, &args).await,
        FunnelCommand::Delete(args) => delete(config, &args).await,
    }
}

async fn create(config: &Config, args: &FunnelCreate) -> anyhow::Result<()> {
    let path = args.file.display();
    let json = std::fs::read(&args.file).with_context(|| format!("{path} can't be read"))?;
    let new = parse_funnel(&json).with_context(|| format!("{path} is not a funnel in JSON"))?;
    let made = connect(config, &args.admin, Missing::Refuse)
        .await?
        .create_funnel(new)
        .await?;
    if args.admin.json {
        return print(&format!("{}\n", to_json(&made)));
    }
    print(&format!(
        "funnel {} created; a running server knows it within a second\n",
        made.id
    ))
}

async fn list(config: &Config, args: &AdminArgs) -> anyhow::Result<()> {
    let funnels = connect(config, args, Missing::Refuse).await?.list_funnels().await?;
    if args.json {
        let all: Vec<Value> = funnels.iter().map(to_json).collect();
        return print(&format!("{:#}\n", Value::from(all)));
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
    print(&format!("{:#}\n", to_json(&funnel)))
}

async fn delete(config: &Config, args: &FunnelId) -> anyhow::Result<()> {
    let deleted = connect(config, &args.admin, Missing::Refuse)
        .await?
        .delete_funnel(&args.id)
        .await?;
    if args.admin.json {
        return print(&format!("{}\n", to_json(&deleted)));
    }
    print(&format!(
        "funnel {} is deleted; a running server follows within a second\n",
        deleted.id
    ))
}

fn to_json(funnel: &Funnel) -> Value {
    json!({
        "funnel_id": funnel.id,
        "tracking_id": funnel.tracking_id,
        "name": funnel.definition.name,
        "steps": funnel.definition.steps,
        "window": funnel.definition.window,
        "created_at": token::rfc3339(funnel.created_at),
    })
}
