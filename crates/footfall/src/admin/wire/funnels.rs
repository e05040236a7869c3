//! Funnels, as the specification writes them.

use footfall_catalog::NewFunnel;
use footfall_funnels::{Definition, Funnel, Step, Window};
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
}

impl From<NewFunnel> for FunnelRequest {
    fn from(funnel: NewFunnel) -> Self {
        let Definition { name, steps, window } = funnel.definition;
        Self {
            tracking_id: funnel.tracking_id,
            name,
            steps,
            window,
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
            },
        }
    }
}

/// The request's JSON in a file.
///
/// # Errors
/// It is not such an object, or has a key that is not known.
pub(crate) fn parse_funnel(json: &[u8]) -> Result<NewFunnel, serde_json::Error> {
    serde_json::from_slice::<FunnelRequest>(json).map(NewFunnel::from)
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::admin) struct FunnelBody {
    funnel_id: String,
    tracking_id: String,
    name: String,
    steps: Vec<Step>,
    window: Window,
    revision: u64,
    created_at: TimeText,
}

impl From<Funnel> for FunnelBody {
    fn from(funnel: Funnel) -> Self {
        let Definition { name, steps, window } = funnel.definition;
        Self {
            funnel_id: funnel.id,
            tracking_id: funnel.tracking_id,
            name,
            steps,
            window,
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
