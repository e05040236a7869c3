//! Definition of the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::funnel_args::FunnelArgs;
use super::import_args::ImportArgs;
use super::lake_args::{RetentionArgs, TableArgs, VacuumArgs, VerifyArgs};
use super::overrides::{Folders, Listen, Overrides};
use super::rollup_args::RollupArgs;
use super::saved_args::{DashboardArgs, SegmentArgs};
use super::site_args::SiteArgs;
use crate::config::Roles;

/// Web and product analytics that you own: events in over HTTP, open Delta/Parquet tables, Arrow out over Flight SQL.
#[derive(Debug, Parser)]
#[command(
    name = "footfall",
    version,
    after_help = "Examples:
  footfall demo                                  see it run on generated traffic
  footfall serve --data ./footfall-data          serve on 127.0.0.1:8080 (HTTP) and 127.0.0.1:31337 (Flight SQL)
  footfall site create shop --name \"My shop\"
  footfall sql \"SELECT event_type, count(*) FROM events GROUP BY event_type\"

Configuration: footfall.toml, then FOOTFALL_* variables, then flags. `footfall config` prints what is in effect."
)]
pub(super) struct Cli {
    /// Configuration file [default: ./footfall.toml if it exists]
    #[arg(long, global = true, env = "FOOTFALL_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Collect events and answer queries
    Serve(ServeArgs),
    /// Create and list sites
    Site(SiteArgs),
    /// Create, list and revoke tokens
    Token(TokenArgs),
    /// Create, list, show, change and delete funnels
    Funnel(FunnelArgs),
    /// Create, list, show, change and delete segments of visitors
    Segment(SegmentArgs),
    /// Create, list, show, change and delete dashboards
    Dashboard(DashboardArgs),
    /// Create, list and drop rollups of your own
    Rollup(RollupArgs),
    /// Query a server in SQL; without a statement, open a prompt
    Sql(SqlArgs),
    /// Import files of events into the lake
    Import(ImportArgs),
    /// Merge files of events and build the segments of rollups and funnels
    Compact(CompactArgs),
    /// Delete files that no table needs any more
    Vacuum(VacuumArgs),
    /// Remove events that have reached the end of their time
    Retention(RetentionArgs),
    /// Compare rollups with the events that they stand for
    Verify(VerifyArgs),
    /// Let other programs write the lake's tables, or not
    Table(TableArgs),
    /// Serve, send generated traffic, and show the results
    Demo(DemoArgs),
    /// Check the write-ahead log (WAL)
    Wal(WalArgs),
    /// Print the effective configuration
    Config(ConfigArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall serve                                             everything, in ./footfall-data
  footfall serve --data /srv/footfall --http 0.0.0.0:8080
  footfall serve --data s3://bucket/prefix --state /srv/footfall
  footfall serve --roles query --data s3://bucket/prefix     queries alone
  footfall serve --roles gateway --flight-url grpc://query.internal:31337

At its first start it writes an admin token to STATE/admin.token. It prints a line `ready` with the addresses when it
serves. SIGTERM and Ctrl-C finish what is under way.")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    folders: Folders,
    /// all, or a list of ingest, query, compact, gateway [default: all]
    #[arg(long, value_name = "ROLES", value_parser = check_roles)]
    roles: Option<String>,
    /// The server that reports over HTTP are asked from [default: this one]
    #[arg(long, value_name = "URL")]
    flight_url: Option<String>,
    #[command(flatten)]
    listen: Listen,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl ServeArgs {
    pub(super) fn overrides(&self) -> Overrides {
        let overrides = self.folders.overrides().flag("--roles", "roles", self.roles.as_ref());
        let overrides = overrides.flag("--flight-url", "gateway.flight_url", self.flight_url.as_ref());
        self.listen
            .overrides(overrides)
            .flag("--log-level", "log.level", self.log_level.as_ref())
    }
}

fn check_roles(text: &str) -> Result<String, String> {
    Roles::parse(text).map(|_| text.to_owned())
}

/// Where administration happens: on a running server, else in the state folder.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    #[command(flatten)]
    folders: Folders,
    /// HTTP address of a running server, such as http://127.0.0.1:8080, to use instead of the state folder
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// Admin token for --server [default: that of the state folder]
    #[arg(long, env = "FOOTFALL_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl AdminArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall token create --role reader --site shop --expires 90d
  footfall token create --role admin
  footfall token list
  footfall token revoke 0123456789abcdef

The secret is printed once, when the token is created, and stored nowhere.")]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    pub(super) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token
    Create(TokenCreate),
    /// List the tokens, without their secrets
    List(AdminArgs),
    /// Revoke a token
    Revoke(TokenRevoke),
}

impl TokenArgs {
    pub(super) fn admin(&self) -> &AdminArgs {
        match &self.command {
            TokenCommand::Create(create) => &create.admin,
            TokenCommand::List(admin) => admin,
            TokenCommand::Revoke(revoke) => &revoke.admin,
        }
    }
}

/// What a token permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleArg {
    /// Everything, sites and tokens included
    Admin,
    /// Queries over its sites
    Reader,
    /// Sending events to its sites
    Writer,
}

