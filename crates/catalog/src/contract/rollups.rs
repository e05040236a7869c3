//! Configured rollups: creation, revisions, what a drop leaves, and errors that name the field.

use footfall_model::rollup::RollupDefinition;

use super::{Subject, assert_invalid, make_sites};
use crate::testing::{ManualClock, SECOND, START};
use crate::{CatalogError, MAX_ROLLUPS};

fn rollup(name: &str) -> RollupDefinition {
    serde_json::from_value(serde_json::json!({
        "name": name, "sites": ["shop"], "grain": "hour", "dimensions": ["country"],
    }))
    .unwrap()
}

pub(crate) async fn rollup_round_trips(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let made = catalog.create_rollup(rollup("mine")).await.unwrap();
    assert_eq!((&made.definition, made.created_at), (&rollup("mine"), START));
    let all = catalog.rollups().await.unwrap();
    assert_eq!((all.revision, all.rollups), (made.revision, vec![made.clone()]));
    assert_eq!(catalog.rollup_revision().await.unwrap(), made.revision);
}

pub(crate) async fn rollup_name_is_unique_until_it_is_dropped(catalog: Subject, clock: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let first = catalog.create_rollup(rollup("mine")).await.unwrap();
    let again = catalog.create_rollup(rollup("mine")).await;
    assert!(matches!(again, Err(CatalogError::AlreadyExists { what: "rollup", id }) if id == "mine"));
    clock.set(START + SECOND);
    assert_eq!(catalog.drop_rollup("mine").await.unwrap(), first);
    let none = catalog.rollups().await.unwrap();
    assert!(none.rollups.is_empty() && none.revision > first.revision);
    let second = catalog.create_rollup(rollup("mine")).await.unwrap();
    assert!(second.revision > none.revision, "no revision comes twice");
    let missing = catalog.drop_rollup("other").await;
    assert!(matches!(missing, Err(CatalogError::NotFound { what: "rollup", .. })));
}

pub(crate) async fn dropped_rollup_is_known_until_it_is_forgotten(catalog: Subject, clock: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let made = catalog.create_rollup(rollup("mine")).await.unwrap();
    assert_eq!(catalog.dropped_rollups().await.unwrap(), []);
    clock.set(START + SECOND);
    catalog.drop_rollup("mine").await.unwrap();
    let kept = catalog.create_rollup(rollup("mine")).await.unwrap();
    let dropped = catalog.dropped_rollups().await.unwrap();
    assert_eq!(
        (dropped.len(), dropped[0].revision, dropped[0].dropped_at),
        (1, made.revision, START + SECOND)
    );
    for revision in [made.revision, made.revision, kept.revision] {
        catalog.forget_rollup(revision).await.unwrap();
    }
    assert_eq!(catalog.dropped_rollups().await.unwrap(), []);
    assert_eq!(
        catalog.rollups().await.unwrap().rollups,
        [kept],
        "one in force is not forgotten"
    );
}

pub(crate) async fn bad_rollup_error_names_field(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let refused = async |definition, field, expected| {
        assert_invalid(catalog.create_rollup(definition).await, field, expected, expected);
    };
    refused(rollup("events_daily"), "name", "choose another").await;
    let mut unknown_site = rollup("mine");
    unknown_site.sites = Some(["nowhere".to_owned()].into());
    refused(unknown_site, "sites", "create the site first").await;
    for nth in 0..MAX_ROLLUPS {
        catalog.create_rollup(rollup(&format!("r{nth}"))).await.unwrap();
    }
    refused(rollup("one_more"), "name", "there are 32 rollups").await;
    assert_eq!(catalog.rollups().await.unwrap().rollups.len() as i64, MAX_ROLLUPS);
}
