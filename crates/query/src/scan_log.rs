//! What the scans of one statement read: with its plan, all that its result depends on.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::result_cache::Fingerprint;

/// The scans of a statement, noted while it is planned.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScanLog(Arc<Mutex<Scans>>);

#[derive(Debug, Default)]
struct Scans {
    of_files: Vec<Fingerprint>,
    /// Of something that is not a file of the lake.
    of_state: bool,
}

impl ScanLog {
    /// Notes a scan: its table, its conditions and its files.
    pub(crate) fn of_files(&self, scan: Fingerprint) {
        self.0.lock().of_files.push(scan);
    }

    /// Notes a scan of what this process knows now.
    pub(crate) fn of_state(&self) {
        self.0.lock().of_state = true;
    }

    /// All scans, in an order that does not depend on planning; `None` if not all of them are of files.
    pub(crate) fn files(&self) -> Option<Vec<Fingerprint>> {
        let scans = self.0.lock();
        let mut files = scans.of_files.clone();
        files.sort_unstable();
        (!scans.of_state).then_some(files)
    }
}
