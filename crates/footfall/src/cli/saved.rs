//! `footfall segment` and `footfall dashboard`.

use std::path::Path;

use anyhow::Context;
use footfall_catalog::{NewSaved, Saved, SavedKind};
use serde_json::Value;

use super::args::AdminArgs;
use super::saved_args::{SavedCommand, SavedFile, SavedId, SavedUpdate};
use super::site::{Missing, connect};
use super::table::TextTable;
use super::{print, token};
use crate::admin::{parse_saved, saved_to_json};
use crate::config::Config;

pub(super) async fn run(config: &Config, kind: SavedKind, command: SavedCommand) -> anyhow::Result<()> {
    match command {
        SavedCommand::Create(args) => create(config, kind, &args).await,
        SavedCommand::List(args) => list(config, kind, &args).await,
        SavedCommand::Show(args) => show(config, kind, &args).await,
        SavedCommand::Update(args) => update(config, kind, &args).await,
        SavedCommand::Delete(args) => delete(config, kind, &args).await,
    }
}

async fn create(config: &Config, kind: SavedKind, args: &SavedFile) -> anyhow::Result<()> {
    let new = read(kind, &args.file)?;
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    say(kind, admin.create_saved(kind, new).await?, &args.admin, "created")
}

async fn update(config: &Config, kind: SavedKind, args: &SavedUpdate) -> anyhow::Result<()> {
    let new = read(kind, &args.file)?;
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    say(
        kind,
        admin.change_saved(kind, &args.id, new).await?,
        &args.admin,
        "changed",
    )
}

async fn delete(config: &Config, kind: SavedKind, args: &SavedId) -> anyhow::Result<()> {
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    say(kind, admin.delete_saved(kind, &args.id).await?, &args.admin, "deleted")
}

fn say(kind: SavedKind, saved: Saved, args: &AdminArgs, done: &str) -> anyhow::Result<()> {
    if args.json {
        return print(&format!("{}\n", saved_to_json(kind, saved)?));
    }
    print(&format!("{} {} is {done}\n", kind.what(), saved.id))
}

fn read(kind: SavedKind, file: &Path) -> anyhow::Result<NewSaved> {
    let path = file.display();
    let json = std::fs::read(file).with_context(|| format!("{path} can't be read"))?;
    parse_saved(kind, &json).with_context(|| format!("{path} is not a {} in JSON", kind.what()))
}

async fn list(config: &Config, kind: SavedKind, args: &AdminArgs) -> anyhow::Result<()> {
    let all = connect(config, args, Missing::Refuse).await?.list_saved(kind).await?;
    if args.json {
        let all = all.into_iter().map(|saved| saved_to_json(kind, saved));
        return print(&format!("{:#}\n", Value::from(all.collect::<Result<Vec<_>, _>>()?)));
    }
    let what = kind.what();
    if all.is_empty() {
        let create = format!("create one with `footfall {what} create --file {what}.json`");
        return print(&format!("there is no {what} yet; {create}\n"));
    }
    let mut table = TextTable::new(["ID", "SITE", "NAME", "MADE", "CHANGED"]);
    for saved in all {
        let (made, changed) = (token::rfc3339(saved.created_at), token::rfc3339(saved.updated_at));
        table.row([saved.id, saved.tracking_id, saved.name, made, changed]);
    }
    print(&table.render())
}

async fn show(config: &Config, kind: SavedKind, args: &SavedId) -> anyhow::Result<()> {
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    print(&format!(
        "{:#}\n",
        saved_to_json(kind, admin.saved(kind, &args.id).await?)?
    ))
}
