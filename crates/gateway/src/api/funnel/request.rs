//! What is asked of a funnel.

use chrono::{DateTime, Utc};
use footfall_funnels as funnels;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::range;
use crate::problem::{Problem, printable};

/// The dimensions of `funnel_progress`.
const BREAKDOWNS: [&str; 9] = [
    "country",
    "device",
    "browser",
    "os",
    "source",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "channel",
];

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct AnalysisQuery {
    pub(super) start_date: Option<String>,
    pub(super) end_date: Option<String>,
    pub(super) date_range: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) breakdown_by: Option<String>,
    /// Names of segments, separated by commas: visitors that are in all of them.
    pub(super) segments: Option<String>,
    /// The funnel's own site; another one has no such funnel.
    pub(super) tracking_id: Option<String>,
}

/// A funnel, and what is asked of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct AnalysisRequest {
    pub(super) tracking_id: String,
    #[serde(default = "unnamed")]
    pub(super) name: String,
    /// As of `POST /api/v1/funnels`.
    #[schema(value_type = Vec<Object>)]
    pub(super) steps: Vec<funnels::Step>,
    #[serde(default)]
    #[schema(value_type = String)]
    pub(super) window: funnels::Window,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) step_window: Option<funnels::Window>,
    #[serde(default)]
    pub(super) strict_order: bool,
    #[serde(default)]
    pub(super) strict_deduplication: bool,
    #[serde(default)]
    pub(super) strict_increase: bool,
    /// `visitor`, the default, or `session`: all steps in one session.
    #[serde(default)]
    #[schema(value_type = String)]
    pub(super) scope: funnels::FunnelScope,
    pub(super) start_date: Option<String>,
    pub(super) end_date: Option<String>,
    pub(super) date_range: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) breakdown_by: Option<String>,
    /// Names of segments: visitors that are in all of them.
    #[serde(default)]
    pub(super) segments: Vec<String>,
}

impl AnalysisRequest {
    /// The funnel, checked.
    pub(super) fn definition(&mut self) -> Result<funnels::Definition, Problem> {
        check_breakdown(self.breakdown_by.as_deref())?;
        let definition = funnels::Definition {
            name: std::mem::take(&mut self.name),
            steps: std::mem::take(&mut self.steps),
            window: self.window,
            step_window: self.step_window,
            strict_order: self.strict_order,
            strict_deduplication: self.strict_deduplication,
            strict_increase: self.strict_increase,
            scope: self.scope,
        };
        let valid = definition.validate();
        valid.map_err(|error| Problem::invalid(error.field, printable(&error.reason)))?;
        Ok(definition)
    }

    /// Whether it can be answered, but for its site and its segments.
    pub(in crate::api) fn check(mut self, now: DateTime<Utc>) -> Result<(), Problem> {
        self.definition()?;
        let dates = (self.start_date.as_deref(), self.end_date.as_deref());
        range::parse(
            now,
            chrono_tz::UTC,
            dates,
            self.date_range.as_deref(),
            self.time_zone.as_deref(),
        )
        .map(|_| ())
    }
}

impl AnalysisQuery {
    /// Whether it can be answered, but for its funnel and its segments.
    pub(in crate::api) fn check(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        check_breakdown(self.breakdown_by.as_deref())?;
        let dates = (self.start_date.as_deref(), self.end_date.as_deref());
        range::parse(
            now,
            chrono_tz::UTC,
            dates,
            self.date_range.as_deref(),
            self.time_zone.as_deref(),
        )
        .map(|_| ())
    }
}

fn unnamed() -> String {
    "funnel".to_owned()
}

pub(super) fn check_breakdown(given: Option<&str>) -> Result<(), Problem> {
    match given {
        Some(name) if !BREAKDOWNS.contains(&name) => Err(Problem::unknown(
            "breakdown_by",
            "dimension of a funnel",
            name,
            BREAKDOWNS,
        )),
        _ => Ok(()),
    }
}
