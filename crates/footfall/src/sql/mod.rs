//! `footfall sql`: a Flight SQL client.
//!
//! ```text
//! flag, pipe or prompt -> statements (split at semicolons) -> client -> answer (a stream) -> output
//! ```
//!
//! Results stream: memory holds one batch of rows, whatever the result's size. A table stops at its limit.

mod answer;
pub(crate) mod client;
mod output;
mod prompt;
mod statements;

use std::io::{IsTerminal, Read};

use anyhow::Context;

use crate::cli::{SqlArgs, given_or_local};
use crate::config::Config;
use client::Client;
use output::Style;
use statements::Statements;

pub(crate) use output::table_of;

/// One statement may be as long as the server accepts.
const MAX_INPUT: u64 = 16 << 20;

pub(crate) async fn run(config: &Config, args: SqlArgs) -> anyhow::Result<()> {
    let server = args.server.unwrap_or_else(|| client::local_address(config.flight.addr));
    let token = given_or_local(args.token.as_deref(), config)?;
    output::check_destination(args.format, std::io::stdout().is_terminal())?;
    let mut client = Client::connect(&server, &token).await?;
    if args.no_routing {
        client.without_routing();
    }
    let text = match args.sql {
        Some(sql) => sql,
        None if std::io::stdin().is_terminal() => {
            return prompt::run(&mut client, &config.state_dir(), &server, args.format).await;
        }
        None => piped()?,
    };
    let style = Style {
        format: args.format,
        timing: std::io::stderr().is_terminal(),
    };
    let mut statements = Statements::default();
    statements.push(&text);
    while let Some(sql) = statements.next() {
        answer::run(&mut client, &sql, style).await?;
    }
    if let Some(sql) = statements.rest() {
        answer::run(&mut client, &sql, style).await?;
    }
    Ok(())
}

fn piped() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_INPUT + 1).read_to_string(&mut text);
    let bytes = read.context("standard input is not readable as text")?;
    anyhow::ensure!(
        bytes as u64 <= MAX_INPUT,
        "standard input is longer than 16 MiB; is it SQL?"
    );
    Ok(text)
}
