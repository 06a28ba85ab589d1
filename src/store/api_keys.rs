//! API keys of products: only their SHA-256 is stored.

use domain::ids::{ApiKeyId, ProductId, TenantId};
use jiff::Timestamp;
use sqlx::query;

use crate::time::{at, maybe_at, read};
use crate::{StoreError, SystemTx, TenantTx};

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose product it belongs to.
    pub tenant: TenantId,
    /// The product that may use it.
    pub product: ProductId,
    /// Its first characters, so that people can tell keys apart.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Purposes that it reads for; empty: every purpose of its product.
    pub purposes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it opens anything at this moment.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Adds a key. `hash` is SHA-256 of the whole key, which has at least 256 random bits and so needs no slow hash.
pub async fn create(tx: &mut TenantTx, key: &ApiKey, hash: &[u8; 32]) -> Result<(), StoreError> {
    query!(
        "insert into api_key (tenant_id, api_key_id, product_id, prefix, hash, scopes, created_at, expires_at,
            purposes)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tx.id(),
        key.id.uuid(),
        key.product.uuid(),
        key.prefix,
        hash.as_slice(),
        &key.scopes,
        at(key.created_at),
        maybe_at(key.expires_at) as _,
        &key.purposes
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The key of a hash, whichever tenant it belongs to. The caller checks [`ApiKey::is_live`].
pub async fn find(tx: &mut SystemTx, hash: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
    let row = query!(
        "select tenant_id, api_key_id, product_id, prefix, scopes, purposes, created_at, expires_at, revoked_at
         from api_key where hash = $1",
        hash.as_slice()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| ApiKey {
        id: ApiKeyId::from_uuid(row.api_key_id),
        tenant: TenantId::from_uuid(row.tenant_id),
        product: ProductId::from_uuid(row.product_id),
        prefix: row.prefix,
        scopes: row.scopes,
        purposes: row.purposes,
        created_at: row.created_at.to_jiff(),
        expires_at: read(row.expires_at),
        revoked_at: read(row.revoked_at),
    }))
}

/// Withdraws a key. Repeating it changes nothing.
pub async fn revoke(tx: &mut TenantTx, id: ApiKeyId, now: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update api_key set revoked_at = coalesce(revoked_at, $3) where tenant_id = $1 and api_key_id = $2",
        tx.id(),
        id.uuid(),
        at(now)
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotFound("API key")) } else { Ok(()) }
}
