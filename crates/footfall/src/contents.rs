//! What a lake holds beside its events: each kind of segments, for the compactor that writes them and the views that read
//! them.

use std::sync::Arc;

use footfall_compactor::{FunnelSegments, RollupSegments, SegmentKind, SessionSegments};
use footfall_funnels::FunnelDefinitions;
use footfall_model::rollup;
use footfall_query::{CompactionLog, Views};

/// What the compactor keeps.
pub(crate) fn segment_kinds(funnels: &Arc<FunnelDefinitions>) -> Vec<Arc<dyn SegmentKind>> {
    vec![
        Arc::new(RollupSegments(rollup::built_in())),
        Arc::new(SessionSegments),
        Arc::new(FunnelSegments(Arc::clone(funnels))),
    ]
}

/// What SQL can name; `compactions` are those of this process.
pub(crate) fn views(funnels: &Arc<FunnelDefinitions>, compactions: &Arc<CompactionLog>) -> Views {
    Views {
        rollups: rollup::views(),
        sessions: true,
        funnels: Some(Arc::clone(funnels)),
        compactions: Arc::clone(compactions),
    }
}
