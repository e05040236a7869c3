//! Configured rollups in SQL.

use footfall_model::clock::Micros;
use footfall_model::rollup::{ConfiguredRollup, ConfiguredRollups};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqliteExecutor};

use super::unavailable;
use crate::{CatalogError, DroppedRollup};

/// The revision of a change that is made now. Not lower than the time, so that a catalog that is restored from an older
/// copy does not give out a revision again.
pub(super) async fn next_revision(connection: &mut SqliteConnection, now: Micros) -> Result<u64, CatalogError> {
    let next = sqlx::query_scalar("UPDATE rollup_changes SET revision = max(revision + 1, ?) RETURNING revision");
    let next: i64 = next.bind(now).fetch_one(connection).await.map_err(unavailable)?;
    Ok(next.cast_unsigned())
}

/// The number of those in force.
pub(super) async fn count(connection: &mut SqliteConnection) -> Result<i64, CatalogError> {
    let count = sqlx::query_scalar("SELECT count(*) FROM rollups WHERE dropped_at IS NULL");
    count.fetch_one(connection).await.map_err(unavailable)
}

pub(super) async fn insert(connection: &mut SqliteConnection, made: &ConfiguredRollup) -> Result<(), CatalogError> {
    let definition = serde_json::to_string(&made.definition);
    let inserted = sqlx::query("INSERT INTO rollups (revision, name, definition, created_at) VALUES (?, ?, ?, ?)")
        .bind(made.revision.cast_signed())
        .bind(&made.definition.name)
        .bind(definition.map_err(|error| CatalogError::Unavailable(Box::new(error)))?)
        .bind(made.created_at)
        .execute(connection)
        .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(CatalogError::AlreadyExists {
            what: "rollup",
            id: made.definition.name.clone(),
        }),
        Err(error) => Err(unavailable(error)),
    }
}

/// The one of this name that is in force.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<ConfiguredRollup>, sqlx::Error> {
    let row = sqlx::query("SELECT definition, revision, created_at FROM rollups WHERE name = ? AND dropped_at IS NULL")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rollup).transpose()
}

pub(super) async fn drop(connection: &mut SqliteConnection, revision: u64, now: Micros) -> Result<(), sqlx::Error> {
    let drop = sqlx::query("UPDATE rollups SET dropped_at = ? WHERE revision = ?")
        .bind(now)
        .bind(revision.cast_signed());
    drop.execute(connection).await.map(|_| ())
}

/// All that are in force, in one transaction, so that they are as of one revision.
pub(super) async fn all(connection: &mut SqliteConnection) -> Result<ConfiguredRollups, sqlx::Error> {
    let revision = revision(&mut *connection).await?;
    let rows =
        sqlx::query("SELECT definition, revision, created_at FROM rollups WHERE dropped_at IS NULL ORDER BY revision")
            .fetch_all(connection)
            .await?;
    Ok(ConfiguredRollups {
        revision,
        rollups: rows.iter().map(rollup).collect::<Result<_, _>>()?,
    })
}

pub(super) async fn revision(executor: impl SqliteExecutor<'_>) -> Result<u64, sqlx::Error> {
    let revision: i64 = sqlx::query_scalar("SELECT revision FROM rollup_changes")
        .fetch_one(executor)
        .await?;
    Ok(revision.cast_unsigned())
}

pub(super) async fn dropped(executor: impl SqliteExecutor<'_>) -> Result<Vec<DroppedRollup>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT name, revision, dropped_at FROM rollups WHERE dropped_at IS NOT NULL ORDER BY revision")
            .fetch_all(executor)
            .await?;
    let dropped = rows.iter().map(|row| {
        Ok(DroppedRollup {
            name: row.try_get("name")?,
            revision: row.try_get::<i64, _>("revision")?.cast_unsigned(),
            dropped_at: row.try_get("dropped_at")?,
        })
    });
    dropped.collect()
}

pub(super) async fn forget(connection: &mut SqliteConnection, revision: u64) -> Result<(), sqlx::Error> {
    let forget = sqlx::query("DELETE FROM rollups WHERE revision = ? AND dropped_at IS NOT NULL");
    forget
        .bind(revision.cast_signed())
        .execute(connection)
        .await
        .map(|_| ())
}

fn rollup(row: &SqliteRow) -> Result<ConfiguredRollup, sqlx::Error> {
    let definition: &str = row.try_get("definition")?;
    Ok(ConfiguredRollup {
        definition: serde_json::from_str(definition).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        revision: row.try_get::<i64, _>("revision")?.cast_unsigned(),
        created_at: row.try_get("created_at")?,
    })
}
