//! Where the numbers of an answer come from.

use footfall_model::access::SiteScope;
use serde_json::{Value, json};

use crate::routing::{MissingRollup, StatementRouting};

/// What an answer was computed from.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The version of `events`.
    pub version: u64,
    /// It moves with every site's events, so that a reader of some sites would see others' in it.
    shows_version: bool,
    routing: StatementRouting,
    samples: Vec<f64>,
    is_cached: bool,
}

impl Provenance {
    pub(crate) fn new(version: u64, sites: &SiteScope, routing: StatementRouting, samples: Vec<f64>) -> Self {
        Self {
            version,
            shows_version: matches!(sites, SiteScope::All),
            routing,
            samples,
            is_cached: false,
        }
    }

    /// The same of a result that was computed before.
    pub(crate) fn of_kept_result(self) -> Self {
        Self {
            is_cached: true,
            ..self
        }
    }

    /// The share of visitors of the smallest sample that is read; `None` if all are.
    pub fn sample_rate(&self) -> Option<f64> {
        self.samples
            .iter()
            .copied()
            .chain(self.routing.sample())
            .reduce(f64::min)
    }

    /// How each aggregate over events is answered, in the order of the plan.
    pub fn sources(&self) -> Vec<String> {
        let decisions = self.routing.decisions();
        decisions.iter().map(ToString::to_string).collect()
    }

    /// What would have answered the aggregates that were computed from events.
    pub(crate) fn missing_rollups(&self) -> Vec<MissingRollup> {
        self.routing.missing()
    }

    /// As clients get it, the snapshot for tokens of all sites: `{"snapshot": 12, "sources": ["rollup events_hourly: …"], "is_sampled": false, "sample_rate": 1.0, "is_cached": false}`.
    pub fn to_json(&self) -> Value {
        let (rate, version) = (self.sample_rate(), self.shows_version.then_some(self.version));
        json!({
            "snapshot": version,
            "sources": self.sources(),
            "is_sampled": rate.is_some(),
            "sample_rate": rate.unwrap_or(1.0),
            "is_cached": self.is_cached,
        })
    }
}
