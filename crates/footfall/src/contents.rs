//! What a lake holds beside its events: each kind of segments, for the compactor that writes them and the views that read
//! them.

use std::sync::Arc;

use footfall_compactor::{RollupSegments, SegmentKind};
use footfall_model::rollup;
use footfall_query::{CompactionLog, Views};

/// What the compactor keeps.
pub(crate) fn segment_kinds() -> Vec<Arc<dyn SegmentKind>> {
    vec![Arc::new(RollupSegments(rollup::built_in()))]
}

/// What SQL can name; `compactions` are those of this process.
pub(crate) fn views(compactions: Arc<CompactionLog>) -> Views {
    Views {
        rollups: rollup::built_in(),
        compactions,
    }
}
