//! Funnels in SQL.

use footfall_funnels::{Definition, Funnel, FunnelSet};
use footfall_model::clock::Micros;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqliteExecutor};

use super::unavailable;
use crate::{CatalogError, validate};

macro_rules! select_funnels {
    ($rest:literal) => {
        concat!(
            "SELECT id, tracking_id, definition, revision, created_at FROM funnels ",
            $rest
        )
    };
}

/// The revision of a change that is made now. Not lower than the time, so that a catalog that is restored from an older
/// copy does not give out a revision again.
pub(super) async fn next_revision(connection: &mut SqliteConnection, now: Micros) -> Result<u64, CatalogError> {
    let next = sqlx::query_scalar("UPDATE funnel_changes SET revision = max(revision + 1, ?) RETURNING revision");
    let next: i64 = next.bind(now).fetch_one(connection).await.map_err(unavailable)?;
    Ok(next.cast_unsigned())
}

/// The site's number of funnels.
pub(super) async fn count(connection: &mut SqliteConnection, tracking_id: &str) -> Result<i64, CatalogError> {
    let count = sqlx::query_scalar("SELECT count(*) FROM funnels WHERE tracking_id = ?").bind(tracking_id);
    count.fetch_one(connection).await.map_err(unavailable)
}

pub(super) async fn insert(connection: &mut SqliteConnection, funnel: &Funnel) -> Result<(), CatalogError> {
    let definition = serde_json::to_string(&funnel.definition);
    let inserted = sqlx::query(
        "INSERT INTO funnels (id, tracking_id, name, definition, created_at, updated_at, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&funnel.id)
    .bind(&funnel.tracking_id)
    .bind(&funnel.definition.name)
    .bind(definition.map_err(|error| CatalogError::Unavailable(Box::new(error)))?)
    .bind(funnel.created_at)
    .bind(funnel.created_at)
    .bind(funnel.revision.cast_signed())
    .execute(connection)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(validate::unknown_site_of_funnel(&funnel.tracking_id))
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// Replaces the definition by that of `funnel`.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    funnel: &Funnel,
    now: Micros,
) -> Result<(), CatalogError> {
    let definition = serde_json::to_string(&funnel.definition);
    let change = sqlx::query("UPDATE funnels SET name = ?, definition = ?, updated_at = ?, revision = ? WHERE id = ?")
        .bind(&funnel.definition.name)
        .bind(definition.map_err(|error| CatalogError::Unavailable(Box::new(error)))?)
        .bind(now)
        .bind(funnel.revision.cast_signed())
        .bind(&funnel.id);
    change.execute(connection).await.map(|_| ()).map_err(unavailable)
}

pub(super) async fn find(executor: impl SqliteExecutor<'_>, id: &str) -> Result<Option<Funnel>, sqlx::Error> {
    let row = sqlx::query(select_funnels!("WHERE id = ?"))
        .bind(id)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(funnel).transpose()
}

pub(super) async fn delete(connection: &mut SqliteConnection, id: &str) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("DELETE FROM funnels WHERE id = ?").bind(id);
    delete.execute(connection).await.map(|_| ())
}

pub(super) async fn revision(executor: impl SqliteExecutor<'_>) -> Result<u64, sqlx::Error> {
    let revision: i64 = sqlx::query_scalar("SELECT revision FROM funnel_changes")
        .fetch_one(executor)
        .await?;
    Ok(revision.cast_unsigned())
}

/// All of them, in one transaction, so that they are as of one revision.
pub(super) async fn all(connection: &mut SqliteConnection) -> Result<FunnelSet, sqlx::Error> {
    let changes = sqlx::query("SELECT catalog, revision FROM funnel_changes")
        .fetch_one(&mut *connection)
        .await?;
    let rows = sqlx::query(select_funnels!("ORDER BY revision"))
        .fetch_all(connection)
        .await?;
    Ok(FunnelSet {
        catalog: changes.try_get("catalog")?,
        revision: changes.try_get::<i64, _>("revision")?.cast_unsigned(),
        funnels: rows.iter().map(funnel).collect::<Result<_, _>>()?,
    })
}

fn funnel(row: &SqliteRow) -> Result<Funnel, sqlx::Error> {
    let definition: &str = row.try_get("definition")?;
    let definition: Definition =
        serde_json::from_str(definition).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Funnel {
        id: row.try_get("id")?,
        tracking_id: row.try_get("tracking_id")?,
        revision: row.try_get::<i64, _>("revision")?.cast_unsigned(),
        definition,
        created_at: row.try_get("created_at")?,
    })
}
