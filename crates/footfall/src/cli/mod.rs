//! The command line: its commands and their dispatch.
//!
//! Exit codes: 0 done; 1 failed, with `error: ...` on standard error; 2 wrong usage.

mod args;
mod failure;
mod funnel;
mod funnel_args;
mod import_args;
mod lake_args;
mod logging;
mod overrides;
mod rollup;
mod rollup_advise;
mod rollup_args;
mod saved;
mod saved_args;
mod site;
mod site_args;
mod table;
mod token;
mod wal_verify;

use std::process::ExitCode;

use clap::Parser;
use footfall_catalog::SavedKind;

use crate::config::{Config, Sources};
use crate::threads;
use args::{Cli, Command, WalCommand};
use overrides::Overrides;

pub(crate) use args::{CompactArgs, DemoArgs, SqlArgs, SqlFormat};
pub(crate) use failure::report as report_failure;
pub(crate) use import_args::ImportArgs;
pub(crate) use lake_args::{RetentionArgs, TableArgs, TableCommand, VacuumArgs, VerifyArgs};
pub(crate) use table::{TextTable, printable_lines};
pub(crate) use token::given_or_local;

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = threads::runtime()?;
    let done = runtime.block_on(dispatch(cli));
    // A thread that still reads from the terminal must not keep the process alive.
    runtime.shutdown_background();
    done
}

// Boxed, because each command's future is large and only one of them runs.
async fn dispatch(Cli { config, command }: Cli) -> anyhow::Result<()> {
    let load = |overrides: Overrides| load(config.clone(), overrides);
    match command {
        Command::Serve(args) => {
            let config = load(args.overrides())?;
            logging::init(&config.log);
            Box::pin(crate::serve::run(config)).await
        }
        Command::Site(args) => {
            let config = load(args.admin().overrides())?;
            Box::pin(site::run(&config, args)).await
        }
        Command::Token(args) => {
            let config = load(args.admin().overrides())?;
            Box::pin(token::run(&config, args)).await
        }
        Command::Funnel(args) => {
            let config = load(args.admin().overrides())?;
            Box::pin(funnel::run(&config, args)).await
        }
        Command::Rollup(args) => {
            let config = load(args.overrides())?;
            Box::pin(rollup::run(&config, args)).await
        }
        Command::Segment(args) => {
            let config = load(args.command.admin().overrides())?;
            Box::pin(saved::run(&config, SavedKind::Segment, args.command)).await
        }
        Command::Dashboard(args) => {
            let config = load(args.command.admin().overrides())?;
            Box::pin(saved::run(&config, SavedKind::Dashboard, args.command)).await
        }
        Command::Sql(args) => {
            let config = load(args.overrides())?;
            Box::pin(crate::sql::run(&config, args)).await
        }
        Command::Import(args) => {
            let config = load(args.overrides().quiet())?;
            logging::init(&config.log);
            Box::pin(crate::import::run(config, args)).await
        }
        Command::Compact(args) => {
            let config = load(args.overrides().quiet())?;
            logging::init(&config.log);
            Box::pin(crate::compact::run(config, args)).await
        }
        Command::Vacuum(args) => {
            let config = load(args.overrides().quiet())?;
            logging::init(&config.log);
            Box::pin(crate::vacuum::run(config, args)).await
        }
        Command::Retention(args) => {
            let config = load(args.overrides().quiet())?;
            logging::init(&config.log);
            Box::pin(crate::retention::run(config, args)).await
        }
        Command::Verify(args) => {
            let config = load(args.overrides().quiet())?;
            logging::init(&config.log);
            Box::pin(crate::verify::run(config, args)).await
        }
        Command::Table(args) => {
            let config = load(args.overrides().quiet())?;
            logging::init(&config.log);
            Box::pin(crate::table::run(config, args)).await
        }
        Command::Demo(args) => {
            // A demo must not write into a real lake because a configuration file happens to be here.
            let sources = Sources {
                file: config,
                ..sources(args.overrides())
            };
            let config = sources.load()?;
            logging::init(&config.log);
            Box::pin(crate::demo::run(config, args)).await
        }
        Command::Wal(wal) => {
            let WalCommand::Verify(args) = wal.command;
            let config = load(args.overrides())?;
            logging::init(&config.log);
            wal_verify::run(&config)
        }
        Command::Config(args) => print(&load(args.overrides())?.to_toml()?),
    }
}

fn load(file: Option<std::path::PathBuf>, overrides: Overrides) -> anyhow::Result<Config> {
    let sources = Sources {
        file: Sources::file_or_usual(file),
        ..sources(overrides)
    };
    Ok(sources.load()?)
}

fn sources(overrides: Overrides) -> Sources {
    Sources {
        defaults: overrides.defaults,
        file: None,
        env: Sources::environment(),
        flags: overrides.flags,
    }
}

/// Writes to standard output. A reader that has gone away is not a failure; see [`failure::report`].
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests;
