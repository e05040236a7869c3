//! The same events as a file, one JSON object a line, for other systems to load.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::Context;
use footfall_model::clock::{Clock, SystemClock};

use crate::args::WriteArgs;
use crate::events::{Filler, Form, Sequence, templates};

/// Events that are filled at once.
const BATCH: u32 = 100;

pub(crate) fn write(args: &WriteArgs) -> anyhow::Result<()> {
    let file = File::create(&args.file).with_context(|| format!("{} can't be written", args.file.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let templates = templates(Form::Lines, &args.tracking_id, BATCH)?;
    let mut filler = Filler::new(Sequence::new(args.seed));
    let mut bytes = Vec::new();
    for (first, template) in (0..args.events).step_by(BATCH as usize).zip(templates.iter().cycle()) {
        filler.fill(template, &mut bytes, first, SystemClock.now());
        let lines = usize::try_from(args.events - first)?;
        for line in bytes.split_inclusive(|&byte| byte == b'\n').take(lines) {
            out.write_all(line)?;
        }
    }
    out.flush()?;
    Ok(())
}
