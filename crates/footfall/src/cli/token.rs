//! `footfall token`, and where commands get a token from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat};
use footfall_catalog::{NewToken, Token};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{Clock, Micros, SystemClock};
use serde_json::{Value, json};

use super::args::{AdminArgs, RoleArg, TokenArgs, TokenCommand, TokenCreate, TokenRevoke};
use super::print;
use super::site::{Missing, connect};
use super::table::TextTable;
use crate::config::Config;
use crate::serve::admin_token_path;

pub(super) async fn run(config: &Config, args: TokenArgs) -> anyhow::Result<()> {
    match args.command {
        TokenCommand::Create(args) => create(config, args).await,
        TokenCommand::List(args) => list(config, &args).await,
        TokenCommand::Revoke(args) => revoke(config, &args).await,
    }
}

async fn create(config: &Config, args: TokenCreate) -> anyhow::Result<()> {
    let new = wanted(&args, SystemClock.now())?;
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    let (token, secret) = admin.create_token(new).await?;
    if args.admin.json {
        let mut made = to_json(&token);
        made["secret"] = secret.expose().into();
        return print(&format!("{made}\n"));
    }
    print(&format!(
        "token {} of role {} for {}, good {}\n\n  {}\n\nThis is the only time that it is shown.\n",
        token.id,
        role(token.role),
        sites(&token.sites),
        until(token.expires_at),
        secret.expose()
    ))
}

/// The token that the flags describe.
pub(super) fn wanted(args: &TokenCreate, now: Micros) -> anyhow::Result<NewToken> {
    let named: BTreeSet<String> = args.sites.iter().cloned().collect();
    let (role, sites) = match args.role {
        RoleArg::Admin if !named.is_empty() => bail!("an admin's token reaches every site; leave --site out"),
        RoleArg::Admin => (Role::Admin, SiteScope::All),
        RoleArg::Reader | RoleArg::Writer if named.is_empty() && !args.all_sites => {
            bail!("a reader or writer needs sites: name them with --site TRACKING_ID, or give --all-sites")
        }
        RoleArg::Reader => (Role::Reader, scope(args.all_sites, named)),
        RoleArg::Writer => (Role::Writer, scope(args.all_sites, named)),
    };
    let expires_at = match args.expires {
        None => None,
        Some(after) => {
            Some(later(now, after).context("--expires is too far away; leave it out for a token that never expires")?)
        }
    };
    Ok(NewToken {
        role,
        sites,
        expires_at,
    })
}

fn scope(all: bool, named: BTreeSet<String>) -> SiteScope {
    if all {
        SiteScope::All
    } else {
        SiteScope::Only(Arc::new(named))
    }
}

fn later(now: Micros, after: Duration) -> Option<Micros> {
    now.checked_add(Micros::try_from(after.as_micros()).ok()?)
}

async fn list(config: &Config, args: &AdminArgs) -> anyhow::Result<()> {
    let tokens = connect(config, args, Missing::Refuse).await?.list_tokens().await?;
    if args.json {
        let all: Vec<Value> = tokens.iter().map(to_json).collect();
        return print(&format!("{:#}\n", Value::from(all)));
    }
    if tokens.is_empty() {
        return print("there is no token yet; a server creates the first one when it starts\n");
    }
    let now = SystemClock.now();
    let mut table = TextTable::new(["ID", "ROLE", "SITES", "MADE", "GOOD"]);
    for token in tokens {
        let good = match (token.revoked_at, token.expires_at) {
            (Some(at), _) => format!("revoked {}", rfc3339(at)),
            (None, Some(at)) if at <= now => format!("expired {}", rfc3339(at)),
            (None, expires_at) => until(expires_at),
        };
        let (role, sites) = (role(token.role).to_owned(), sites(&token.sites));
        table.row([token.id, role, sites, rfc3339(token.created_at), good]);
    }
    print(&table.render())
}

async fn revoke(config: &Config, args: &TokenRevoke) -> anyhow::Result<()> {
    let admin = connect(config, &args.admin, Missing::Refuse).await?;
    let token = admin.revoke_token(&args.id).await?;
    if args.admin.json {
        return print(&format!("{}\n", to_json(&token)));
    }
    print(&format!(
        "token {} is revoked; a running server follows within seconds\n",
        token.id
    ))
}

fn to_json(token: &Token) -> Value {
    let sites = match &token.sites {
        SiteScope::All => json!("all"),
        SiteScope::Only(sites) => json!(sites.as_ref()),
    };
    json!({
        "id": token.id,
        "role": role(token.role),
        "sites": sites,
        "created_at": rfc3339(token.created_at),
        "expires_at": token.expires_at.map(rfc3339),
        "revoked_at": token.revoked_at.map(rfc3339),
    })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Reader => "reader",
        Role::Writer => "writer",
    }
}

fn sites(scope: &SiteScope) -> String {
    match scope {
        SiteScope::All => "all sites".into(),
        SiteScope::Only(sites) => sites.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn until(expires_at: Option<Micros>) -> String {
    expires_at.map_or_else(|| "for ever".into(), |at| format!("until {}", rfc3339(at)))
}

/// To the second: more is noise.
pub(super) fn rfc3339(at: Micros) -> String {
    let time = DateTime::from_timestamp_micros(at).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The given token, else the first token in the state folder.
pub(crate) fn given_or_local(given: Option<&str>, config: &Config) -> anyhow::Result<String> {
    if let Some(token) = given.map(str::trim).filter(|token| !token.is_empty()) {
        return Ok(token.to_owned());
    }
    let path = admin_token_path(&config.state_dir());
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "no token: give --token, set FOOTFALL_TOKEN, or name the server's state folder with --state; {} can't be read",
            path.display()
        )
    })?;
    Ok(text.trim().to_owned())
}
