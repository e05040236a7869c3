//! What a lake holds beside its events: each kind of segments, for the compactor that writes them and the views that read
//! them.

use std::sync::Arc;

use footfall_compactor::{FunnelSegments, RollupSegments, SegmentKind};
use footfall_funnels::FunnelDefinitions;
use footfall_model::rollup;
use footfall_query::Views;

/// What the compactor keeps.
pub(crate) fn segment_kinds(funnels: &Arc<FunnelDefinitions>) -> Vec<Arc<dyn SegmentKind>> {
    vec![
        Arc::new(RollupSegments(rollup::built_in())),
        Arc::new(FunnelSegments(Arc::clone(funnels))),
    ]
}

/// What SQL can name.
pub(crate) fn views(funnels: &Arc<FunnelDefinitions>) -> Views {
    Views {
        rollups: rollup::built_in(),
        funnels: Some(Arc::clone(funnels)),
    }
}
