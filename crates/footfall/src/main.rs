//! The binary: it will wire the roles. Nothing is wired yet.

fn main() {}
