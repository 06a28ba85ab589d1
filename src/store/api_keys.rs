//! API keys of products. Of a key that is a secret only the SHA-256 is stored; one that signs is stored as its public key.

use domain::ids::{ApiKeyId, ProductId, TenantId};
use jiff::Timestamp;
use sqlx::{query, query_as};
use uuid::Uuid;

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
    /// Networks that it works from, CIDR; empty: any.
    pub networks: Vec<String>,
    /// The public key of one that signs, RFC 7517; `None` of one that is a secret.
    pub jwk: Option<String>,
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

struct Row {
    tenant_id: Uuid,
    api_key_id: Uuid,
    product_id: Uuid,
    prefix: String,
    scopes: Vec<String>,
    purposes: Vec<String>,
    networks: Vec<String>,
    jwk: Option<String>,
    created_at: jiff_sqlx::Timestamp,
    expires_at: Option<jiff_sqlx::Timestamp>,
    revoked_at: Option<jiff_sqlx::Timestamp>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: ApiKeyId::from_uuid(row.api_key_id),
            tenant: TenantId::from_uuid(row.tenant_id),
            product: ProductId::from_uuid(row.product_id),
            prefix: row.prefix,
            scopes: row.scopes,
            purposes: row.purposes,
            networks: row.networks,
            jwk: row.jwk,
            created_at: row.created_at.to_jiff(),
            expires_at: read(row.expires_at),
            revoked_at: read(row.revoked_at),
        }
    }
}

/// A select of keys; the tail says which.
macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        query_as!(
            Row,
            "select tenant_id, api_key_id, product_id, prefix, scopes, purposes, networks, jwk, created_at, expires_at, \
             revoked_at from api_key " + $tail
            $(, $arg)*
        )
    };
}

/// Adds a key: with the SHA-256 of the whole secret, which has at least 256 random bits and so needs no slow hash, or
/// without where [`ApiKey::jwk`] is there.
pub async fn create(tx: &mut TenantTx, key: &ApiKey, hash: Option<&[u8; 32]>) -> Result<(), StoreError> {
    query!(
        "insert into api_key (tenant_id, api_key_id, product_id, prefix, hash, scopes, created_at, expires_at,
            purposes, networks, jwk)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tx.id(),
        key.id.uuid(),
        key.product.uuid(),
        key.prefix,
        hash.map(<[u8; 32]>::as_slice),
        &key.scopes,
        at(key.created_at),
        maybe_at(key.expires_at) as _,
        &key.purposes,
        &key.networks,
        key.jwk.as_deref()
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The key of a hash, whichever tenant it belongs to. The caller checks [`ApiKey::is_live`].
pub async fn find(tx: &mut SystemTx, hash: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
    let row = select!("where hash = $1", hash.as_slice()).fetch_optional(tx.db()).await?;
    Ok(row.map(ApiKey::from))
}

/// The key of an id, whichever tenant it belongs to. The caller checks [`ApiKey::is_live`].
pub async fn get(tx: &mut SystemTx, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
    let row = select!("where api_key_id = $1", id.uuid()).fetch_optional(tx.db()).await?;
    Ok(row.map(ApiKey::from))
}

/// The keys of a product that are not withdrawn, oldest first.
pub async fn of_product(tx: &mut TenantTx, product: ProductId) -> Result<Vec<ApiKey>, StoreError> {
    let rows = select!(
        "where tenant_id = $1 and product_id = $2 and revoked_at is null order by api_key_id",
        tx.id(),
        product.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
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
