//! Leases in SQL.

use footfall_model::clock::Micros;
use sqlx::{Row, SqliteConnection};

use crate::{Lease, LeaseRequest};

/// `None` while another holder's lease is valid.
pub(super) async fn take(
    connection: &mut SqliteConnection,
    request: &LeaseRequest,
    now: Micros,
) -> Result<Option<Lease>, sqlx::Error> {
    let taken = sqlx::query(
        "INSERT INTO shard_leases (shard, role, holder, epoch, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (shard, role) DO UPDATE SET
             epoch = CASE WHEN holder = excluded.holder AND epoch >= excluded.epoch AND expires_at > ?6 THEN epoch
                          ELSE max(epoch + 1, excluded.epoch) END,
             holder = excluded.holder,
             expires_at = excluded.expires_at
         WHERE holder = excluded.holder OR expires_at <= ?6
         RETURNING epoch, expires_at",
    )
    .bind(i64::from(request.shard))
    .bind(request.role.as_str())
    .bind(&request.holder)
    .bind(request.at_least.max(1))
    .bind(now.saturating_add(request.duration))
    .bind(now)
    .fetch_optional(connection)
    .await?;
    let lease = taken.map(|row| {
        Ok::<_, sqlx::Error>(Lease {
            epoch: row.try_get("epoch")?,
            expires_at: row.try_get("expires_at")?,
        })
    });
    lease.transpose()
}

pub(super) async fn release(
    connection: &mut SqliteConnection,
    request: &LeaseRequest,
    now: Micros,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE shard_leases SET expires_at = ? WHERE shard = ? AND role = ? AND holder = ?")
        .bind(now)
        .bind(i64::from(request.shard))
        .bind(request.role.as_str())
        .bind(&request.holder)
        .execute(connection)
        .await?;
    Ok(())
}
