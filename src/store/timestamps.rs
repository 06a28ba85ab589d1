//! What time-stamp authorities signed over checkpoints (RFC 3161).

use jiff::Timestamp;
use sqlx::query;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// A time-stamp of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// Number of leaves of the checkpoint.
    pub size: i64,
    /// The subject of the authority's certificate.
    pub authority: String,
    /// The token, DER.
    pub token: Vec<u8>,
    /// When, by the authority's clock.
    pub stamped_at: Timestamp,
}

/// Keeps a time-stamp; one of that checkpoint that is kept already stays as it is.
pub async fn put(tx: &mut TenantTx, stamped: &Stamped) -> Result<(), StoreError> {
    query!(
        "insert into checkpoint_timestamp (tenant_id, size, authority, token, stamped_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        tx.id(),
        stamped.size,
        stamped.authority,
        stamped.token,
        at(stamped.stamped_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The time-stamp of the largest checkpoint that has fewer than `below` leaves and has one.
pub async fn newest(tx: &mut TenantTx, below: i64) -> Result<Option<Stamped>, StoreError> {
    let row = query!(
        "select size, authority, token, stamped_at from checkpoint_timestamp
         where tenant_id = $1 and size < $2 order by size desc limit 1",
        tx.id(),
        below
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| Stamped {
        size: row.size,
        authority: row.authority,
        token: row.token,
        stamped_at: row.stamped_at.to_jiff(),
    }))
}
