//! Funnels, as the specification writes them.

use footfall_catalog::NewFunnel;
use footfall_funnels::{Definition, Funnel, FunnelScope, Step, Window};
use footfall_gateway::{Problem, read_json};
use serde::{Deserialize, Serialize};

use super::TimeText;

/// `POST /api/v1/funnels`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct FunnelRequest {
    tracking_id: String,
    name: String,
    steps: Vec<Step>,
    #[serde(default)]
    window: Window,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_window: Option<Window>,
    #[serde(default, skip_serializing_if = "is_false")]
    strict_order: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    strict_deduplication: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    strict_increase: bool,
    #[serde(default, skip_serializing_if = "FunnelScope::is_default")]
    scope: FunnelScope,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl From<NewFunnel> for FunnelRequest {
    fn from(funnel: NewFunnel) -> Self {
        let definition = funnel.definition;
        Self {
            tracking_id: funnel.tracking_id,
            name: definition.name,
            steps: definition.steps,
            window: definition.window,
            step_window: definition.step_window,
            strict_order: definition.strict_order,
            strict_deduplication: definition.strict_deduplication,
            strict_increase: definition.strict_increase,
            scope: definition.scope,
        }
    }
}

impl From<FunnelRequest> for NewFunnel {
    fn from(funnel: FunnelRequest) -> Self {
        Self {
            tracking_id: funnel.tracking_id,
            definition: Definition {
                name: funnel.name,
                steps: funnel.steps,
                window: funnel.window,
                step_window: funnel.step_window,
                strict_order: funnel.strict_order,
                strict_deduplication: funnel.strict_deduplication,
                strict_increase: funnel.strict_increase,
                scope: funnel.scope,
            },
        }
    }
}

/// The request's JSON in a file.
///
/// # Errors
/// It is not such an object, or has a key that is not known.
pub(crate) fn parse_funnel(json: &[u8]) -> Result<NewFunnel, Problem> {
    read_json::<FunnelRequest>(json).map(NewFunnel::from)
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::admin) struct FunnelBody {
    funnel_id: String,
    tracking_id: String,
    name: String,
    steps: Vec<Step>,
    window: Window,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_window: Option<Window>,
    #[serde(default, skip_serializing_if = "is_false")]
    strict_order: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    strict_deduplication: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    strict_increase: bool,
    #[serde(default, skip_serializing_if = "FunnelScope::is_default")]
    scope: FunnelScope,
    revision: u64,
    created_at: TimeText,
}

impl From<Funnel> for FunnelBody {
    fn from(funnel: Funnel) -> Self {
        let definition = funnel.definition;
        Self {
            funnel_id: funnel.id,
            tracking_id: funnel.tracking_id,
            name: definition.name,
            steps: definition.steps,
            window: definition.window,
            step_window: definition.step_window,
            strict_order: definition.strict_order,
            strict_deduplication: definition.strict_deduplication,
            strict_increase: definition.strict_increase,
            scope: definition.scope,
            revision: funnel.revision,
            created_at: TimeText(funnel.created_at),
        }
    }
}

impl From<FunnelBody> for Funnel {
    fn from(funnel: FunnelBody) -> Self {
        Self {
            id: funnel.funnel_id,
            tracking_id: funnel.tracking_id,
            revision: funnel.revision,
            definition: Definition {
                name: funnel.name,
                steps: funnel.steps,
                window: funnel.window,
                step_window: funnel.step_window,
                strict_order: funnel.strict_order,
                strict_deduplication: funnel.strict_deduplication,
                strict_increase: funnel.strict_increase,
                scope: funnel.scope,
            },
            created_at: funnel.created_at.0,
        }
    }
}

/// The reply's JSON, for people who script.
pub(crate) fn funnel_to_json(funnel: Funnel) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(FunnelBody::from(funnel))
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::admin) struct FunnelsBody {
    pub(in crate::admin) funnels: Vec<FunnelBody>,
}
