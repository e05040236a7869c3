//! How a failure is reported.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

/// Writes `error: what: why: why` to standard error.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let mut err = std::io::stderr().lock();
    let colour = err.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let label = if colour { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
    // If even that fails, the exit code still reports it.
    let _ = writeln!(err, "{label} {}", chain(error));
    ExitCode::FAILURE
}

/// A reader that closed the pipe is not a failure (`footfall sql ... | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}

/// The causes, outermost first. Many errors repeat their cause in their own text: a repeated cause is left out.
pub(super) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
