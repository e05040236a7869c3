//! Runs one statement, writes its result and times it; Ctrl-C cancels it.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::bail;

use super::client::{Client, ResultStream};
use super::output::{More, Note, Output, Style};
use crate::cli::SqlFormat;

/// Runs the query and writes the result to standard output. Dropping the result midway cancels it on the server.
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
    let (out, gone) = Watched::new(std::io::stdout());
    let written = write(&mut answer, style.format, out).await;
    // The format writers hide an error's kind in its text.
    if gone.load(Ordering::Relaxed) {
        return Err(std::io::Error::from(ErrorKind::BrokenPipe).into());
    }
    let note = written?;
    drop(answer);
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

async fn write(answer: &mut ResultStream, format: SqlFormat, to: impl Write) -> anyhow::Result<Note> {
    let mut output = Output::new(format, &answer.schema, to)?;
    while let Some(batch) = answer.next().await? {
        if let More::Enough = output.write(&batch)? {
            break;
        }
    }
    output.finish()
}

/// Remembers whether its reader has gone away.
struct Watched<W> {
    to: W,
    gone: Arc<AtomicBool>,
}

impl<W> Watched<W> {
    fn new(to: W) -> (Self, Arc<AtomicBool>) {
        let gone = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&gone);
        (Self { to, gone }, flag)
    }

    fn watch<T>(&self, outcome: std::io::Result<T>) -> std::io::Result<T> {
        if outcome
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
        {
            self.gone.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let outcome = self.to.write(bytes);
        self.watch(outcome)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let outcome = self.to.flush();
        self.watch(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn broken_pipe_differs_from_full_disk() {
        for (kind, expected) in [(ErrorKind::BrokenPipe, true), (ErrorKind::StorageFull, false)] {
            let (mut out, gone) = Watched::new(Broken(kind));
            assert!(out.write_all(b"x").is_err());
            assert_eq!(gone.load(Ordering::Relaxed), expected);
        }
    }
}
