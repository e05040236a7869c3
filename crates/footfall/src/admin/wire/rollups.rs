//! Configured rollups.

use std::collections::BTreeSet;

use footfall_lake::RollupProgress;
use footfall_model::rollup::{ConfiguredRollup, Grain, MeasureDefinition, RollupDefinition};
use serde::{Deserialize, Serialize};

use super::TimeText;

/// What is known of a rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RollupStatus {
    pub(crate) rollup: ConfiguredRollup,
    /// `None` where its table is not open.
    pub(crate) progress: Option<RollupProgress>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::admin) struct RollupBody {
    name: String,
    /// Null: all sites.
    sites: Option<BTreeSet<String>>,
    grain: Grain,
    per_visitor: bool,
    dimensions: Vec<String>,
    measures: Vec<MeasureDefinition>,
    revision: u64,
    created_at: TimeText,
    progress: Option<ProgressBody>,
}

/// Files of events, and their rows: all, and those that segments stand for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::admin) struct ProgressBody {
    files: u64,
    covered_files: u64,
    rows: u64,
    covered_rows: u64,
}

impl From<RollupStatus> for RollupBody {
    fn from(RollupStatus { rollup, progress }: RollupStatus) -> Self {
        let definition = rollup.definition;
        Self {
            name: definition.name,
            sites: definition.sites,
            grain: definition.grain,
            per_visitor: definition.per_visitor,
            dimensions: definition.dimensions,
            measures: definition.measures,
            revision: rollup.revision,
            created_at: TimeText(rollup.created_at),
            progress: progress.map(|progress| ProgressBody {
                files: progress.files,
                covered_files: progress.covered_files,
                rows: progress.rows,
                covered_rows: progress.covered_rows,
            }),
        }
    }
}

impl From<RollupBody> for RollupStatus {
    fn from(body: RollupBody) -> Self {
        Self {
            rollup: ConfiguredRollup {
                definition: RollupDefinition {
                    name: body.name,
                    sites: body.sites,
                    grain: body.grain,
                    per_visitor: body.per_visitor,
                    dimensions: body.dimensions,
                    measures: body.measures,
                },
                revision: body.revision,
                created_at: body.created_at.0,
            },
            progress: body.progress.map(|progress| RollupProgress {
                files: progress.files,
                covered_files: progress.covered_files,
                rows: progress.rows,
                covered_rows: progress.covered_rows,
            }),
        }
    }
}

/// As JSON for people who script.
pub(crate) fn rollup_to_json(status: RollupStatus) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(RollupBody::from(status))
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::admin) struct RollupsBody {
    pub(in crate::admin) rollups: Vec<RollupBody>,
}
