//! `footfall demo`: its own server, a month of generated traffic through its HTTP endpoint, and the results.
//!
//! ```text
//! serve::start -> site, token -> traffic (generated) -> sender (HTTP) -> arrival (Flight SQL: all there, once?)
//!                                                                           -> report -> live trickle until Ctrl-C
//! ```

mod arrival;
mod live;
mod report;
mod screen;
mod sender;
mod traffic;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use footfall_catalog::{DEFAULT_TENANT, NewSite, NewToken, Secret};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{Clock, IdGen, Micros, RandomIds, SystemClock};
use futures::StreamExt;
use serde::Serialize;
use tokio_stream::wrappers::ReceiverStream;

use crate::admin::client::Admin;
use crate::cli::DemoArgs;
use crate::config::Config;
use crate::serve::{self, Server};
use crate::sql::client::Client;
use screen::Screen;
use sender::Sender;
use traffic::{Counts, Parcel, Plan, SITE, Traffic};

/// Requests under way at the same time.
const CONNECTIONS: usize = 4;

/// Parcels queued for a connection.
const QUEUED: usize = 8;

/// Limited, because the token ends up in a terminal's history.
const TOKEN_LIFE: Duration = Duration::from_hours(24 * 30);

/// The line that `--once` prints.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Summary {
    /// Repetitions included.
    events_sent: u64,
    duplicates_sent: u64,
    events_found: u64,
    /// From the first request until the last event was visible.
    seconds: f64,
}

pub(crate) async fn run(mut config: Config, args: DemoArgs) -> anyhow::Result<()> {
    if !args.chose_addresses() {
        config.http.addr = free_or_any(config.http.addr);
        config.flight.addr = free_or_any(config.flight.addr);
    }
    let data = config.data.clone();
    let screen = Screen::new(args.once);
    let running = serve::start(config).await?;
    let shown = tokio::select! {
        done = Box::pin(show(&running, &args, &data, &screen)) => done.map(Some),
        asked = running.wait() => asked.map(|()| None),
    };
    // The server's own failure explains this one.
    running.stop().await?;
    match shown? {
        Some(summary) => screen.result(&serde_json::to_string(&summary)?),
        None if args.once => bail!("stopped before the check was finished"),
        None => Ok(()),
    }
}

/// Returns after the check with `--once`, else never.
async fn show(running: &Server, args: &DemoArgs, data: &str, screen: &Screen) -> anyhow::Result<Summary> {
    let http = format!("http://{}", running.http_addr);
    let flight = format!("grpc://{}", running.flight_addr);
    screen.say(&format!("footfall serves {data} on {http} and {flight}"))?;
    let token = prepare(running, &http).await?;
    let mut client = Client::connect(&flight, &token).await?;
    let before = arrival::count(&mut client).await?;
    if before > 0 {
        screen.say(&format!(
            "found {before} events of an earlier demo; this one adds to them"
        ))?;
    }
    let sender = Sender::new(&http)?;
    let plan = Plan {
        seed: args.seed.unwrap_or_else(|| RandomIds.next_id() as u64),
        now: SystemClock.now(),
        days: args.days,
        events: args.events,
    };
    let started = Instant::now();
    let counts = send(plan, &sender, screen).await?;
    let found = arrival::wait_for(&mut client, before, counts.events, screen).await?;
    let summary = Summary {
        events_sent: counts.events + counts.duplicates,
        duplicates_sent: counts.duplicates,
        events_found: found,
        seconds: (started.elapsed().as_secs_f64() * 1_000.0).round() / 1_000.0,
    };
    screen.say(&summary_text(&summary, counts))?;
    report::tables(&mut client, screen).await?;
    if args.once {
        return Ok(summary);
    }
    screen.say(&report::snippets(&http, &flight, &token))?;
    screen.say("A few visitors go on clicking. Ctrl-C stops.")?;
    live::trickle(plan, &sender).await
}

fn summary_text(summary: &Summary, counts: Counts) -> String {
    format!(
        "{} events sent ({} of them twice, {} late), {} found, each once, in {:.1} s\n",
        summary.events_sent, counts.duplicates, counts.late, summary.events_found, summary.seconds
    )
}

/// Creates the site, if it is missing, and a token that may read it.
async fn prepare(running: &Server, http: &str) -> anyhow::Result<String> {
    if running.admin_token.is_empty() {
        bail!("the admin token of this state folder is gone; give the demo another folder with --data");
    }
    let admin = Admin::remote(http, Secret::new(running.admin_token.clone()))?;
    if !admin.list_sites().await?.iter().any(|site| site.tracking_id == SITE) {
        let site = NewSite {
            tracking_id: SITE.into(),
            tenant: DEFAULT_TENANT.into(),
            name: "Demo shop".into(),
            url: Some(traffic::HOME.into()),
            timezone: "UTC".into(),
            currency: "EUR".into(),
            writer_token_required: false,
            dedupe_by: None,
        };
        admin
            .create_site(site)
            .await
            .context("the demo's site can't be created")?;
    }
    let life = Micros::try_from(TOKEN_LIFE.as_micros()).unwrap_or_default();
    let (_, secret) = admin
        .create_token(NewToken {
            role: Role::Reader,
            sites: SiteScope::Only(std::sync::Arc::new([SITE.to_owned()].into())),
            expires_at: Some(SystemClock.now() + life),
        })
        .await
        .context("the demo's token can't be created")?;
    Ok(secret.expose().to_owned())
}

/// Generates on a dedicated thread and sends over several connections; the queue between is bounded.
async fn send(plan: Plan, sender: &Sender, screen: &Screen) -> anyhow::Result<Counts> {
    let (give, take) = tokio::sync::mpsc::channel::<Parcel>(QUEUED);
    let generating = tokio::task::spawn_blocking(move || {
        let mut traffic = Traffic::new(plan);
        for parcel in traffic.by_ref() {
            if give.blocking_send(parcel).is_err() {
                break;
            }
        }
        traffic.counts()
    });
    let progress = screen.progress("sending", plan.events)?;
    let mut sent = ReceiverStream::new(take)
        .map(|parcel| async move { sender.send(&parcel).await.map(|()| parcel.hits.len()) })
        .buffer_unordered(CONNECTIONS);
    while let Some(events) = sent.next().await {
        progress.advance(events? as u64)?;
    }
    progress.finish();
    Ok(generating.await?)
}

/// The address, or any free port there if it is taken, so that a second demo can run beside the first.
fn free_or_any(addr: SocketAddr) -> SocketAddr {
    match TcpListener::bind(addr) {
        Ok(_) => addr,
        Err(_) => SocketAddr::new(addr.ip(), 0),
    }
}

#[cfg(test)]
mod tests;
