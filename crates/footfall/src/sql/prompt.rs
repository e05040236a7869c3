//! The prompt: buffers lines until a semicolon; history is kept for the next session.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use super::answer;
use super::client::Client;
use super::output::Style;
use super::statements::Statements;
use crate::cli::{SqlFormat, report_failure};

const HISTORY_LINES: usize = 10_000;

const HELP: &str = "\
  ;            ends a statement; it may span lines
  \\d           the tables
  \\d TABLE     a table's columns
  \\?           this
  \\q, Ctrl-D   leave
  Ctrl-C       drop the line, or cancel the query that runs
";

/// What a line requests.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Sql,
    Leave,
    Help,
    /// A prompt command that is implemented in SQL.
    Ask(String),
    Unknown,
}

/// Runs statements until the user leaves.
pub(super) async fn run(client: &mut Client, state: &Path, server: &str, format: SqlFormat) -> anyhow::Result<()> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)?
        .auto_add_history(false)
        .build();
    let mut editor = Editor::<(), FileHistory>::with_config(config).context("the terminal can't be read")?;
    let history = history_file(state);
    if let Some(path) = &history {
        // The first session has no history.
        let _ = editor.load_history(path);
    }
    say(&format!("{server}; \\? for help, \\q to leave\n"))?;
    let style = Style { format, timing: true };
    let mut statements = Statements::default();
    loop {
        let prompt = if statements.is_empty() {
            "footfall> "
        } else {
            "       -> "
        };
        // Reading blocks; the runtime's other threads keep running.
        let line = match tokio::task::block_in_place(|| editor.readline(prompt)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                statements.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("the terminal can't be read"),
        };
        let fresh = statements.is_empty();
        if !line.trim().is_empty() {
            let _ = editor.add_history_entry(line.as_str());
            if let Some(path) = &history {
                // At once, because closing the terminal window kills the process. Failing to save history is not fatal.
                let _ = editor.append_history(path);
            }
        }
        match if fresh { understand(&line) } else { Line::Sql } {
            Line::Leave => break,
            Line::Help => say(HELP)?,
            Line::Unknown => say("no such command; \\? lists them\n")?,
            Line::Ask(sql) => ask(client, &sql, style).await,
            Line::Sql => {
                statements.push(&line);
                statements.push("\n");
                while let Some(sql) = statements.next() {
                    ask(client, &sql, style).await;
                }
            }
        }
    }
    Ok(())
}

/// A statement's failure does not end the prompt.
async fn ask(client: &mut Client, sql: &str, style: Style) {
    if let Err(error) = answer::run(client, sql, style).await {
        report_failure(&error);
    }
}

fn understand(line: &str) -> Line {
    let line = line.trim();
    let Some(command) = line.strip_prefix('\\') else {
        return match line.trim_end_matches(';').to_ascii_lowercase().as_str() {
            "quit" | "exit" => Line::Leave,
            "help" => Line::Help,
            _ => Line::Sql,
        };
    };
    let mut words = command.trim_end_matches(';').split_whitespace();
    match (words.next(), words.next()) {
        (Some("q"), None) => Line::Leave,
        (Some("?" | "h"), None) => Line::Help,
        (Some("d"), None) => Line::Ask(
            "SELECT table_schema, table_name, table_type FROM information_schema.tables \
             WHERE table_schema <> 'information_schema' ORDER BY 1, 2"
                .into(),
        ),
        (Some("d"), Some(table)) => Line::Ask(format!(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
             WHERE table_name = '{}' ORDER BY ordinal_position",
            table.rsplit('.').next().unwrap_or(table).replace('\'', "''")
        )),
        _ => Line::Unknown,
    }
}

/// In the state folder if there is one, else in the user's home; none if there is neither.
fn history_file(state: &Path) -> Option<PathBuf> {
    if state.is_dir() {
        return Some(state.join("sql-history"));
    }
    let home = std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"))?;
    Some(PathBuf::from(home).join(".footfall-sql-history"))
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stderr().lock().write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_sql_are_distinguished() {
        assert_eq!(understand("SELECT 1;"), Line::Sql);
        for line in ["\\q", " \\q ", "quit", "exit;"] {
            assert_eq!(understand(line), Line::Leave, "{line}");
        }
        assert_eq!(understand("\\?"), Line::Help);
        assert_eq!(understand("\\x"), Line::Unknown);
        assert_eq!(understand("\\q now"), Line::Unknown);
    }

    #[test]
    fn table_name_is_quoted_in_commands() {
        let Line::Ask(sql) = understand("\\d public.ev'ents;") else {
            panic!("no question")
        };
        assert!(sql.contains("table_name = 'ev''ents'"), "{sql}");
        assert!(matches!(understand("\\d"), Line::Ask(sql) if sql.contains("information_schema.tables")));
    }
}
