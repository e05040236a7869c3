//! What is printed of an imported file.

use std::path::Path;
use std::time::Duration;

use footfall_ingest::import::{Outcome, Rejected, Report};

/// The summary of a file, line by line.
pub(super) fn lines(path: &Path, report: &Report, took: Duration) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", path.display(), outcome(report, took))];
    for (reason, rejected) in &report.rejected {
        lines.extend(rejection(reason, rejected));
    }
    for ((field, what), values) in &report.changed {
        lines.push(format!("  {field}: {} {what}", counted(*values, "value", "values")));
    }
    if !report.ignored.is_empty() {
        let names: Vec<_> = report.ignored.iter().map(String::as_str).collect();
        lines.push(format!("  ignored, because no event has them: {}", names.join(", ")));
    }
    lines
}

fn outcome(report: &Report, took: Duration) -> String {
    let rejected = report.rejected_rows();
    match report.outcome {
        Outcome::Repeated => "imported before; nothing was added".into(),
        Outcome::Refused => format!(
            "nothing was imported, because {rejected} of {} were rejected; --skip-rejected imports the others",
            counted(report.rows, "row", "rows")
        ),
        Outcome::Imported => {
            let seconds = took.as_secs_f64();
            format!(
                "{} of {} rows imported in {seconds:.1} s ({:.0} rows/s), {} duplicates ({} compared), {rejected} rejected",
                report.imported,
                report.rows,
                report.rows as f64 / seconds.max(1e-9),
                report.duplicates,
                counted(report.days, "day", "days"),
            )
        }
    }
}

fn rejection(reason: &str, rejected: &Rejected) -> Vec<String> {
    let numbers: Vec<_> = rejected.examples.iter().map(|(row, _)| row.to_string()).collect();
    let more = if rejected.rows > numbers.len() as u64 {
        ", ..."
    } else {
        ""
    };
    let rows = if rejected.rows == 1 { "row" } else { "rows" };
    let mut lines = vec![format!(
        "  {} rejected: {reason} ({rows} {}{more})",
        counted(rejected.rows, "row", "rows"),
        numbers.join(", ")
    )];
    let details = rejected.examples.iter().filter(|(_, detail)| !detail.is_empty());
    lines.extend(details.map(|(row, detail)| format!("    row {row}: {detail}")));
    lines
}

fn counted(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(report: &Report) -> String {
        lines(Path::new("x.csv"), report, Duration::from_secs(2)).join("\n")
    }

    fn report(outcome: Outcome) -> Report {
        let rejected = |rows, examples: &[(u64, &str)]| Rejected {
            rows,
            examples: examples
                .iter()
                .map(|(row, detail)| (*row, (*detail).to_owned()))
                .collect(),
        };
        Report {
            outcome,
            rows: 1_000,
            imported: 900,
            duplicates: 94,
            days: 1,
            rejected: [
                ("client_id is missing".to_owned(), rejected(1, &[(3, "")])),
                ("a reason".to_owned(), rejected(5, &[(4, "this"), (5, "that"), (7, "")])),
            ]
            .into(),
            changed: [(("page.title", "cut"), 1), (("utm.term", "replaced"), 2)].into(),
            ignored: ["timestmap", "x"].map(String::from).into(),
        }
    }

    #[test]
    fn summary_gives_reasons_with_rows() {
        assert_eq!(
            summary(&report(Outcome::Imported)),
            "x.csv: 900 of 1000 rows imported in 2.0 s (500 rows/s), 94 duplicates (1 day compared), 6 rejected\n\
             \x20 5 rows rejected: a reason (rows 4, 5, 7, ...)\n\
             \x20   row 4: this\n\
             \x20   row 5: that\n\
             \x20 1 row rejected: client_id is missing (row 3)\n\
             \x20 page.title: 1 value cut\n\
             \x20 utm.term: 2 values replaced\n\
             \x20 ignored, because no event has them: timestmap, x"
        );
    }

    #[test]
    fn refused_file_says_what_to_do() {
        let refused = summary(&report(Outcome::Refused));
        assert!(refused.starts_with(
            "x.csv: nothing was imported, because 6 of 1000 rows were rejected; --skip-rejected imports the others\n"
        ));
        let repeated = Report {
            outcome: Outcome::Repeated,
            ..Report::default()
        };
        assert_eq!(summary(&repeated), "x.csv: imported before; nothing was added");
    }
}
