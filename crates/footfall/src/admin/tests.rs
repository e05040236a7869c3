//! Over HTTP, on a listener, with a catalog in a file.

mod client;
mod funnels;
mod refusals;
mod rollups;
mod server;
mod sites;
mod tokens;
