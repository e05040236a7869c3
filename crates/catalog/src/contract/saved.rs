//! Segments and dashboards: creation, names, changes, deletion, and errors that name the field.

use serde_json::json;

use super::{Subject, assert_invalid, make_sites};
use crate::testing::{ManualClock, SECOND, START};
use crate::{CatalogError, MAX_SAVED, NewSaved, SavedKind};

const KINDS: [SavedKind; 2] = [SavedKind::Segment, SavedKind::Dashboard];

fn new_saved(tracking_id: &str, name: &str) -> NewSaved {
    NewSaved {
        tracking_id: tracking_id.into(),
        name: name.into(),
        definition: json!({"events": {}}),
    }
}

pub(crate) async fn saved_round_trips(catalog: Subject, clock: &ManualClock) {
    make_sites(&catalog, &["shop"]).await;
    for kind in KINDS {
        clock.set(START);
        let made = catalog
            .create_saved(kind, new_saved("shop", "it's \"x\""))
            .await
            .unwrap();
        assert!(made.id.starts_with(kind.what()), "{}", made.id);
        assert_eq!((made.created_at, made.updated_at), (START, START));
        assert_eq!(catalog.saved(kind, &made.id).await.unwrap().as_ref(), Some(&made));
        assert_eq!(catalog.all_saved(kind).await.unwrap(), std::slice::from_ref(&made));
        clock.set(START + SECOND);
        let changed = catalog
            .change_saved(kind, &made.id, "y".into(), json!({"a": [1]}))
            .await
            .unwrap();
        assert_eq!((changed.created_at, changed.updated_at), (START, START + SECOND));
        assert_eq!((changed.name.as_str(), &changed.definition), ("y", &json!({"a": [1]})));
        assert_eq!(catalog.saved(kind, &made.id).await.unwrap(), Some(changed.clone()));
        assert_eq!(catalog.delete_saved(kind, &made.id).await.unwrap(), changed);
        assert_eq!(catalog.saved(kind, &made.id).await.unwrap(), None);
        for gone in [
            catalog.delete_saved(kind, &made.id).await,
            catalog.change_saved(kind, &made.id, "z".into(), json!({})).await,
        ] {
            assert!(matches!(gone, Err(CatalogError::NotFound { what, .. }) if what == kind.what()));
        }
    }
}

pub(crate) async fn saved_is_found_by_name_or_id_of_its_site(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["a", "b"]).await;
    for kind in KINDS {
        let of_a = catalog.create_saved(kind, new_saved("a", "x")).await.unwrap();
        let of_b = catalog.create_saved(kind, new_saved("b", "x")).await.unwrap();
        // A name that is another one's id.
        let odd = catalog.create_saved(kind, new_saved("a", &of_a.id)).await.unwrap();
        let found = async |site: &str, name: &str| catalog.saved_named(kind, site, name).await.unwrap();
        assert_eq!(found("a", "x").await.as_ref(), Some(&of_a));
        assert_eq!(found("b", "x").await.as_ref(), Some(&of_b));
        assert_eq!(found("b", &of_b.id).await.as_ref(), Some(&of_b));
        assert_eq!(found("b", &of_a.id).await, None);
        assert_eq!(found("a", &of_a.id).await, Some(odd));
        assert_eq!(found("a", "' OR 1 = 1 --").await, None);
    }
}

pub(crate) async fn saved_name_is_unique_in_its_site(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["a"]).await;
    for kind in KINDS {
        let first = catalog.create_saved(kind, new_saved("a", "x")).await.unwrap();
        let other = catalog.create_saved(kind, new_saved("a", "y")).await.unwrap();
        let taken = |outcome| assert!(matches!(outcome, Err(CatalogError::AlreadyExists { .. })));
        taken(catalog.create_saved(kind, new_saved("a", "x")).await);
        taken(catalog.change_saved(kind, &other.id, "x".into(), json!({})).await);
        catalog
            .change_saved(kind, &first.id, "x".into(), json!({}))
            .await
            .unwrap();
    }
}

pub(crate) async fn bad_saved_error_names_field(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["a"]).await;
    for kind in KINDS {
        for (site, name, field, expected) in [
            ("a", "", "name", "expected 1 to 100"),
            ("a", "x\u{0}", "name", "control character"),
            ("a", "x,y", "name", "comma"),
            ("nowhere", "x", "tracking_id", "does not exist"),
        ] {
            let outcome = catalog.create_saved(kind, new_saved(site, name)).await;
            assert_invalid(outcome, field, expected, name);
        }
        for nth in 0..MAX_SAVED {
            catalog
                .create_saved(kind, new_saved("a", &nth.to_string()))
                .await
                .unwrap();
        }
        let outcome = catalog.create_saved(kind, new_saved("a", "one more")).await;
        assert_invalid(outcome, "tracking_id", "delete one", "too many");
    }
}