#[derive(Debug, Args)]
pub(super) struct TokenCreate {
    #[arg(long)]
    pub(super) role: RoleArg,
    /// A site that a reader or writer may access; may be given several times
    #[arg(long = "site", value_name = "TRACKING_ID", conflicts_with = "all_sites")]
    pub(super) sites: Vec<String>,
    /// Every site, including those created later
    #[arg(long)]
    pub(super) all_sites: bool,
    /// Lifetime, such as 90d [default: it never expires]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) expires: Option<Duration>,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(super) struct TokenRevoke {
    /// The token's id, as `token list` shows it
    pub(super) id: String,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlFormat {
    /// A table for people; the first thousand rows
    Table,
    /// CSV with a header line
    Csv,
    /// JSON, one object per line
    Json,
    /// An Arrow IPC stream
    Arrow,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall sql \"SELECT event_type, count(*) AS events FROM events GROUP BY event_type\"
  footfall sql --format csv \"SELECT * FROM events WHERE tracking_id = 'shop'\" > events.csv
  footfall sql --server grpc://10.0.0.5:31337 --token ffp_... \"SELECT 1\"
  footfall sql < report.sql
  footfall sql                                    a prompt; \\d lists the tables, \\q leaves")]
pub(crate) struct SqlArgs {
    /// One or more statements, separated by semicolons [default: from the prompt, or standard input]
    #[arg(value_name = "SQL")]
    pub(crate) sql: Option<String>,
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: SqlFormat,
    /// Compute from events alone, not from rollups: the answer must be the same
    #[arg(long)]
    pub(crate) no_routing: bool,
    /// Flight address of the server, such as grpc://127.0.0.1:31337 [default: from the configuration]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Token for the server [default: the admin token of the state folder, if it can be read]
    #[arg(long, env = "FOOTFALL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    #[command(flatten)]
    folders: Folders,
}

impl SqlArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall compact --dry-run             what would be merged, and why
  footfall compact                       what is due, until nothing is
  footfall compact --date 2026-11-24     one day, due or not

A server may run beside it. Each merge is one commit: whatever is interrupted, no event is lost or counted twice.")]
pub(crate) struct CompactArgs {
    /// Only this day (UTC), whether its files are due or not
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<chrono::NaiveDate>,
    /// Print what would be merged, and merge nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    folders: Folders,
}

impl CompactArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides()
    }
}

/// Longer than 390 days would run into the retention of 13 months.
const DEMO_DAYS: std::ops::RangeInclusive<i64> = 1..=390;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall demo                                   a month of traffic, then a live trickle
  footfall demo --events 1000000 --days 90
  footfall demo --once                            check and exit; one line of JSON on standard output")]
pub(crate) struct DemoArgs {
    /// The demo's lake: a folder, or s3://bucket/prefix [default: ./footfall-demo]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Number of distinct events to send
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: u64,
    /// Number of days, up to now, over which they are spread
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(DEMO_DAYS))]
    pub(crate) days: u16,
    /// Exit after the check
    #[arg(long)]
    pub(crate) once: bool,
    /// Seed of the generator; the same seed at the same time gives the same traffic [default: random]
    #[arg(long, hide = true)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    listen: Listen,
}

impl DemoArgs {
    /// A demo uses its own folders: only an explicit flag can send it elsewhere.
    pub(super) fn overrides(&self) -> Overrides {
        let overrides = match self.data.as_deref() {
            None => Overrides::default()
                .flag("--data", "data", Some("./footfall-demo"))
                .flag("--data", "state", Some("./footfall-demo/state")),
            Some(s3) if s3.starts_with("s3://") => Overrides::default()
                .flag("--data", "data", Some(s3))
                .preset("state", "./footfall-demo-state"),
            Some(folder) => Overrides::default().flag("--data", "data", Some(folder)),
        };
        self.listen
            .overrides(overrides.quiet())
            .flag("--roles", "roles", Some("all"))
            // A month of traffic in a minute must not reach the rate limit.
            .flag("demo", "ingest.events_per_second", Some(10_000_000))
    }

    /// Whether the user chose the address, so that no other will do.
    pub(crate) fn chose_addresses(&self) -> bool {
        self.listen.http.is_some() || self.listen.flight.is_some()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall config                                 what `footfall serve` would run with; secrets are masked
  footfall config > footfall.toml                 a file to start from")]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    folders: Folders,
}

impl ConfigArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall wal verify --state /srv/footfall")]
pub(super) struct WalArgs {
    #[command(subcommand)]
    pub(super) command: WalCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum WalCommand {
    /// Check that the WAL holds every event that was acknowledged
    Verify(WalVerifyArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  footfall wal verify                             the WAL in ./footfall-data/state
  footfall wal verify --state /srv/footfall || mail -s 'damaged WAL' ops@shop.example

Reads every record of the WAL and changes nothing; no server may use the WAL meanwhile. Exit code 0: everything that was
acknowledged and not yet trimmed is there. 1: something is damaged, or could not be read; each damaged place is printed.")]
pub(super) struct WalVerifyArgs {
    #[command(flatten)]
    folders: Folders,
}

impl WalVerifyArgs {
    pub(super) fn overrides(&self) -> Overrides {
        self.folders.overrides().quiet()
    }
}
