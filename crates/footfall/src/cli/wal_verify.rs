//! `footfall wal verify`: checks that every acknowledged event is in the WAL.

use std::fmt::Write;

use anyhow::{Context, bail};
use footfall_ingest::wal::{VerifyReport, WalError, verify};

use super::print;
use super::table::{TextTable, printable_lines};
use crate::config::Config;

/// Maximum number of damaged places that are printed.
const PRINTED: usize = 100;

/// Fails if the WAL is damaged, in use, or can't be read.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let folder = crate::state::wal_to_read(&config.state_dir());
    if !folder.is_dir() {
        bail!(
            "there is no WAL in {}; name the server's state folder with --state, or its lake with --data",
            folder.display()
        );
    }
    let unreadable = || format!("the WAL in {} can't be verified", folder.display());
    let report = match verify(&folder) {
        // The error names the folder.
        Err(error @ WalError::InUse { .. }) => return Err(error.into()),
        verified => verified.with_context(unreadable)?,
    };
    print(&render(&report))?;
    if !report.is_sound() {
        bail!(
            "the WAL in {} is damaged in {} places; keep a copy of the folder before a server starts on it",
            folder.display(),
            report.damaged.len()
        );
    }
    Ok(())
}

fn render(report: &VerifyReport) -> String {
    let mut table = TextTable::new(["SEGMENTS", "RECORDS", "BYTES", "FIRST", "LAST", "TORN BYTES", "DAMAGED"]);
    table.row([
        report.segments.to_string(),
        report.records.to_string(),
        report.bytes.to_string(),
        report.first.to_string(),
        report.last.to_string(),
        report.torn_bytes.to_string(),
        report.damaged.len().to_string(),
    ]);
    let mut text = table.render();
    if report.torn_bytes > 0 {
        text.push_str("torn bytes: a write that was cut shortand was never acknowledged\n");
    }
    for damage in report.damaged.iter().take(PRINTED) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "damaged: {damage}");
    }
    let more = report.damaged.len().saturating_sub(PRINTED);
    if more > 0 {
        let _ = writeln!(text, "and {more} more damaged places");
    }
    printable_lines(&text)
}

#[cfg(test)]
mod tests {
    use footfall_ingest::wal::Damage;

    use super::*;

    fn damage(nth: u64) -> Damage {
        Damage {
            path: "wal/1.log\u{1b}[2J".into(),
            offset: nth,
            reason: "the checksum does not fit".into(),
            lost_from: 7,
            resume_at: 9,
        }
    }

    #[test]
    fn damage_list_is_complete_and_bounded() {
        let report = VerifyReport {
            records: 5,
            torn_bytes: 3,
            damaged: (0..1_000).map(damage).collect(),
            ..VerifyReport::default()
        };
        let text = render(&report);
        assert!(text.contains("cut short"), "{text}");
        assert!(
            text.contains("at byte 0: the checksum does not fit; records 7 to 8 are lost"),
            "{text}"
        );
        assert!(text.ends_with("and 900 more damaged places\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "a file's name can't command the terminal");
    }

    #[test]
    fn folder_without_a_wal_is_not_sound() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            state: Some(folder.path().to_owned()),
            ..Config::default()
        };
        assert!(run(&config).unwrap_err().to_string().contains("there is no WAL in"));
        std::fs::create_dir(config.state_dir().join("wal")).unwrap();
        run(&config).unwrap();
    }
}
