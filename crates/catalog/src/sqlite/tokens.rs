//! Tokens in SQL.

use std::collections::BTreeSet;
use std::sync::Arc;

use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::Micros;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::unavailable;
use crate::secret::SecretHash;
use crate::{CatalogError, Token, validate};

/// One row per site of each token, or one row with a null site; the rows of a token are consecutive.
macro_rules! select_tokens {
    ($condition:literal) => {
        concat!(
            "SELECT t.id, t.role, t.all_sites, t.created_at, t.expires_at, t.revoked_at, s.tracking_id
             FROM tokens t LEFT JOIN token_sites s ON s.token_seq = t.seq ",
            $condition,
            " ORDER BY t.seq, s.tracking_id"
        )
    };
}

/// Fails if one of the token's sites does not exist; the transaction must then be dropped.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    token: &Token,
    hash: SecretHash,
) -> Result<(), CatalogError> {
    let inserted = sqlx::query(
        "INSERT INTO tokens (id, secret_hash, role, all_sites, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&token.id)
    .bind(hash.as_bytes())
    .bind(role_name(token.role))
    .bind(token.sites == SiteScope::All)
    .bind(token.created_at)
    .bind(token.expires_at)
    .execute(&mut *connection)
    .await
    .map_err(unavailable)?;
    let SiteScope::Only(sites) = &token.sites else {
        return Ok(());
    };
    for tracking_id in sites.iter() {
        sqlx::query("INSERT INTO token_sites (token_seq, tracking_id) VALUES (?, ?)")
            .bind(inserted.last_insert_rowid())
            .bind(tracking_id)
            .execute(&mut *connection)
            .await
            .map_err(|error| match error {
                sqlx::Error::Database(error) if error.is_foreign_key_violation() => validate::unknown_site(tracking_id),
                error => unavailable(error),
            })?;
    }
    Ok(())
}

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<Token>, sqlx::Error> {
    let rows = sqlx::query(select_tokens!("")).fetch_all(pool).await?;
    fold(&rows)
}

/// The token with this hash, unless it is revoked or expired at `now`.
pub(super) async fn in_force(pool: &SqlitePool, hash: SecretHash, now: Micros) -> Result<Option<Token>, sqlx::Error> {
    let rows = sqlx::query(select_tokens!(
        "WHERE t.secret_hash = ? AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > ?)"
    ))
    .bind(hash.as_bytes())
    .bind(now)
    .fetch_all(pool)
    .await?;
    Ok(fold(&rows)?.pop())
}

/// Keeps the time of the first revocation. `None` if there is no such token.
pub(super) async fn revoke(
    connection: &mut SqliteConnection,
    id: &str,
    now: Micros,
) -> Result<Option<Token>, sqlx::Error> {
    sqlx::query("UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
        .bind(now)
        .bind(id)
        .execute(&mut *connection)
        .await?;
    let rows = sqlx::query(select_tokens!("WHERE t.id = ?"))
        .bind(id)
        .fetch_all(connection)
        .await?;
    Ok(fold(&rows)?.pop())
}

/// Converts rows of [`select_tokens`] to tokens.
fn fold(rows: &[SqliteRow]) -> Result<Vec<Token>, sqlx::Error> {
    let mut tokens: Vec<Token> = Vec::new();
    for of_one in rows.chunk_by(same_token) {
        let Some(first) = of_one.first() else { continue };
        let sites = if first.try_get("all_sites")? {
            SiteScope::All
        } else {
            let sites: Result<BTreeSet<Option<String>>, _> =
                of_one.iter().map(|row| row.try_get("tracking_id")).collect();
            SiteScope::Only(Arc::new(sites?.into_iter().flatten().collect()))
        };
        tokens.push(Token {
            id: first.try_get("id")?,
            role: role(first.try_get("role")?)?,
            sites,
            created_at: first.try_get("created_at")?,
            expires_at: first.try_get("expires_at")?,
            revoked_at: first.try_get("revoked_at")?,
        });
    }
    Ok(tokens)
}

fn same_token(a: &SqliteRow, b: &SqliteRow) -> bool {
    match (a.try_get::<&str, _>("id"), b.try_get::<&str, _>("id")) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Reader => "reader",
        Role::Writer => "writer",
    }
}

fn role(name: &str) -> Result<Role, sqlx::Error> {
    [Role::Admin, Role::Reader, Role::Writer]
        .into_iter()
        .find(|&role| role_name(role) == name)
        .ok_or_else(|| sqlx::Error::Decode(format!("unknown role {name:?} in the table of tokens").into()))
}
