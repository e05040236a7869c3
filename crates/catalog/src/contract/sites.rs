//! Sites: creation, look-ups, and errors that name the field.

use footfall_model::hash::DedupeBy;

use super::{Subject, assert_invalid};
use crate::testing::{ManualClock, START, new_site};
use crate::{CatalogError, NewSite, SiteChange};

pub(crate) async fn site_round_trips(catalog: Subject, _: &ManualClock) {
    let new = new_site("UA-123456-1");
    let made = catalog.create_site(new.clone()).await.unwrap();
    assert_eq!(made.created_at, START);
    assert_eq!(
        NewSite {
            tracking_id: made.tracking_id.clone(),
            tenant: made.tenant.clone(),
            name: made.name.clone(),
            url: made.url.clone(),
            timezone: made.timezone.clone(),
            currency: made.currency.clone(),
            writer_token_required: made.writer_token_required,
            dedupe_by: made.dedupe_by,
        },
        new
    );
    assert_eq!(catalog.site("UA-123456-1").await.unwrap(), Some(made.clone()));
    assert_eq!(catalog.sites().await.unwrap(), [made]);

    let bare = NewSite {
        url: None,
        writer_token_required: false,
        dedupe_by: None,
        ..new_site("bare")
    };
    let bare = catalog.create_site(bare).await.unwrap();
    assert_eq!(
        (&bare.url, bare.writer_token_required, bare.dedupe_by),
        (&None, false, None)
    );
    assert_eq!(catalog.site("bare").await.unwrap(), Some(bare));
}

pub(crate) async fn settings_of_one_site_change(catalog: Subject, _: &ManualClock) {
    let mut shop = catalog.create_site(new_site("shop")).await.unwrap();
    let blog = catalog.create_site(new_site("blog")).await.unwrap();
    let dedupe_by = |dedupe_by| SiteChange {
        dedupe_by: Some(dedupe_by),
        ..SiteChange::default()
    };
    let retention = |days| SiteChange {
        retention_days: Some(days),
        ..SiteChange::default()
    };
    for change in [
        dedupe_by(None),
        dedupe_by(Some(DedupeBy::Content)),
        retention(Some(90)),
        dedupe_by(Some(DedupeBy::Key)),
        retention(None),
        SiteChange {
            dedupe_by: Some(None),
            retention_days: Some(Some(36_500)),
        },
    ] {
        shop.dedupe_by = change.dedupe_by.unwrap_or(shop.dedupe_by);
        shop.retention_days = change.retention_days.unwrap_or(shop.retention_days);
        assert_eq!(catalog.change_site("shop", change).await.unwrap(), shop, "{change:?}");
        assert_eq!(catalog.site("shop").await.unwrap().as_ref(), Some(&shop));
        assert_eq!(catalog.site("blog").await.unwrap().as_ref(), Some(&blog));
    }
    for days in [0, 36_501, u32::MAX] {
        let refused = catalog.change_site("shop", retention(Some(days))).await;
        assert_invalid(refused, "retention_days", "expected 1 to 36500 days", "days");
    }
    let nothing = catalog.change_site("shop", SiteChange::default()).await;
    assert_invalid(nothing, "dedupe_by", "expected one of them", "nothing");
    let unknown = catalog.change_site("nobody", dedupe_by(None)).await;
    assert!(matches!(unknown, Err(CatalogError::NotFound { what: "site", id }) if id == "nobody"));
}

pub(crate) async fn unknown_site_is_none(catalog: Subject, _: &ManualClock) {
    assert_eq!(catalog.site("shop").await.unwrap(), None);
    assert_eq!(catalog.sites().await.unwrap(), []);
}

pub(crate) async fn sites_are_listed_by_tracking_id(catalog: Subject, _: &ManualClock) {
    for tracking_id in ["b", "a", "c", "B"] {
        catalog.create_site(new_site(tracking_id)).await.unwrap();
    }
    let listed: Vec<_> = catalog
        .sites()
        .await
        .unwrap()
        .into_iter()
        .map(|site| site.tracking_id)
        .collect();
    assert_eq!(listed, ["B", "a", "b", "c"]);
}

pub(crate) async fn tracking_id_is_unique(catalog: Subject, _: &ManualClock) {
    let first = catalog.create_site(new_site("shop")).await.unwrap();
    let again = catalog
        .create_site(NewSite {
            name: "Another".into(),
            ..new_site("shop")
        })
        .await
        .unwrap_err();
    assert!(
        matches!(&again, CatalogError::AlreadyExists { what: "site", id } if id == "shop"),
        "{again}"
    );
    assert_eq!(catalog.site("shop").await.unwrap(), Some(first));
}

