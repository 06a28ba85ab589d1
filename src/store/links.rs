//! One-time links that are handed to users: only the SHA-256 of their token is stored.

use domain::ids::{ConsentId, LinkId};
use jiff::Timestamp;
use sqlx::query;

use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// A link as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// What it leads to.
    pub consent: ConsentId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

/// Adds a link. `token_hash` is SHA-256 of a token with at least 256 random bits.
pub async fn insert(tx: &mut TenantTx, link: &Link, token_hash: &[u8; 32]) -> Result<(), StoreError> {
    query!(
        "insert into link (tenant_id, link_id, consent_id, token_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6)",
        tx.id(),
        link.id.uuid(),
        link.consent.uuid(),
        token_hash.as_slice(),
        at(link.created_at),
        at(link.expires_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The link of a token, used or not.
pub async fn find(tx: &mut TenantTx, token_hash: &[u8; 32]) -> Result<Option<Link>, StoreError> {
    let row = query!(
        "select link_id, consent_id, created_at, expires_at, used_at from link where tenant_id = $1 and token_hash = $2",
        tx.id(),
        token_hash.as_slice()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| Link {
        id: LinkId::from_uuid(row.link_id),
        consent: ConsentId::from_uuid(row.consent_id),
        created_at: row.created_at.to_jiff(),
        expires_at: row.expires_at.to_jiff(),
        used_at: read(row.used_at),
    }))
}

/// Uses a link up: works once and before its end; else [`StoreError::NotAllowed`].
pub async fn take(tx: &mut TenantTx, id: LinkId, now: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update link set used_at = $3 where tenant_id = $1 and link_id = $2 and used_at is null and expires_at > $3",
        tx.id(),
        id.uuid(),
        at(now)
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotAllowed) } else { Ok(()) }
}
