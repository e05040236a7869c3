//! The command line of `footfall site`.

use std::time::Duration;

use clap::{Args, Subcommand};
use footfall_model::hash::DedupeBy;

use super::args::AdminArgs;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall site create shop --name \"My shop\" --url https://shop.example --timezone Europe/Berlin --currency EUR
  footfall site update shop --dedupe-by key --retention 90d
  footfall site list
  footfall site list --server http://127.0.0.1:8080 --token ffp_...")]
pub(super) struct SiteArgs {
    #[command(subcommand)]
    pub(super) command: SiteCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// Create a site
    Create(SiteCreate),
    /// Change a site
    Update(SiteUpdate),
    /// List the sites
    List(AdminArgs),
}

impl SiteArgs {
    pub(super) fn admin(&self) -> &AdminArgs {
        match &self.command {
            SiteCommand::Create(create) => &create.admin,
            SiteCommand::Update(update) => &update.admin,
            SiteCommand::List(admin) => admin,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct SiteCreate {
    /// The id that its events carry
    pub(super) tracking_id: String,
    /// Display name [default: the tracking id]
    #[arg(long)]
    pub(super) name: Option<String>,
    #[arg(long)]
    pub(super) url: Option<String>,
    /// IANA name; reports use its days
    #[arg(long, default_value = "UTC")]
    pub(super) timezone: String,
    /// ISO 4217; the currency of `revenue`
    #[arg(long, default_value = "USD")]
    pub(super) currency: String,
    /// Accept its events only with a writer token
    #[arg(long)]
    pub(super) require_writer_token: bool,
    /// What tells events without an id apart: content (all that was sent) or key (client, session, time and type)
    /// [default: as the server is configured]
    #[arg(long, value_name = "content|key")]
    pub(super) dedupe_by: Option<DedupeBy>,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["dedupe_by", "retention"])]
pub(super) struct SiteUpdate {
    pub(super) tracking_id: String,
    /// What tells events without an id apart from now on: content, key, or default (as the server is configured)
    #[arg(long, value_name = "content|key|default", value_parser = parse_dedupe_by)]
    pub(super) dedupe_by: Option<SiteDedupeBy>,
    /// How long its events and rollups are kept: days, such as 90d, or default (as the server is configured, which is also
    /// the longest)
    #[arg(long, value_name = "DAYS|default", value_parser = parse_retention)]
    pub(super) retention: Option<SiteRetention>,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

/// `None`: as the server is configured. A type of its own, because clap takes an option for an argument that may be
/// missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct SiteDedupeBy(pub(super) Option<DedupeBy>);

fn parse_dedupe_by(text: &str) -> Result<SiteDedupeBy, String> {
    match text {
        "default" => Ok(SiteDedupeBy(None)),
        _ => text.parse().map(|dedupe_by| SiteDedupeBy(Some(dedupe_by))),
    }
}

/// Days; `None`: as the server is configured.
#[derive(Debug, Clone, Copy)]
pub(super) struct SiteRetention(pub(super) Option<u32>);

fn parse_retention(text: &str) -> Result<SiteRetention, String> {
    if text == "default" {
        return Ok(SiteRetention(None));
    }
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let days = time.as_secs() / 86_400;
    match u32::try_from(days) {
        Ok(whole) if whole > 0 && time == Duration::from_hours(24 * days) => Ok(SiteRetention(Some(whole))),
        _ => Err("expected whole days, such as 90d".into()),
    }
}
