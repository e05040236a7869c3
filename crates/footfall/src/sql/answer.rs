//! One statement: asked, written, timed; Ctrl-C cancels it.

use std::io::Write;
use std::time::Instant;

use anyhow::bail;

use super::client::Client;
use super::output::{More, Output, Style};

/// Asks and writes the answer to standard output. Dropping the answer on the way tells the server to stop.
pub(super) async fn run(client: &mut Client, sql: &str, style: Style) -> anyhow::Result<()> {
    tokio::select! {
        done = ask(client, sql, style) => done,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            bail!("cancelled")
        }
    }
}

async fn ask(client: &mut Client, sql: &str, style: Style) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut answer = client.query(sql).await?;
    let mut output = Output::new(style.format, &answer.schema, std::io::stdout())?;
    while let Some(batch) = answer.next().await? {
        if let More::Enough = output.write(&batch)? {
            break;
        }
    }
    drop(answer);
    let note = output.finish()?;
    if style.timing || note.cut {
        let rows = if note.rows == 1 { "row" } else { "rows" };
        let cut = if note.cut {
            "; there are more: add LIMIT, or take all with --format csv, json or arrow"
        } else {
            ""
        };
        let seconds = started.elapsed().as_secs_f64();
        writeln!(std::io::stderr(), "{} {rows} in {seconds:.3} s{cut}", note.rows)?;
    }
    Ok(())
}
