//! A load generator that is cheap enough to share two cores with the server that it loads.
//!
//! ```text
//! events    what is sent: requests prebuilt as bytes; ids, visitors and times are patched in for each
//! pace      when: as fast as replies come (closed loop), or at a steady rate (open loop)
//! http      how: HTTP/1.1, one request at a time on each of a fixed number of connections
//! grpc      or: gRPC streams of prebuilt messages
//! crawl     beside it: clients that send a byte a second, or fall silent in the middle of a request
//! tally     what came of it: events acknowledged, replies by status, latencies
//! sink      a server that answers 204 to everything: shows the generator's own ceiling
//! ```
//!
//! A latency of the open loop counts from the moment at which the request was due, so that a server that stalls cannot
//! hide the requests that its stall kept from being sent (coordinated omission).

mod args;
mod crawl;
mod events;
mod grpc;
mod http;
mod latency;
mod pace;
mod reply;
mod report;
mod run;
mod sink;
mod tally;
#[cfg(test)]
mod tests;
mod write;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Send(args) => send(&args),
        Command::Write(args) => write::write(&args),
        Command::Sink(args) => sink::run(args.listen),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn send(args: &args::SendArgs) -> anyhow::Result<()> {
    let report = run::run(args)?;
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, &report)?;
    writeln!(stdout)?;
    Ok(())
}
