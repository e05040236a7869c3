//! Reads User-Agents from standard input, one per line, and prints what the server derives of each: `is_bot`, `browser`,
//! `os` and `device`, separated by tabs. `tools/measure_bots.py` drives it.
//!
//! The time per User-Agent goes to standard error. All are read at first sight: the cache holds nothing of use unless
//! the input repeats itself.

use std::io::{self, BufRead, BufWriter, Write};
use std::time::{Duration, Instant};

use footfall_ingest::enrich::{EnrichOptions, Enricher, Sender};
use footfall_model::proto::Event;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let enricher = Enricher::new(EnrichOptions::default())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut lines, mut spent) = (0u32, Duration::ZERO);
    for line in io::stdin().lock().lines() {
        let user_agent = line?;
        let mut event = Event::default();
        let started = Instant::now();
        enricher.enrich(
            &mut event,
            Sender {
                ip: None,
                user_agent: Some(&user_agent),
            },
        );
        spent += started.elapsed();
        lines += 1;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        writeln!(
            out,
            "{}\t{}\t{}\t{}",
            event.is_bot,
            text(&event.browser),
            text(&event.os),
            text(&event.device)
        )?;
    }
    out.flush()?;
    eprintln!("{lines} User-Agents, {:?} each", spent / lines.max(1));
    Ok(())
}
