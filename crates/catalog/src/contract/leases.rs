//! Leases: one holder at a time, and an epoch that tells holders apart.

use super::Subject;
use crate::testing::{ManualClock, SECOND, START};
use crate::{Lease, LeaseRequest, LeaseRole};

fn request(holder: &str) -> LeaseRequest {
    LeaseRequest {
        shard: 0,
        role: LeaseRole::Compactor,
        holder: holder.into(),
        duration: 30 * SECOND,
        at_least: 0,
    }
}

fn lease(epoch: i64, expires_at: i64) -> Option<Lease> {
    Some(Lease { epoch, expires_at })
}

pub(crate) async fn lease_has_one_holder(catalog: Subject, clock: &ManualClock) {
    let taken = catalog.take_lease(&request("a")).await.unwrap();
    assert_eq!(taken, lease(1, START + 30 * SECOND));
    assert_eq!(catalog.take_lease(&request("b")).await.unwrap(), None);
    clock.set(START + 20 * SECOND);
    let renewed = catalog.take_lease(&request("a")).await.unwrap();
    assert_eq!(
        renewed,
        lease(1, START + 50 * SECOND),
        "renewed in time: the same epoch"
    );
    clock.set(START + 49 * SECOND);
    assert_eq!(catalog.take_lease(&request("b")).await.unwrap(), None);
}

pub(crate) async fn expired_lease_gets_a_new_epoch(catalog: Subject, clock: &ManualClock) {
    catalog.take_lease(&request("a")).await.unwrap();
    clock.set(START + 30 * SECOND);
    let taken = catalog.take_lease(&request("a")).await.unwrap();
    assert_eq!(
        taken,
        lease(2, START + 60 * SECOND),
        "work under the old one may have been fenced"
    );
    clock.set(START + 60 * SECOND);
    let taken = catalog.take_lease(&request("b")).await.unwrap();
    assert_eq!(taken, lease(3, START + 90 * SECOND));
    assert_eq!(catalog.take_lease(&request("a")).await.unwrap(), None);
}

pub(crate) async fn released_lease_is_free_at_once(catalog: Subject, clock: &ManualClock) {
    catalog.take_lease(&request("a")).await.unwrap();
    catalog.release_lease(&request("b")).await.unwrap();
    assert_eq!(
        catalog.take_lease(&request("b")).await.unwrap(),
        None,
        "it was not b's to release"
    );
    catalog.release_lease(&request("a")).await.unwrap();
    let taken = catalog.take_lease(&request("b")).await.unwrap();
    assert_eq!(taken, lease(2, START + 30 * SECOND));
    clock.set(START + SECOND);
}

/// A lake outlives its catalog: with a new one, epochs must continue above those that the lake has seen.
pub(crate) async fn lease_epoch_can_be_raised(catalog: Subject, _clock: &ManualClock) {
    let raised = LeaseRequest {
        at_least: 17,
        ..request("a")
    };
    assert_eq!(
        catalog.take_lease(&raised).await.unwrap(),
        lease(17, START + 30 * SECOND)
    );
    assert_eq!(
        catalog.take_lease(&request("a")).await.unwrap(),
        lease(17, START + 30 * SECOND)
    );
    let raised = LeaseRequest {
        at_least: 40,
        ..request("a")
    };
    assert_eq!(
        catalog.take_lease(&raised).await.unwrap(),
        lease(40, START + 30 * SECOND)
    );
}

pub(crate) async fn leases_of_shards_and_roles_are_separate(catalog: Subject, _clock: &ManualClock) {
    catalog.take_lease(&request("a")).await.unwrap();
    let others = [
        LeaseRequest {
            shard: 1,
            ..request("b")
        },
        LeaseRequest {
            role: LeaseRole::Writer,
            ..request("b")
        },
    ];
    for other in others {
        assert_eq!(catalog.take_lease(&other).await.unwrap(), lease(1, START + 30 * SECOND));
    }
}
