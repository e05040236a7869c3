//! Holds a shard's lease for as long as it can be renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use footfall_catalog::{Catalog, Lease, LeaseRequest, LeaseRole};
use footfall_model::clock::{Clock, IdGen, Micros};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How long the lease outlives its holder.
const DURATION: Micros = 30_000_000;

/// How often it is renewed: two renewals may fail.
const RENEWAL: Duration = Duration::from_secs(10);

/// A lease, if it is held, and whoever renews it.
#[derive(Debug)]
pub(super) struct LeaseKeeper {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    shard: u8,
    role: LeaseRole,
    holder: String,
    held: Mutex<Option<Lease>>,
    /// The smallest epoch that is of use.
    at_least: AtomicI64,
}

impl LeaseKeeper {
    pub(super) fn new(
        catalog: &Arc<dyn Catalog>,
        shard: u8,
        role: LeaseRole,
        clock: &Arc<dyn Clock>,
        ids: &dyn IdGen,
    ) -> Arc<Self> {
        Arc::new(Self {
            catalog: Arc::clone(catalog),
            clock: Arc::clone(clock),
            shard,
            role,
            holder: format!("{:032x}", ids.next_id()),
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
        let mut ticks = interval(RENEWAL);
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
            shard: self.shard,
            role: self.role,
            holder: self.holder.clone(),
            duration: DURATION,
            at_least: self.at_least.load(Ordering::SeqCst),
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
        let keeper = || LeaseKeeper::new(&catalog, 0, LeaseRole::Compactor, &clock, &RandomIds);
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
