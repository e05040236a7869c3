//! Turns uap-core's rules and the words of bots into Rust tables: only what the enrichment reads, so that nothing is
//! parsed at start.
//!
//! Of uap-core are left out: versions of browsers and systems, and all rules of devices. The device's class comes from
//! the system and a few words (`enrich::user_agent::device`), bots from `data/bots.txt`, and leaving the brands out saves
//! two thirds of the start-up time and half of the memory.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use serde_yaml_ng::Value;

const RULES: &str = "data/uap-core/regexes.yaml";
const BOTS: &str = "data/bots.txt";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={RULES}");
    println!("cargo::rerun-if-changed={BOTS}");
    println!("cargo::rerun-if-changed=build.rs");
    let rules: Value = serde_yaml_ng::from_str(&fs::read_to_string(RULES)?)?;

    let mut out = String::new();
    names(
        &mut out,
        "BROWSERS",
        list(&rules, "user_agent_parsers")?,
        "family_replacement",
    )?;
    names(&mut out, "SYSTEMS", list(&rules, "os_parsers")?, "os_replacement")?;
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(folder.join("uap_core.rs"), out)?;
    fs::write(folder.join("bots.rs"), bots(&fs::read_to_string(BOTS)?)?)?;
    Ok(())
}

fn list<'a>(rules: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    let list = rules.get(name).and_then(Value::as_sequence);
    list.ok_or_else(|| format!("{RULES}: no list {name}: is it uap-core's regexes.yaml?"))
}

fn text<'a>(rule: &'a Value, field: &str) -> Option<&'a str> {
    rule.get(field).and_then(Value::as_str)
}

fn pattern(rule: &Value) -> Result<&str, String> {
    text(rule, "regex").ok_or_else(|| format!("{RULES}: a rule without `regex`: {rule:?}"))
}

/// `(regex, what the match is called; none: its first group)`, first match wins.
fn names(out: &mut String, table: &str, rules: &[Value], replacement: &str) -> Result<(), Box<dyn Error>> {
    writeln!(out, "pub(super) static {table}: &[(&str, Option<&str>)] = &[")?;
    for rule in rules {
        writeln!(out, "    ({:?}, {:?}),", pattern(rule)?, text(rule, replacement))?;
    }
    writeln!(out, "];")?;
    Ok(())
}

/// One regular expression for each section of the list, whose first group is the word that is found.
fn bots(list: &str) -> Result<String, Box<dyn Error>> {
    let (_, sections) = list.split_once("[anywhere]").ok_or("no section [anywhere]")?;
    let (anywhere, off_phones) = sections
        .split_once("[not on phones]")
        .ok_or("no section [not on phones]")?;
    let mut out = String::new();
    for (table, section) in [("ANYWHERE", anywhere), ("OFF_PHONES", off_phones)] {
        let fragments: Vec<&str> = section
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        let words = fragments.join("|");
        let pattern = format!("({words})");
        writeln!(out, "pub(super) static {table}: &str = {pattern:?};")?;
    }
    Ok(out)
}
