//! Holds a shard's lease for as long as it can be renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use footfall_catalog::{Catalog, Lease, LeaseRequest, LeaseRole};
use footfall_model::clock::{Clock, IdGen, Micros};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Renewals during the lease's duration: two of them may fail.
const RENEWALS: u32 = 3;

/// A lease, if it is held, and whoever renews it.
#[derive(Debug)]
pub(super) struct LeaseKeeper {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    /// Without the smallest epoch.
    request: LeaseRequest,
    renewal: Duration,
    held: Mutex<Option<Lease>>,
    /// The smallest epoch that is of use.
    at_least: AtomicI64,
}

impl LeaseKeeper {
    /// `duration`: how long the lease outlives its holder.
    pub(super) fn new(
        catalog: &Arc<dyn Catalog>,
        clock: &Arc<dyn Clock>,
        ids: &dyn IdGen,
        role: (u8, LeaseRole),
        duration: Duration,
    ) -> Arc<Self> {
        let (shard, role) = role;
        Arc::new(Self {
            catalog: Arc::clone(catalog),
            clock: Arc::clone(clock),
            request: LeaseRequest {
                shard,
                role,
                holder: format!("{:032x}", ids.next_id()),
                duration: Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX),
                at_least: 0,
            },
            renewal: duration / RENEWALS,
            held: Mutex::new(None),
            at_least: AtomicI64::new(0),
        })
    }

    /// The epoch of the lease while it is held.
    pub(super) fn epoch(&self) -> Option<i64> {
        let now = self.clock.now();
        self.held
            .lock()
            .filter(|lease| lease.expires_at > now)
            .map(|lease| lease.epoch)
    }

    /// The lake has seen this epoch, from another catalog: ours must be above it.
    pub(super) fn saw(&self, epoch: i64) {
        self.at_least.fetch_max(epoch.saturating_add(1), Ordering::SeqCst);
        *self.held.lock() = None;
    }

    /// Takes and renews the lease until `stop`, and then releases it.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = interval(self.renewal);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => break,
            }
            match self.catalog.take_lease(&self.request()).await {
                Ok(lease) => *self.held.lock() = lease,
                Err(error) => tracing::warn!(%error, "a lease can't be renewed for now"),
            }
        }
        if let Err(error) = self.catalog.release_lease(&self.request()).await {
            tracing::warn!(%error, "a lease can't be released; it expires by itself");
        }
        Ok(())
    }

    fn request(&self) -> LeaseRequest {
        LeaseRequest {
            at_least: self.at_least.load(Ordering::SeqCst),
            ..self.request.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use footfall_catalog::SqliteCatalog;
    use footfall_model::clock::{RandomIds, SystemClock};

    use super::*;

    #[tokio::test]
    async fn second_keeper_takes_over_after_release() {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids = Arc::new(RandomIds);
        let catalog = SqliteCatalog::open(&folder.path().join("catalog.db"), Arc::clone(&clock), ids).await;
        let catalog: Arc<dyn Catalog> = Arc::new(catalog.unwrap());
        let keeper = || {
            let role = (0, LeaseRole::Compactor);
            LeaseKeeper::new(&catalog, &clock, &RandomIds, role, Duration::from_secs(30))
        };
        let run = |keeper: &Arc<LeaseKeeper>| {
            let stop = CancellationToken::new();
            (tokio::spawn(Arc::clone(keeper).run(stop.clone())), stop)
        };
        let held = async |keeper: &Arc<LeaseKeeper>| {
            while keeper.epoch().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            keeper.epoch()
        };
        let (first, second) = (keeper(), keeper());
        let (running, stop) = run(&first);
        assert_eq!(held(&first).await, Some(1));
        first.saw(6);
        assert_eq!(first.epoch(), None, "another catalog's compactor is ahead");
        stop.cancel();
        running.await.unwrap().unwrap();
        let (running, stop) = run(&second);
        assert_eq!(held(&second).await, Some(2));
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}
