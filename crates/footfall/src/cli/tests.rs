use std::time::Duration;

use clap::{CommandFactory, Parser};
use footfall_model::access::{Role, SiteScope};

use super::args::{Cli, Command, TokenCommand};
use super::table::TextTable;
use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

fn usage_error(line: &str) -> String {
    parse(line).expect_err("the usage should be refused").to_string()
}

fn config_of(line: &str) -> Config {
    let overrides = match parse(line).unwrap().command {
        Command::Serve(args) => args.overrides(),
        Command::Demo(args) => args.overrides(),
        _ => panic!("neither serve nor demo"),
    };
    let sources = Sources {
        defaults: overrides.defaults,
        flags: overrides.flags,
        ..Sources::default()
    };
    sources.load().unwrap()
}

fn token_of(line: &str) -> anyhow::Result<footfall_catalog::NewToken> {
    let Command::Token(args) = parse(line).unwrap().command else {
        panic!("no token command")
    };
    let TokenCommand::Create(args) = args.command else {
        panic!("not create")
    };
    token::wanted(&args, 1_000_000)
}

#[test]
fn definition_is_valid_with_examples() {
    let mut cli = Cli::command();
    cli.clone().debug_assert();
    for command in cli.get_subcommands_mut() {
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        assert!(help.contains(&format!("Examples:\n  footfall {name}")), "{help}");
    }
}

#[test]
fn flags_become_configuration() {
    let config = config_of(
        "footfall serve --data /lake --state /state --roles ingest,query,compact,gateway --http 0.0.0.0:80 --flight [::1]:81 --log-level debug",
    );
    assert_eq!(config.data, "/lake");
    assert_eq!(config.state_dir(), std::path::Path::new("/state"));
    assert_eq!(config.roles, crate::config::Roles::ALL);
    assert_eq!(config.http.addr.to_string(), "0.0.0.0:80");
    assert_eq!(config.flight.addr.to_string(), "[::1]:81");
    assert_eq!(config.log.level, "debug");
}

#[test]
fn usage_error_names_expected_value() {
    assert!(usage_error("footfall serve --roles cook").contains("ingest, query, compact"));
    assert!(usage_error("footfall import").contains("<PATH>"));
    assert!(usage_error("footfall import x --format xml").contains("parquet, ndjson or csv"));
    assert!(usage_error("footfall token create").contains("--role"));
    assert!(usage_error("footfall demo --days 0").contains("1..=390"));
    assert_eq!(parse("footfall srve").unwrap_err().exit_code(), 2);
}

#[test]
fn demo_uses_its_own_folders() {
    let config = config_of("footfall demo");
    assert_eq!(config.data, "./footfall-demo");
    assert_eq!(config.state_dir(), std::path::Path::new("./footfall-demo/state"));
    assert_eq!(config.log.level, "warn");
    let elsewhere = config_of("footfall demo --data s3://bucket/demo");
    assert_eq!(elsewhere.state_dir(), std::path::Path::new("./footfall-demo-state"));
    assert_eq!(
        config_of("footfall demo --data /d").state_dir(),
        std::path::Path::new("/d/state")
    );
}

#[test]
fn token_scope_is_required() {
    let reader = token_of("footfall token create --role reader --site a --site b --expires 1s").unwrap();
    assert_eq!((reader.role, reader.expires_at), (Role::Reader, Some(2_000_000)));
    assert!(reader.sites.allows("a") && reader.sites.allows("b") && !reader.sites.allows("c"));
    let writer = token_of("footfall token create --role writer --all-sites").unwrap();
    assert_eq!((writer.role, writer.sites), (Role::Writer, SiteScope::All));
    let admin = token_of("footfall token create --role admin").unwrap();
    assert_eq!(
        (admin.role, admin.sites, admin.expires_at),
        (Role::Admin, SiteScope::All, None)
    );
    assert!(token_of("footfall token create --role reader").is_err());
    assert!(token_of("footfall token create --role admin --site a").is_err());
}

#[test]
fn repeated_cause_is_printed_once() {
    let cause = std::io::Error::other("the disk is full");
    let error = anyhow::Error::from(cause)
        .context("x can't be written: the disk is full")
        .context("sorry");
    assert_eq!(failure::chain(&error), "sorry: x can't be written: the disk is full");
}

#[test]
fn tables_are_aligned_and_escaped() {
    let mut table = TextTable::new(["A", "LONG"]);
    table.row(["wide cell".into(), "é".into()]);
    table.row(["x\x1b[2J".into(), String::new()]);
    assert_eq!(table.render(), "A          LONG\nwide cell  é\nx\u{fffd}[2J\n");
}

#[test]
fn overflowing_duration_is_refused() {
    let mut far = parse("footfall token create --role admin --expires 1s").unwrap();
    let Command::Token(args) = &mut far.command else {
        panic!("no token command")
    };
    let TokenCommand::Create(args) = &mut args.command else {
        panic!("not create")
    };
    args.expires = Some(Duration::MAX);
    assert!(token::wanted(args, 0).is_err());
}
