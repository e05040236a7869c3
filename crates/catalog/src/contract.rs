//! What every [`Catalog`] does, one rule a function. [`catalog_contract!`] makes a test of each for an implementation.

use std::sync::Arc;

use footfall_model::access::{Principal, Role, SiteScope};
use footfall_model::clock::RandomIds;
use footfall_model::hash::DedupeBy;

use crate::testing::{ManualClock, SECOND, START, new_site, new_token, only};
use crate::{Catalog, CatalogError, NewSite, NewToken, Secret, Site};

/// `$make`: `async fn(Arc<dyn Clock>, Arc<dyn IdGen>) -> (impl Catalog, K)`, an empty catalog each time and whatever
/// must live as long as it does.
macro_rules! catalog_contract {
    ($make:path) => {
        $crate::contract::catalog_contract! { @ $make:
            site_round_trips
            unknown_site_is_none
            sites_are_listed_by_tracking_id
            dedupe_by_of_one_site_changes
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

type Subject = Arc<dyn Catalog>;

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

pub(crate) async fn dedupe_by_of_one_site_changes(catalog: Subject, _: &ManualClock) {
    let shop = catalog.create_site(new_site("shop")).await.unwrap();
    let blog = catalog.create_site(new_site("blog")).await.unwrap();
    for dedupe_by in [None, Some(DedupeBy::Content), Some(DedupeBy::Key), None] {
        let changed = catalog.set_dedupe_by("shop", dedupe_by).await.unwrap();
        let expected = Site {
            dedupe_by,
            ..shop.clone()
        };
        assert_eq!(
            (&changed, catalog.site("shop").await.unwrap()),
            (&expected, Some(expected.clone()))
        );
        assert_eq!(catalog.site("blog").await.unwrap().as_ref(), Some(&blog));
    }
    let unknown = catalog.set_dedupe_by("nobody", None).await;
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

pub(crate) async fn secret_proves_role_and_sites(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["a", "b", "c"]).await;
    let scopes = [
        (Role::Admin, SiteScope::All),
        (Role::Reader, SiteScope::All),
        (Role::Writer, SiteScope::All),
        (Role::Reader, only(&["a", "c"])),
        (Role::Writer, only(&["b"])),
    ];
    for (role, sites) in scopes {
        let (token, secret) = catalog.create_token(new_token(role, sites.clone())).await.unwrap();
        let proven = catalog.principal(secret.expose()).await.unwrap();
        assert_eq!(
            proven,
            Some(Principal {
                token_id: token.id,
                role,
                sites
            })
        );
    }
}

pub(crate) async fn secrets_and_ids_differ(catalog: Subject, _: &ManualClock) {
    let (one, first) = catalog
        .create_token(new_token(Role::Admin, SiteScope::All))
        .await
        .unwrap();
    let (two, second) = catalog
        .create_token(new_token(Role::Admin, SiteScope::All))
        .await
        .unwrap();
    assert_ne!(one.id, two.id);
    assert_ne!(first, second);
    for secret in [first, second] {
        assert!(secret.expose().starts_with("ffp_"));
        assert!(!secret.expose().contains(&one.id) && !secret.expose().contains(&two.id));
    }
}

pub(crate) async fn given_secret_proves_its_token(catalog: Subject, _: &ManualClock) {
    let secret = Secret::random(&RandomIds);
    assert_eq!(catalog.principal(secret.expose()).await.unwrap(), None);
    let new = new_token(Role::Admin, SiteScope::All);
    let token = catalog.create_token_with(new.clone(), &secret).await.unwrap();
    let proven = catalog.principal(secret.expose()).await.unwrap().unwrap();
    assert_eq!(proven.token_id, token.id);
    assert!(
        catalog.create_token_with(new, &secret).await.is_err(),
        "one secret, one token"
    );
}

pub(crate) async fn wrong_secret_proves_nothing(catalog: Subject, _: &ManualClock) {
    let (token, secret) = catalog
        .create_token(new_token(Role::Admin, SiteScope::All))
        .await
        .unwrap();
    let secret = secret.expose();
    let bits = secret.strip_prefix("ffp_").unwrap();
    let near_misses = [
        String::new(),
        "ffp_".into(),
        bits.into(),
        token.id,
        secret.to_uppercase(),
        format!("{secret} "),
        format!("{secret}0"),
        secret[..secret.len() - 1].into(),
        format!("ffp_{}", "0".repeat(64)),
        "' OR 1=1 --".into(),
        "%".into(),
        "\0".into(),
    ];
    for near_miss in near_misses {
        assert_eq!(catalog.principal(&near_miss).await.unwrap(), None, "{near_miss:?}");
    }
    assert!(catalog.principal(secret).await.unwrap().is_some());
}

pub(crate) async fn token_round_trips(catalog: Subject, clock: &ManualClock) {
    make_sites(&catalog, &["a", "b"]).await;
    clock.set(START + SECOND);
    let new = NewToken {
        expires_at: Some(START + 5 * SECOND),
        ..new_token(Role::Reader, only(&["b", "a"]))
    };
    let (made, _) = catalog.create_token(new).await.unwrap();
    assert_eq!((made.role, &made.sites), (Role::Reader, &only(&["a", "b"])));
    assert_eq!(made.created_at, START + SECOND);
    assert_eq!((made.expires_at, made.revoked_at), (Some(START + 5 * SECOND), None));
    assert_eq!(catalog.tokens().await.unwrap(), [made]);
}

pub(crate) async fn tokens_are_listed_by_creation(catalog: Subject, clock: &ManualClock) {
    let mut made = Vec::new();
    // A clock that is set back does not change the order.
    for now in [START, START + SECOND, START - SECOND] {
        clock.set(now);
        made.push(
            catalog
                .create_token(new_token(Role::Admin, SiteScope::All))
                .await
                .unwrap()
                .0,
        );
    }
    assert_eq!(catalog.tokens().await.unwrap(), made);
}

pub(crate) async fn token_is_valid_until_expiry(catalog: Subject, clock: &ManualClock) {
    let expires_at = START + 90 * SECOND;
    let new = NewToken {
        expires_at: Some(expires_at),
        ..new_token(Role::Reader, SiteScope::All)
    };
    let (token, secret) = catalog.create_token(new).await.unwrap();
    clock.set(expires_at - 1);
    assert!(catalog.principal(secret.expose()).await.unwrap().is_some());
    clock.set(expires_at);
    assert_eq!(catalog.principal(secret.expose()).await.unwrap(), None);
    assert_eq!(
        catalog.tokens().await.unwrap(),
        [token],
        "an expired token stays listed"
    );
}

pub(crate) async fn revoked_token_stays_listed(catalog: Subject, clock: &ManualClock) {
    let (lost, lost_secret) = catalog
        .create_token(new_token(Role::Reader, SiteScope::All))
        .await
        .unwrap();
    let (kept, kept_secret) = catalog
        .create_token(new_token(Role::Reader, SiteScope::All))
        .await
        .unwrap();
    clock.set(START + SECOND);
    let revoked = catalog.revoke_token(&lost.id).await.unwrap();
    assert_eq!(
        revoked,
        crate::Token {
            revoked_at: Some(START + SECOND),
            ..lost
        }
    );
    assert_eq!(catalog.principal(lost_secret.expose()).await.unwrap(), None);
    assert!(catalog.principal(kept_secret.expose()).await.unwrap().is_some());
    assert_eq!(catalog.tokens().await.unwrap(), [revoked, kept]);
}

pub(crate) async fn second_revocation_keeps_first_time(catalog: Subject, clock: &ManualClock) {
    make_sites(&catalog, &["a"]).await;
    let (token, _) = catalog
        .create_token(new_token(Role::Writer, only(&["a"])))
        .await
        .unwrap();
    let first = catalog.revoke_token(&token.id).await.unwrap();
    clock.set(START + SECOND);
    let second = catalog.revoke_token(&token.id).await.unwrap();
    assert_eq!(first.revoked_at, Some(START));
    assert_eq!(second, first);
}

pub(crate) async fn revoking_unknown_token_is_not_found(catalog: Subject, _: &ManualClock) {
    let error = catalog.revoke_token("tok_nobody").await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::NotFound { what: "token", id } if id == "tok_nobody"),
        "{error}"
    );
}

pub(crate) async fn bad_token_error_names_field(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["a"]).await;
    let expiring = |at| NewToken {
        expires_at: Some(at),
        ..new_token(Role::Reader, SiteScope::All)
    };
    let cases = [
        ("expires_at", "future", expiring(START)),
        ("expires_at", "future", expiring(START - 90 * SECOND)),
        ("sites", "at least one", new_token(Role::Reader, only(&[]))),
        ("sites", "at least one", new_token(Role::Writer, only(&[]))),
        ("sites", "every site", new_token(Role::Admin, only(&["a"]))),
        ("sites", "every site", new_token(Role::Admin, only(&[]))),
        (
            "sites",
            "create the site first",
            new_token(Role::Reader, only(&["nowhere"])),
        ),
        (
            "sites",
            "create the site first",
            new_token(Role::Writer, only(&["a", "nowhere"])),
        ),
        ("sites", "create the site first", new_token(Role::Reader, only(&["A"]))),
    ];
    for (field, expected, token) in cases {
        assert_invalid(
            catalog.create_token(token.clone()).await,
            field,
            expected,
            &format!("{token:?}"),
        );
    }
}

pub(crate) async fn refused_token_leaves_no_rows(catalog: Subject, _: &ManualClock) {
    make_sites(&catalog, &["a"]).await;
    catalog
        .create_token(new_token(Role::Reader, only(&["a", "nowhere"])))
        .await
        .unwrap_err();
    assert_eq!(catalog.tokens().await.unwrap(), []);
    catalog
        .create_token(new_token(Role::Reader, only(&["a"])))
        .await
        .unwrap();
    assert_eq!(catalog.tokens().await.unwrap().len(), 1);
}

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
