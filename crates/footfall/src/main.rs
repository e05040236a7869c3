//! The binary: command line, configuration, and the roles of a server wired together.
//!
//! ```text
//! cli -> config -> serve           roles in one process, ordered start and stop
//!               -> import          files into the lake
//!               -> admin::client   sites and tokens, in the state folder or on a server
//!               -> sql             a Flight SQL client
//!               -> demo            serve, generated traffic over HTTP, queries over Flight SQL
//! ```

mod admin;
mod cli;
mod compact;
mod config;
mod contents;
mod demo;
mod funnels;
mod import;
mod retention;
mod rollups;
mod serve;
mod sql;
mod state;
mod table;
mod threads;
mod vacuum;
mod verify;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Events are many small strings that one thread allocates and another frees: the system's allocator keeps far more
/// memory for that (figures: the commit that brought this).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
