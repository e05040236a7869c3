//! Sites in SQL.

use footfall_model::hash::DedupeBy;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqliteExecutor, SqlitePool};

use super::unavailable;
use crate::{CatalogError, Site, SiteChange, validate};

macro_rules! select_sites {
    ($rest:literal) => {
        concat!(
            "SELECT tracking_id, tenant, name, url, timezone, currency, writer_token_required, dedupe_by, retention_days,
             created_at FROM sites ",
            $rest
        )
    };
}

pub(super) async fn insert(connection: &mut SqliteConnection, site: &Site) -> Result<(), CatalogError> {
    let inserted = sqlx::query(
        "INSERT INTO sites (tracking_id, tenant, name, url, timezone, currency, writer_token_required, dedupe_by, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&site.tracking_id)
    .bind(&site.tenant)
    .bind(&site.name)
    .bind(&site.url)
    .bind(&site.timezone)
    .bind(&site.currency)
    .bind(site.writer_token_required)
    .bind(site.dedupe_by.map(DedupeBy::name))
    .bind(site.created_at)
    .execute(connection)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(CatalogError::AlreadyExists {
            what: "site",
            id: site.tracking_id.clone(),
        }),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(validate::unknown_tenant(&site.tenant))
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// False if there is no such site.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    tracking_id: &str,
    change: &SiteChange,
) -> Result<bool, sqlx::Error> {
    let dedupe_by = change.dedupe_by.flatten().map(DedupeBy::name);
    let updated = sqlx::query(
        "UPDATE sites SET dedupe_by = iif(?, ?, dedupe_by), retention_days = iif(?, ?, retention_days)
         WHERE tracking_id = ?",
    )
    .bind(change.dedupe_by.is_some())
    .bind(dedupe_by)
    .bind(change.retention_days.is_some())
    .bind(change.retention_days.flatten())
    .bind(tracking_id)
    .execute(connection)
    .await?;
    Ok(updated.rows_affected() == 1)
}

pub(super) async fn find(executor: impl SqliteExecutor<'_>, tracking_id: &str) -> Result<Option<Site>, sqlx::Error> {
    let row = sqlx::query(select_sites!("WHERE tracking_id = ?"))
        .bind(tracking_id)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(site).transpose()
}

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<Site>, sqlx::Error> {
    let rows = sqlx::query(select_sites!("ORDER BY tracking_id"))
        .fetch_all(pool)
        .await?;
    rows.iter().map(site).collect()
}

fn site(row: &SqliteRow) -> Result<Site, sqlx::Error> {
    let dedupe_by: Option<String> = row.try_get("dedupe_by")?;
    let unknown = |error: String| sqlx::Error::Decode(error.into());
    Ok(Site {
        tracking_id: row.try_get("tracking_id")?,
        tenant: row.try_get("tenant")?,
        name: row.try_get("name")?,
        url: row.try_get("url")?,
        timezone: row.try_get("timezone")?,
        currency: row.try_get("currency")?,
        writer_token_required: row.try_get("writer_token_required")?,
        dedupe_by: dedupe_by.map(|name| name.parse()).transpose().map_err(unknown)?,
        retention_days: row.try_get("retention_days")?,
        created_at: row.try_get("created_at")?,
    })
}
