//! What owners save for a site, in SQL: segments of users and dashboards, whose tables have the same columns.

use footfall_model::clock::Micros;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, SqliteExecutor};

use super::unavailable;
use crate::{CatalogError, Saved, SavedKind, validate};

const COLUMNS: &str = "id, tracking_id, name, definition, created_at, updated_at";

/// The name is ours.
fn table(kind: SavedKind) -> &'static str {
    match kind {
        SavedKind::Segment => "user_segments",
        SavedKind::Dashboard => "dashboards",
    }
}

/// Whether the site has fewer than `most`, and no other of its name.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    kind: SavedKind,
    new: &Saved,
    most: i64,
) -> Result<(), CatalogError> {
    let sql = format!(
        "SELECT count(*) AS saved, coalesce(max(name = ? AND id <> ?), 0) AS taken FROM {} WHERE tracking_id = ?",
        table(kind)
    );
    let count = sqlx::query(AssertSqlSafe(sql))
        .bind(&new.name)
        .bind(&new.id)
        .bind(&new.tracking_id);
    let row = count.fetch_one(connection).await.map_err(unavailable)?;
    let taken: bool = row.try_get("taken").map_err(unavailable)?;
    let count: i64 = row.try_get("saved").map_err(unavailable)?;
    if taken {
        return Err(CatalogError::AlreadyExists {
            what: kind.what(),
            id: new.name.clone(),
        });
    }
    if count >= most {
        return Err(validate::too_many_saved(kind, &new.tracking_id));
    }
    Ok(())
}

pub(super) async fn existing(
    connection: &mut SqliteConnection,
    kind: SavedKind,
    id: &str,
) -> Result<Saved, CatalogError> {
    let found = find(connection, kind, id).await.map_err(unavailable)?;
    found.ok_or_else(|| CatalogError::NotFound {
        what: kind.what(),
        id: id.to_owned(),
    })
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    kind: SavedKind,
    saved: &Saved,
) -> Result<(), CatalogError> {
    let sql = format!("INSERT INTO {} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", table(kind));
    let inserted = sqlx::query(AssertSqlSafe(sql))
        .bind(&saved.id)
        .bind(&saved.tracking_id)
        .bind(&saved.name)
        .bind(saved.definition.to_string())
        .bind(saved.created_at)
        .bind(saved.updated_at)
        .execute(connection)
        .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(validate::unknown_site_of_saved(&saved.tracking_id))
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// Replaces name and definition.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    kind: SavedKind,
    saved: &Saved,
) -> Result<(), CatalogError> {
    let sql = format!(
        "UPDATE {} SET name = ?, definition = ?, updated_at = ? WHERE id = ?",
        table(kind)
    );
    let change = sqlx::query(AssertSqlSafe(sql))
        .bind(&saved.name)
        .bind(saved.definition.to_string())
        .bind(saved.updated_at)
        .bind(&saved.id);
    change.execute(connection).await.map(|_| ()).map_err(unavailable)
}

pub(super) async fn find(
    executor: impl SqliteExecutor<'_>,
    kind: SavedKind,
    id: &str,
) -> Result<Option<Saved>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = ?", table(kind));
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(saved).transpose()
}

/// By name, else by id.
pub(super) async fn named(
    executor: impl SqliteExecutor<'_>,
    kind: SavedKind,
    tracking_id: &str,
    name: &str,
) -> Result<Option<Saved>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {} WHERE tracking_id = ? AND (name = ? OR id = ?) ORDER BY name = ? DESC LIMIT 1",
        table(kind)
    );
    let find = sqlx::query(AssertSqlSafe(sql))
        .bind(tracking_id)
        .bind(name)
        .bind(name)
        .bind(name);
    find.fetch_optional(executor).await?.as_ref().map(saved).transpose()
}

/// Oldest first.
pub(super) async fn all(executor: impl SqliteExecutor<'_>, kind: SavedKind) -> Result<Vec<Saved>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM {} ORDER BY created_at, id", table(kind));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(executor).await?;
    rows.iter().map(saved).collect()
}

pub(super) async fn delete(connection: &mut SqliteConnection, kind: SavedKind, id: &str) -> Result<(), sqlx::Error> {
    let sql = format!("DELETE FROM {} WHERE id = ?", table(kind));
    let delete = sqlx::query(AssertSqlSafe(sql)).bind(id);
    delete.execute(connection).await.map(|_| ())
}

fn saved(row: &SqliteRow) -> Result<Saved, sqlx::Error> {
    let definition: &str = row.try_get("definition")?;
    let definition = serde_json::from_str(definition).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let time = |column: &str| row.try_get::<Micros, _>(column);
    Ok(Saved {
        id: row.try_get("id")?,
        tracking_id: row.try_get("tracking_id")?,
        name: row.try_get("name")?,
        definition,
        created_at: time("created_at")?,
        updated_at: time("updated_at")?,
    })
}
