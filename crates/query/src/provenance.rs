//! Where the numbers of an answer come from.

use serde_json::{Value, json};

use crate::routing::StatementRouting;

/// What an answer was computed from.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The version of `events`.
    pub version: u64,
    routing: StatementRouting,
    samples: Vec<f64>,
}

impl Provenance {
    pub(crate) fn new(version: u64, routing: StatementRouting, samples: Vec<f64>) -> Self {
        Self {
            version,
            routing,
            samples,
        }
    }

    /// The share of visitors of the smallest sample that is read; `None` if all are.
    pub fn sample_rate(&self) -> Option<f64> {
        self.samples.iter().copied().reduce(f64::min)
    }

    /// How each aggregate over events is answered, in the order of the plan.
    pub fn sources(&self) -> Vec<String> {
        let decisions = self.routing.decisions();
        decisions.iter().map(ToString::to_string).collect()
    }

    /// As clients get it: `{"snapshot": 12, "sources": ["rollup events_hourly: …"], "is_sampled": false, "sample_rate": 1.0}`.
    pub fn to_json(&self) -> Value {
        let rate = self.sample_rate();
        json!({
            "snapshot": self.version,
            "sources": self.sources(),
            "is_sampled": rate.is_some(),
            "sample_rate": rate.unwrap_or(1.0),
        })
    }
}
