//! Turns uap-core's rules into Rust tables: only what the enrichment reads, so that nothing is parsed at start.
//!
//! Left out: versions of browsers and systems, and the 620 rules that name a device's brand and model. The device's
//! class comes from the system and a few words (`enrich::user_agent::device`), and leaving the brands out saves two
//! thirds of the start-up time and half of the memory.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use serde_yaml_ng::Value;

const RULES: &str = "data/uap-core/regexes.yaml";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={RULES}");
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
    spiders(&mut out, list(&rules, "device_parsers")?)?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("uap_core.rs"), out)?;
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

/// `(regex, ignore case)`. The last rule of uap-core is the loose one, which it tries after all brands of devices.
fn spiders(out: &mut String, rules: &[Value]) -> Result<(), Box<dyn Error>> {
    let mut rows: Vec<String> = Vec::new();
    for rule in rules
        .iter()
        .filter(|rule| text(rule, "device_replacement") == Some("Spider"))
    {
        rows.push(format!(
            "({:?}, {})",
            pattern(rule)?,
            text(rule, "regex_flag") == Some("i")
        ));
    }
    let loose = rows
        .pop()
        .ok_or_else(|| format!("{RULES}: no device rule names a Spider"))?;
    writeln!(
        out,
        "pub(super) static SPIDERS: &[(&str, bool)] = &[{}];",
        rows.join(",\n    ")
    )?;
    writeln!(out, "pub(super) static LOOSE_SPIDERS: &[(&str, bool)] = &[{loose}];")?;
    Ok(())
}
