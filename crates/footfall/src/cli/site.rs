//! `footfall site`.

use footfall_catalog::{DEFAULT_TENANT, NewSite, Secret, Site, SiteChange};
use footfall_model::hash::DedupeBy;
use serde_json::{Value, json};

use super::args::AdminArgs;
use super::site_args::{SiteArgs, SiteCommand, SiteCreate, SiteUpdate};
use super::table::TextTable;
use super::{print, token};
use crate::admin::client::Admin;
use crate::config::Config;

pub(super) async fn run(config: &Config, args: SiteArgs) -> anyhow::Result<()> {
    match args.command {
        SiteCommand::Create(args) => create(config, args).await,
        SiteCommand::Update(args) => update(config, &args).await,
        SiteCommand::List(args) => list(config, &args).await,
    }
}

async fn create(config: &Config, args: SiteCreate) -> anyhow::Result<()> {
    let admin = connect(config, &args.admin, Missing::Make).await?;
    let made = admin
        .create_site(NewSite {
            name: args.name.unwrap_or_else(|| args.tracking_id.clone()),
            tracking_id: args.tracking_id,
            tenant: DEFAULT_TENANT.into(),
            url: args.url,
            timezone: args.timezone,
            currency: args.currency,
            writer_token_required: args.require_writer_token,
            dedupe_by: args.dedupe_by,
        })
        .await?;
    if args.admin.json {
        return print(&format!("{}\n", to_json(&made)));
    }
    print(&format!("site {} created\n", made.tracking_id))
}

async fn update(config: &Config, args: &SiteUpdate) -> anyhow::Result<()> {
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    let change = SiteChange {
        dedupe_by: args.dedupe_by.map(|dedupe_by| dedupe_by.0),
        retention_days: args.retention.map(|retention| retention.0),
    };
    let changed = admin.change_site(&args.tracking_id, change).await?;
    if args.admin.json {
        return print(&format!("{}\n", to_json(&changed)));
    }
    print(&format!("site {} was changed\n", changed.tracking_id))
}

async fn list(config: &Config, args: &AdminArgs) -> anyhow::Result<()> {
    let sites = connect(config, args, Missing::Refuse).await?.list_sites().await?;
    if args.json {
        let all: Vec<Value> = sites.iter().map(to_json).collect();
        return print(&format!("{:#}\n", Value::from(all)));
    }
    if sites.is_empty() {
        return print("there is no site yet; create one with `footfall site create TRACKING_ID`\n");
    }
    let mut table = TextTable::new([
        "TRACKING ID",
        "NAME",
        "URL",
        "TIME ZONE",
        "CURRENCY",
        "WRITER TOKEN",
        "DEDUPE BY",
        "RETENTION",
    ]);
    for site in sites {
        let writer_token = if site.writer_token_required {
            "required"
        } else {
            "not needed"
        };
        table.row([
            site.tracking_id,
            site.name,
            site.url.unwrap_or_else(|| "-".into()),
            site.timezone,
            site.currency,
            writer_token.into(),
            site.dedupe_by.map_or("-", DedupeBy::name).into(),
            site.retention_days
                .map_or_else(|| "-".into(), |days| format!("{days}d")),
        ]);
    }
    print(&table.render())
}

fn to_json(site: &Site) -> Value {
    json!({
        "tracking_id": site.tracking_id,
        "tenant": site.tenant,
        "name": site.name,
        "url": site.url,
        "timezone": site.timezone,
        "currency": site.currency,
        "writer_token_required": site.writer_token_required,
        "dedupe_by": site.dedupe_by.map(DedupeBy::name),
        "retention_days": site.retention_days,
        "created_at": token::rfc3339(site.created_at),
    })
}

/// The advice if there is no state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Refuse,
}

/// The server if one was named, else the state folder.
pub(super) async fn connect(config: &Config, args: &AdminArgs, missing: Missing) -> anyhow::Result<Admin> {
    let state = config.state_dir();
    if let Some(server) = &args.server {
        let token = token::given_or_local(args.token.as_deref(), config)?;
        return Ok(Admin::remote(server, Secret::new(token))?);
    }
    if missing == Missing::Refuse && !state.exists() {
        anyhow::bail!(
            "there is no state folder {}; name the one of your server with --state or --data, or the server itself \
             with --server",
            state.display()
        );
    }
    Ok(Admin::Local(crate::state::open_catalog(&state).await?))
}
