//! The one object store that queries can reach. DataFusion's own registry would open local files.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use url::Url;

/// Names the root of the shard's `events` table inside plans; nobody resolves it but [`OneStore`].
const ROOT: &str = "footfall://events";

/// The URL of the table's root.
pub(crate) fn root() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(ROOT)
}

/// Knows the lake's store and refuses everything else.
#[derive(Debug)]
pub(crate) struct OneStore(pub(crate) Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for OneStore {
    fn register_store(&self, _url: &Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if url.as_str().trim_end_matches('/') == ROOT {
            Ok(Arc::clone(&self.0))
        } else {
            Err(DataFusionError::Plan(format!("{url} is not part of the lake")))
        }
    }
}
