//! Where the numbers of an answer come from.

use serde_json::{Value, json};

use crate::routing::StatementRouting;

/// What an answer was computed from.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The version of `events`.
    pub version: u64,
    routing: StatementRouting,
}

impl Provenance {
    pub(crate) fn new(version: u64, routing: StatementRouting) -> Self {
        Self { version, routing }
    }

    /// How each aggregate over events is answered, in the order of the plan.
    pub fn sources(&self) -> Vec<String> {
        let decisions = self.routing.decisions();
        decisions.iter().map(ToString::to_string).collect()
    }

    /// As clients get it: `{"snapshot": 12, "sources": ["rollup events_hourly: …"], "exact": true}`.
    pub fn to_json(&self) -> Value {
        json!({"snapshot": self.version, "sources": self.sources(), "exact": true})
    }
}
