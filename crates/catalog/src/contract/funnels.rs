//! Funnels: creation, revisions, deletion, and errors that name the field.

use super::{Subject, assert_invalid, make_sites};
use crate::testing::{ManualClock, SECOND, START, new_funnel};
use crate::{CatalogError, MAX_FUNNELS, NewFunnel};

pub(crate) async fn funnel_round_trips(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let new = new_funnel("shop");
    let made = catalog.create_funnel(new.clone()).await.unwrap();
    assert_eq!(
        (&made.tracking_id, &made.definition),
        (&new.tracking_id, &new.definition)
    );
    assert_eq!(made.created_at, START);
    assert!(made.id.starts_with("funnel_"), "{}", made.id);
    assert_eq!(catalog.funnel(&made.id).await.unwrap().as_ref(), Some(&made));
    assert_eq!(catalog.funnels().await.unwrap().funnels, [made]);
    assert_eq!(catalog.funnel("funnel_nobody").await.unwrap(), None);
}

pub(crate) async fn funnels_are_listed_by_revision(catalog: Subject, clock: &ManualClock) {
    make_sites(&catalog, &["a", "b"]).await;
    let before = catalog.funnels().await.unwrap();
    let mut made = Vec::new();
    // Setting the clock back does not change the order.
    for (now, site) in [(START, "b"), (START + SECOND, "a"), (START - SECOND, "a")] {
        clock.set(now);
        made.push(catalog.create_funnel(new_funnel(site)).await.unwrap());
    }
    let all = catalog.funnels().await.unwrap();
    assert_eq!(all.funnels, made);
    assert_eq!(all.revision, made[2].revision);
    assert_eq!(catalog.funnel_revision().await.unwrap(), all.revision);
    assert_eq!(all.catalog, before.catalog);
    assert!(!all.catalog.is_empty() && !all.catalog.contains(':'), "{}", all.catalog);
    assert_eq!(all.needed(), all.revision);
}

pub(crate) async fn funnel_revisions_never_repeat(catalog: Subject, clock: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let first = catalog.create_funnel(new_funnel("shop")).await.unwrap();
    // As late as the clock: an older copy of this catalog, restored later, gives out no revision again.
    assert!(first.revision >= START.cast_unsigned());
    catalog.delete_funnel(&first.id).await.unwrap();
    let deleted = catalog.funnels().await.unwrap();
    assert!(deleted.revision > first.revision, "a deletion is a change");
    clock.set(START - SECOND);
    let second = catalog.create_funnel(new_funnel("shop")).await.unwrap();
    assert!(second.revision > deleted.revision);
}

pub(crate) async fn deleted_funnel_is_gone(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let made = catalog.create_funnel(new_funnel("shop")).await.unwrap();
    let other = catalog.create_funnel(new_funnel("shop")).await.unwrap();
    assert_eq!(catalog.delete_funnel(&made.id).await.unwrap(), made);
    assert_eq!(catalog.funnel(&made.id).await.unwrap(), None);
    assert_eq!(catalog.funnels().await.unwrap().funnels, [other]);
    let again = catalog.delete_funnel(&made.id).await;
    assert!(matches!(again, Err(CatalogError::NotFound { what: "funnel", id }) if id == made.id));
}

pub(crate) async fn bad_funnel_error_names_field(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let changed = |change: fn(&mut NewFunnel)| {
        let mut funnel = new_funnel("shop");
        change(&mut funnel);
        funnel
    };
    let cases = [
        ("tracking_id", "create the site first", new_funnel("nowhere")),
        ("name", "1 to 200", changed(|funnel| funnel.definition.name.clear())),
        (
            "steps",
            "2 to 20",
            changed(|funnel| funnel.definition.steps.truncate(1)),
        ),
        (
            "steps",
            "step 2",
            changed(|funnel| funnel.definition.steps[1].event_type.clear()),
        ),
    ];
    for (field, expected, funnel) in cases {
        assert_invalid(
            catalog.create_funnel(funnel.clone()).await,
            field,
            expected,
            &format!("{funnel:?}"),
        );
    }
    assert_eq!(catalog.funnels().await.unwrap().funnels, []);
}

pub(crate) async fn site_has_a_limited_number_of_funnels(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["shop", "blog"]).await;
    let mut first = None;
    for _ in 0..MAX_FUNNELS {
        first = Some(catalog.create_funnel(new_funnel("shop")).await.unwrap());
    }
    assert_invalid(
        catalog.create_funnel(new_funnel("shop")).await,
        "tracking_id",
        "has 100 funnels",
        "one more",
    );
    catalog.create_funnel(new_funnel("blog")).await.unwrap();
    catalog.delete_funnel(&first.unwrap().id).await.unwrap();
    catalog.create_funnel(new_funnel("shop")).await.unwrap();
}

pub(crate) async fn funnel_changes_in_place(catalog: Subject, clock: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    let made = catalog.create_funnel(new_funnel("shop")).await.unwrap();
    let other = catalog.create_funnel(new_funnel("shop")).await.unwrap();
    clock.set(START + SECOND);
    let mut definition = made.definition.clone();
    definition.steps[1].event_type = "signup".into();
    let changed = catalog.change_funnel(&made.id, definition.clone()).await.unwrap();
    assert_eq!((&changed.id, &changed.definition), (&made.id, &definition));
    assert_eq!(changed.created_at, made.created_at);
    assert!(changed.revision > other.revision, "a change is a definition of its own");
    let all = catalog.funnels().await.unwrap();
    assert_eq!((all.revision, all.funnels), (changed.revision, vec![other, changed]));
    definition.steps.truncate(1);
    assert_invalid(
        catalog.change_funnel(&made.id, definition.clone()).await,
        "steps",
        "2 to 20",
        "one step",
    );
    let missing = catalog.change_funnel("funnel_nobody", made.definition).await;
    assert!(matches!(missing, Err(CatalogError::NotFound { what: "funnel", .. })));
}
