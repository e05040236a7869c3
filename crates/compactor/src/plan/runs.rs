//! What a task reads at once: runs of files, and how many of them fit into memory.
//!
//! The files that one merge has written follow one another in the order of visitors, so a task reads them one after another,
//! as one input. A day of more files than may be read at once becomes few runs first, and then one.

use footfall_lake::{ROW_GROUP_BYTES, ROW_GROUP_ROWS};

use super::{FileState, Policy, Stage};

/// The files of one merge, which follow one another in the order of visitors: they are read one after another, as one
/// input. `files` are sorted by time and path; all others are a run each.
pub(crate) fn runs<'a, 'b>(files: &'b [&'a FileState]) -> impl Iterator<Item = &'b [&'a FileState]> {
    files.chunk_by(|a, b| a.is_followed_by(b))
}

impl FileState {
    /// The merge that has written it, and its place among those that this has written.
    fn merge(&self) -> Option<(&str, u32)> {
        if !matches!(self.stage, Stage::Merged | Stage::Final) {
            return None;
        }
        let (merge, nth) = self.stem().split_once('-')?;
        let is_id = merge.len() == 32 && merge.bytes().all(|b| b.is_ascii_hexdigit());
        Some((merge, nth.parse().ok().filter(|_| is_id)?))
    }

    fn is_followed_by(&self, next: &Self) -> bool {
        match (self.merge(), next.merge()) {
            (Some((merge, nth)), Some((of_next, next_nth))) => merge == of_next && nth < next_nth,
            _ => false,
        }
    }

    /// The most that one of its row groups takes as it is stored, about.
    pub(super) fn row_group_bytes(&self) -> u64 {
        let row_bytes = self.bytes.div_ceil(self.rows.max(1));
        self.bytes
            .min(ROW_GROUP_BYTES as u64)
            .min(row_bytes.saturating_mul(ROW_GROUP_ROWS as u64))
    }
}

/// Files that one task may read.
pub(super) struct Batch<'a> {
    pub(super) files: Vec<&'a FileState>,
    pub(super) runs: usize,
    /// Whether no other run would fit.
    pub(super) is_full: bool,
}

/// Cuts files, oldest first, into what one task may read. At least two runs are merged, whatever they take.
pub(super) fn batches<'a>(files: &[&'a FileState], policy: &Policy) -> Vec<Batch<'a>> {
    let mut batches: Vec<Batch<'a>> = Vec::new();
    let mut held = 0;
    for run in runs(files) {
        let bytes = run.iter().map(|file| file.row_group_bytes()).max().unwrap_or_default();
        if let Some(batch) = batches.last_mut() {
            let has_room = batch.runs < policy.max_inputs && held + bytes <= policy.input_bytes;
            if has_room || batch.runs < 2 {
                batch.files.extend(run);
                batch.runs += 1;
                held += bytes;
                continue;
            }
            batch.is_full = true;
        }
        held = bytes;
        batches.push(Batch {
            files: run.to_vec(),
            runs: 1,
            is_full: false,
        });
    }
    batches
}
