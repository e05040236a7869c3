//! The binary: it will wire the roles. Nothing is wired yet.

mod admin;

fn main() {}
