//! The funnels of a catalog, as of a revision.

use std::sync::Arc;

use footfall_model::access::SiteScope;
use footfall_model::clock::Micros;
use parking_lot::RwLock;

use crate::Definition;

/// A funnel of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funnel {
    pub id: String,
    pub tracking_id: String,
    /// When its definition was made, in the order of all changes of the catalog's funnels. No other definition ever has
    /// the same number.
    pub revision: u64,
    pub definition: Definition,
    pub created_at: Micros,
}

/// All funnels of a catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunnelSet {
    /// Tells the revisions of one catalog from another's.
    pub catalog: String,
    /// The revision of the newest change; no funnel has a greater one.
    pub revision: u64,
    /// By revision.
    pub funnels: Vec<Funnel>,
}

impl FunnelSet {
    /// The funnels of these sites that `keep` holds for.
    pub fn of(&self, sites: &SiteScope, keep: impl Fn(&Funnel) -> bool) -> Vec<Funnel> {
        let wanted = |funnel: &&Funnel| sites.allows(&funnel.tracking_id) && keep(funnel);
        self.funnels.iter().filter(wanted).cloned().collect()
    }

    /// The revision up to which a file's steps must be known; 0 if there is no funnel.
    pub fn needed(&self) -> u64 {
        self.funnels
            .iter()
            .map(|funnel| funnel.revision)
            .max()
            .unwrap_or_default()
    }
}

/// The newest known funnels, shared by those who refresh them and those who use them.
#[derive(Debug, Default)]
pub struct FunnelDefinitions(RwLock<Arc<FunnelSet>>);

impl FunnelDefinitions {
    pub fn new(set: FunnelSet) -> Self {
        Self(RwLock::new(Arc::new(set)))
    }

    pub fn current(&self) -> Arc<FunnelSet> {
        Arc::clone(&self.0.read())
    }

    /// Replaces them, unless `set` is older than what is known.
    pub fn replace(&self, set: FunnelSet) {
        let mut current = self.0.write();
        if set.catalog != current.catalog || set.revision >= current.revision {
            *current = Arc::new(set);
        }
    }
}
