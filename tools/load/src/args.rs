//! What the command line understands.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Sends events to a Footfall server and reports, as JSON, what became of them.
#[derive(Debug, Parser)]
#[command(name = "footfall-load", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send events for a while
    Send(SendArgs),
    /// Write the same events to a file, one JSON object a line
    Write(WriteArgs),
    /// Answer 204 to every request, to find the generator's own ceiling
    Sink(SinkArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SendArgs {
    /// Where the server listens: http://HOST:PORT, or with --grpc also grpc://HOST:PORT
    #[arg(long)]
    pub(crate) url: String,
    /// The site that the events belong to
    #[arg(long, default_value = "bench")]
    pub(crate) tracking_id: String,
    /// Events a request, or a message with --grpc
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) batch: u32,
    /// By gRPC instead of HTTP
    #[arg(long)]
    pub(crate) grpc: bool,
    /// With --grpc: messages a stream. The server replies at a stream's end
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) stream: u32,
    /// Connections, each with one request, or one stream, at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// Events a second [default: as fast as replies come]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// For how long
    #[arg(long, default_value_t = 20.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Seconds until a reply is given up
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    pub(crate) timeout: f64,
    /// Threads of the generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// Further connections that send a byte a second
    #[arg(long, default_value_t = 0)]
    pub(crate) slow: u32,
    /// Further connections that fall silent in the middle of a request's head
    #[arg(long, default_value_t = 0)]
    pub(crate) half_open: u32,
}

#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    /// The file to write
    pub(crate) file: PathBuf,
    /// Events
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) events: u64,
    /// The site that the events belong to
    #[arg(long, default_value = "bench")]
    pub(crate) tracking_id: String,
    /// Of the ids; the same seed gives the same ids
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct SinkArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0 to 1,000,000".to_owned()),
    }
}
