//! The command line's client, against the state folder and a server.

use std::sync::Arc;

use footfall_catalog::{Catalog, NewSite, NewToken, Secret};
use footfall_model::access::{Role, SiteScope};
use tokio::net::TcpListener;

use super::server::*;
use crate::admin::client::{Admin, AdminError};

/// Runs the same script on the state folder and on the server; the output must be the same.
#[tokio::test]
async fn folder_and_server_output_match() {
    let server = Server::start().await;
    let beside = open(server.folder.path(), server.clock.clone()).await;
    for (name, admin) in [("local", Admin::Local(Arc::new(beside))), ("remote", server.remote())] {
        let tracking_id = format!("shop-{name}");
        let made = admin.create_site(site(&tracking_id)).await.unwrap();
        assert_eq!(made.created_at, START);
        assert_eq!(server.catalog.site(&tracking_id).await.unwrap(), Some(made));
        assert_eq!(admin.list_sites().await.unwrap(), server.catalog.sites().await.unwrap());

        let sites = SiteScope::Only(Arc::new([tracking_id.clone()].into()));
        // To the microsecond.
        let new = NewToken {
            expires_at: Some(START + 1),
            ..token(Role::Writer, sites.clone())
        };
        let (made, secret) = admin.create_token(new).await.unwrap();
        assert_eq!(
            (made.role, &made.sites, made.expires_at),
            (Role::Writer, &sites, Some(START + 1))
        );
        assert_eq!(
            server
                .catalog
                .principal(secret.expose())
                .await
                .unwrap()
                .unwrap()
                .token_id,
            made.id
        );
        admin.create_token(token(Role::Reader, SiteScope::All)).await.unwrap();
        assert_eq!(
            admin.list_tokens().await.unwrap(),
            server.catalog.tokens().await.unwrap()
        );
        let revoked = admin.revoke_token(&made.id).await.unwrap();
        assert_eq!(revoked.revoked_at, Some(START));
        assert_eq!(server.catalog.principal(secret.expose()).await.unwrap(), None);

        let taken = admin.create_site(site(&tracking_id)).await.unwrap_err().to_string();
        assert_eq!(taken, format!("site {tracking_id:?} exists already"));
        let bad = admin
            .create_site(NewSite {
                currency: "euro".into(),
                ..site("x")
            })
            .await
            .unwrap_err()
            .to_string();
        assert!(
            bad.starts_with("currency: \"euro\" is not a currency; expected"),
            "{bad}"
        );
        let unknown = admin.revoke_token("no such/token?").await.unwrap_err().to_string();
        assert_eq!(unknown, "there is no token \"no such/token?\"");
    }
}

#[tokio::test]
async fn command_line_shows_server_refusal() {
    let server = Server::start().await;
    let foreign_writer = Admin::remote(&server.url, Secret::new("ffp_guess".into())).unwrap();
    let error = foreign_writer.list_sites().await.unwrap_err();
    assert!(
        matches!(&error, AdminError::Refused { message } if message.contains("unknown, revoked or expired")),
        "{error}"
    );
}

/// Collection's own errors, and those of a server without a free connection, are of another form.
#[tokio::test]
async fn command_line_shows_refusal_of_a_full_server() {
    let full = || async { r#"{"error": {"code": "overloaded", "message": "too many connections; try again in 1 s"}}"# };
    let answer = move || async move { (http::StatusCode::SERVICE_UNAVAILABLE, full().await) };
    let (url, serving) = serve(axum::Router::new().fallback(answer)).await;
    let server = Admin::remote(&url, Secret::new("ffp_any".into())).unwrap();
    let error = server.list_sites().await.unwrap_err();
    assert!(
        matches!(&error, AdminError::Refused { message } if message.starts_with("too many connections")),
        "{error}"
    );
    serving.abort();
}

#[tokio::test]
async fn wrong_address_differs_from_server_down() {
    let secret = || Secret::new("ffp_any".into());
    for bad in [
        "",
        "127.0.0.1:8080",
        "localhost:8080",
        "grpc://127.0.0.1:31337",
        "http://",
    ] {
        let error = Admin::remote(bad, secret()).unwrap_err();
        assert!(matches!(error, AdminError::BadUrl { .. }), "{bad}: {error}");
    }

    let (url, other) = serve(axum::Router::new().fallback(|| async { "hello" })).await;
    let error = Admin::remote(&url, secret()).unwrap().list_sites().await.unwrap_err();
    assert!(matches!(&error, AdminError::NotFootfall { .. }), "{error}");
    other.abort();

    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Admin::remote(&format!("http://{free}"), secret())
        .unwrap()
        .list_sites()
        .await
        .unwrap_err();
    assert!(matches!(&error, AdminError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn redirect_does_not_carry_token() {
    let server = Server::start().await;
    let target = format!("{}/api/v1/sites", server.url);
    let redirect = axum::Router::new().fallback(move || async move { axum::response::Redirect::temporary(&target) });
    let (url, serving) = serve(redirect).await;
    let error = Admin::remote(&url, server.admin.clone())
        .unwrap()
        .list_sites()
        .await
        .unwrap_err();
    assert!(matches!(&error, AdminError::NotFootfall { .. }), "{error}");
    serving.abort();
}

#[tokio::test]
async fn token_is_not_in_client_debug() {
    let server = Server::start().await;
    assert!(!format!("{:?}", server.remote()).contains(&server.admin.expose()[4..]));
}
