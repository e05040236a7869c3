//! What happened, in order: the same seed must give the same trace.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

/// A running digest of everything that happened, and the lines themselves if they are wanted.
#[derive(Debug, Clone)]
pub(super) struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    digest: DefaultHasher,
    count: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(keep: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            // Its keys are fixed, unlike those of a `HashMap`.
            digest: DefaultHasher::new(),
            count: 0,
            lines: keep.then(Vec::new),
        })))
    }

    pub(super) fn note(&self, line: fmt::Arguments<'_>) {
        let mut inner = self.0.lock();
        inner.count += 1;
        let text = line.to_string();
        text.hash(&mut inner.digest);
        if let Some(lines) = &mut inner.lines {
            lines.push(text);
        }
    }

    pub(super) fn digest(&self) -> (u64, u64) {
        let inner = self.0.lock();
        (inner.count, inner.digest.finish())
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().lines.clone().unwrap_or_default()
    }
}
