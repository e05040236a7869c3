//! The only object store that queries can reach. DataFusion's own registry would open local files.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use url::Url;

/// Names the lake's root inside the plans of callers that may see every row.
pub(crate) const WHOLE: &str = "footfall://lake";

/// The same root inside the plans of readers: files below it may hold rows of other sites.
pub(crate) const SHARED: &str = "footfall://shared";

/// `name` as DataFusion's scans need it; only [`OneStore`] resolves it.
pub(crate) fn root(name: &str) -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(name)
}

/// Knows the lake's store and refuses everything else.
#[derive(Debug)]
pub(crate) struct OneStore(pub(crate) Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for OneStore {
    fn register_store(&self, _url: &Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if [WHOLE, SHARED].contains(&url.as_str().trim_end_matches('/')) {
            Ok(Arc::clone(&self.0))
        } else {
            Err(DataFusionError::Plan(format!("{url} is not part of the lake")))
        }
    }
}