pub(crate) async fn tracking_id_is_case_sensitive(catalog: Subject, _: &ManualClock) {
    let small = catalog.create_site(new_site("shop")).await.unwrap();
    let capital = catalog.create_site(new_site("Shop")).await.unwrap();
    assert_eq!(catalog.site("shop").await.unwrap(), Some(small));
    assert_eq!(catalog.site("Shop").await.unwrap(), Some(capital));
    assert_eq!(catalog.site("SHOP").await.unwrap(), None);
}

pub(crate) async fn concurrent_creation_succeeds_once(catalog: Subject, _: &ManualClock) {
    let mut makers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let catalog = catalog.clone();
        makers.spawn(async move { catalog.create_site(new_site("shop")).await });
    }
    let outcomes = makers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(CatalogError::AlreadyExists { .. })))
        .count();
    assert_eq!(refused, 15);
}

pub(crate) async fn longest_values_are_accepted(catalog: Subject, _: &ManualClock) {
    let site = NewSite {
        tracking_id: "aZ09._-x".repeat(8),
        // 200 characters in 600 bytes.
        name: "\u{30b5}".repeat(200),
        url: Some(format!("http://example.com/{}", "x".repeat(2048 - 19))),
        ..new_site("")
    };
    let made = catalog.create_site(site).await.unwrap();
    assert_eq!(catalog.site(&made.tracking_id.clone()).await.unwrap(), Some(made));
}

pub(crate) async fn bad_site_error_names_field(catalog: Subject, _: &ManualClock) {
    let tracking_id = |bad: &str| NewSite {
        tracking_id: bad.into(),
        ..new_site("")
    };
    let name = |bad: &str| NewSite {
        name: bad.into(),
        ..new_site("shop")
    };
    let url = |bad: &str| NewSite {
        url: Some(bad.into()),
        ..new_site("shop")
    };
    let timezone = |bad: &str| NewSite {
        timezone: bad.into(),
        ..new_site("shop")
    };
    let currency = |bad: &str| NewSite {
        currency: bad.into(),
        ..new_site("shop")
    };
    let tenant = |bad: &str| NewSite {
        tenant: bad.into(),
        ..new_site("shop")
    };
    let cases = [
        ("tracking_id", "A-Z a-z 0-9 . _ -", tracking_id("")),
        ("tracking_id", "A-Z a-z 0-9 . _ -", tracking_id("two words")),
        ("tracking_id", "A-Z a-z 0-9 . _ -", tracking_id("a/b")),
        ("tracking_id", "A-Z a-z 0-9 . _ -", tracking_id("caf\u{e9}")),
        ("tracking_id", "A-Z a-z 0-9 . _ -", tracking_id("shop\n")),
        ("tracking_id", "1 to 64", tracking_id(&"x".repeat(65))),
        ("name", "1 to 200", name("")),
        ("name", "1 to 200", name(" \t ")),
        ("name", "1 to 200", name(&"x".repeat(201))),
        ("name", "control", name("a\u{1b}[31mb")),
        ("url", "https://", url("")),
        ("url", "https://", url("example.com")),
        ("url", "https://", url("/shop")),
        ("url", "https://", url("ftp://example.com")),
        ("url", "https://", url("javascript:alert(1)")),
        ("url", "https://", url("https://")),
        ("url", "2048", url(&format!("https://example.com/{}", "x".repeat(2048)))),
        ("timezone", "Europe/Berlin", timezone("")),
        ("timezone", "Europe/Berlin", timezone("Mars/Phobos")),
        ("timezone", "Europe/Berlin", timezone("+02:00")),
        ("currency", "EUR", currency("")),
        ("currency", "EUR", currency("eur")),
        ("currency", "EUR", currency("EURO")),
        ("currency", "EUR", currency("\u{20ac}")),
        ("tenant", "default", tenant("")),
        ("tenant", "default", tenant("nobody")),
    ];
    for (field, expected, site) in cases {
        assert_invalid(
            catalog.create_site(site.clone()).await,
            field,
            expected,
            &format!("{site:?}"),
        );
    }
    assert_eq!(catalog.sites().await.unwrap(), []);
}
