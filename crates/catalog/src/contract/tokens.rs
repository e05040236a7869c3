//! Tokens: secrets, expiry, revocation, and errors that name the field.

use footfall_model::access::{Principal, Role, SiteScope};
use footfall_model::clock::RandomIds;

use super::{Subject, assert_invalid, make_sites};
use crate::testing::{ManualClock, SECOND, START, new_token, only};
use crate::{CatalogError, NewToken, Secret};

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
    // Setting the clock back does not change the order.
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
