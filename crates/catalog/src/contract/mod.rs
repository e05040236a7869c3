//! The contract that every [`Catalog`] fulfils, one function per rule. [`catalog_contract!`] turns each rule into a
//! test of an implementation.

mod funnels;
mod leases;
mod rollups;
mod saved;
mod sites;
mod tokens;

use std::sync::Arc;

use crate::testing::new_site;
use crate::{Catalog, CatalogError};

/// `$make`: `async fn(Arc<dyn Clock>, Arc<dyn IdGen>) -> (impl Catalog, K)`. It creates an empty catalog for each test,
/// and whatever must live as long as that catalog.
macro_rules! catalog_contract {
    ($make:path) => {
        $crate::contract::catalog_contract! { @ $make:
            site_round_trips
            unknown_site_is_none
            sites_are_listed_by_tracking_id
            settings_of_one_site_change
            tracking_id_is_unique
            tracking_id_is_case_sensitive
            concurrent_creation_succeeds_once
            longest_values_are_accepted
            bad_site_error_names_field
            secret_proves_role_and_sites
            secrets_and_ids_differ
            given_secret_proves_its_token
            wrong_secret_proves_nothing
            token_round_trips
            tokens_are_listed_by_creation
            token_is_valid_until_expiry
            revoked_token_stays_listed
            second_revocation_keeps_first_time
            revoking_unknown_token_is_not_found
            bad_token_error_names_field
            refused_token_leaves_no_rows
            funnel_round_trips
            funnels_are_listed_by_revision
            funnel_revisions_never_repeat
            deleted_funnel_is_gone
            bad_funnel_error_names_field
            site_has_a_limited_number_of_funnels
            funnel_changes_in_place
            rollup_round_trips
            rollup_name_is_unique_until_it_is_dropped
            dropped_rollup_is_known_until_it_is_forgotten
            bad_rollup_error_names_field
            saved_round_trips
            saved_is_found_by_name_or_id_of_its_site
            saved_name_is_unique_in_its_site
            bad_saved_error_names_field
            lease_has_one_holder
            expired_lease_gets_a_new_epoch
            released_lease_is_free_at_once
            lease_epoch_can_be_raised
            leases_of_shards_and_roles_are_separate
        }
    };
    (@ $make:path: $($rule:ident)+) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let clock = $crate::testing::ManualClock::new();
                let ids = std::sync::Arc::new($crate::testing::CountingIds::default());
                let (catalog, _kept) = $make(clock.clone(), ids).await;
                $crate::contract::$rule(std::sync::Arc::new(catalog), &clock).await;
            }
        )+
    };
}
pub(crate) use catalog_contract;
pub(crate) use funnels::*;
pub(crate) use leases::*;
pub(crate) use rollups::*;
pub(crate) use saved::*;
pub(crate) use sites::*;
pub(crate) use tokens::*;

type Subject = Arc<dyn Catalog>;

async fn make_sites(catalog: &Subject, tracking_ids: &[&str]) {
    for tracking_id in tracking_ids {
        catalog.create_site(new_site(tracking_id)).await.unwrap();
    }
}

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(
    outcome: Result<T, CatalogError>,
    expected_field: &str,
    expected: &str,
    case: &str,
) {
    match outcome {
        Err(CatalogError::Invalid { field, reason }) => {
            assert_eq!(field, expected_field, "{case}");
            assert!(reason.contains(expected), "{case}: {reason}");
            assert!(reason.len() < 400, "{case}: {reason}");
        }
        other => panic!("{case}: {other:?}"),
    }
}
