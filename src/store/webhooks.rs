//! Endpoints of products, the secrets that sign for them, and how they fare.

use domain::ids::{EndpointId, ProductId};
use domain::webhook::{Health, State};
use jiff::Timestamp;
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::time::{at, maybe_at, read};
use crate::{StoreError, TenantTx};

/// An address of a product that events are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose.
    pub product: ProductId,
    /// Where.
    pub url: String,
    /// The product's own words for it.
    pub description: String,
    /// Types of event, or `group.*`; empty: every type.
    pub types: Vec<String>,
    /// How it fares.
    pub health: Health,
    /// The number that its next delivery gets.
    pub next_seq: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

struct Row {
    endpoint_id: Uuid,
    product_id: Uuid,
    url: String,
    description: String,
    types: Vec<String>,
    state: String,
    failures: i32,
    failing_since: Option<jiff_sqlx::Timestamp>,
    retry_at: Option<jiff_sqlx::Timestamp>,
    next_seq: i64,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Endpoint {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "webhook_endpoint", column };
        let health = Health {
            state: State::parse(&row.state).ok_or(corrupt("state"))?,
            failures: u32::try_from(row.failures).map_err(|_| corrupt("failures"))?,
            failing_since: read(row.failing_since),
            retry_at: read(row.retry_at),
        };
        Ok(Self {
            id: EndpointId::from_uuid(row.endpoint_id),
            product: ProductId::from_uuid(row.product_id),
            url: row.url,
            description: row.description,
            types: row.types,
            health,
            next_seq: row.next_seq,
            created_at: row.created_at.to_jiff(),
        })
    }
}

/// Adds an endpoint; its stream begins with the next event.
pub async fn insert(tx: &mut TenantTx, endpoint: &Endpoint) -> Result<(), StoreError> {
    query!(
        "insert into webhook_endpoint (tenant_id, endpoint_id, product_id, url, description, types, state, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tx.id(),
        endpoint.id.uuid(),
        endpoint.product.uuid(),
        endpoint.url,
        endpoint.description,
        &endpoint.types,
        endpoint.health.state.word(),
        at(endpoint.created_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// A select of endpoints; the tail says which.
macro_rules! select {
    ($tail:literal $(, $arg:expr)*) => {
        query_as!(
            Row,
            "select endpoint_id, product_id, url, description, types, state, failures, failing_since, retry_at, \
             next_seq, created_at from webhook_endpoint where tenant_id = $1 and " + $tail
            $(, $arg)*
        )
    };
}

/// One endpoint.
pub async fn get(tx: &mut TenantTx, id: EndpointId) -> Result<Endpoint, StoreError> {
    let row = select!("endpoint_id = $2", tx.id(), id.uuid()).fetch_optional(tx.db()).await?;
    row.ok_or(StoreError::NotFound("webhook endpoint"))?.try_into()
}

/// One endpoint, held against everybody else until the transaction ends.
pub async fn lock(tx: &mut TenantTx, id: EndpointId) -> Result<Endpoint, StoreError> {
    let row = select!("endpoint_id = $2 for update", tx.id(), id.uuid()).fetch_optional(tx.db()).await?;
    row.ok_or(StoreError::NotFound("webhook endpoint"))?.try_into()
}

/// A product's endpoints, oldest first.
pub async fn of_product(tx: &mut TenantTx, product: ProductId) -> Result<Vec<Endpoint>, StoreError> {
    let rows = select!("product_id = $2 order by endpoint_id", tx.id(), product.uuid()).fetch_all(tx.db()).await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// Saves what its product may change, and how it fares. The endpoint must be locked.
pub async fn save(tx: &mut TenantTx, endpoint: &Endpoint) -> Result<(), StoreError> {
    let health = endpoint.health;
    query!(
        "update webhook_endpoint set url = $3, description = $4, types = $5, state = $6, failures = $7,
            failing_since = $8, retry_at = $9
         where tenant_id = $1 and endpoint_id = $2",
        tx.id(),
        endpoint.id.uuid(),
        endpoint.url,
        endpoint.description,
        &endpoint.types,
        health.state.word(),
        i32::try_from(health.failures).unwrap_or(i32::MAX),
        maybe_at(health.failing_since) as _,
        maybe_at(health.retry_at) as _
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Removes an endpoint with its secrets, its stream and its log.
pub async fn remove(tx: &mut TenantTx, id: EndpointId) -> Result<(), StoreError> {
    let (tenant, id) = (tx.id(), id.uuid());
    query!("delete from webhook_attempt where tenant_id = $1 and endpoint_id = $2", tenant, id)
        .execute(tx.db())
        .await?;
    query!("delete from webhook_delivery where tenant_id = $1 and endpoint_id = $2", tenant, id)
        .execute(tx.db())
        .await?;
    query!("delete from webhook_secret where tenant_id = $1 and endpoint_id = $2", tenant, id).execute(tx.db()).await?;
    query!("delete from webhook_endpoint where tenant_id = $1 and endpoint_id = $2", tenant, id)
        .execute(tx.db())
        .await?;
    Ok(())
}

/// A sealed secret of an endpoint ([`Place::webhook_secret`](crate::sealed::Place::webhook_secret)).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub endpoint: EndpointId,
    /// The secret, under the tenant's key of the purpose `webhook`.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it signs no more; set by a rotation.
    pub expires_at: Option<Timestamp>,
}

/// Adds a secret. Those that were there before sign until `overlap_ends`, unless they end sooner.
pub async fn rotate(tx: &mut TenantTx, fresh: &Secret, overlap_ends: Timestamp) -> Result<(), StoreError> {
    query!(
        "update webhook_secret set expires_at = least(coalesce(expires_at, $3), $3)
         where tenant_id = $1 and endpoint_id = $2",
        tx.id(),
        fresh.endpoint.uuid(),
        at(overlap_ends)
    )
    .execute(tx.db())
    .await?;
    query!(
        "insert into webhook_secret (tenant_id, endpoint_id, secret_id, sealed, created_at) values ($1, $2, $3, $4, $5)",
        tx.id(),
        fresh.endpoint.uuid(),
        fresh.id,
        fresh.sealed,
        at(fresh.created_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The secrets that sign at this moment, newest first.
pub async fn secrets(tx: &mut TenantTx, endpoint: EndpointId, now: Timestamp) -> Result<Vec<Secret>, StoreError> {
    let rows = query!(
        "select secret_id, sealed, created_at, expires_at from webhook_secret
         where tenant_id = $1 and endpoint_id = $2 and (expires_at is null or expires_at > $3)
         order by expires_at desc nulls first, secret_id desc",
        tx.id(),
        endpoint.uuid(),
        at(now)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Secret {
            id: row.secret_id,
            endpoint,
            sealed: row.sealed,
            created_at: row.created_at.to_jiff(),
            expires_at: read(row.expires_at),
        })
        .collect())
}

/// Removes secrets that are over, and what was settled or attempted before `log_begins`; gives how many rows went.
pub async fn expire(tx: &mut TenantTx, now: Timestamp, log_begins: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let secrets = query!("delete from webhook_secret where tenant_id = $1 and expires_at <= $2", tx.id(), at(now))
        .execute(tx.db())
        .await?;
    let attempts = query!(
        "delete from webhook_attempt where tenant_id = $1 and (endpoint_id, attempt_id) in (
            select endpoint_id, attempt_id from webhook_attempt
            where tenant_id = $1 and attempted_at < $2 limit $3)",
        tx.id(),
        at(log_begins),
        limit
    )
    .execute(tx.db())
    .await?;
    let deliveries = query!(
        "delete from webhook_delivery where tenant_id = $1 and (endpoint_id, seq) in (
            select endpoint_id, seq from webhook_delivery
            where tenant_id = $1 and state <> 'pending' and settled_at < $2 limit $3)",
        tx.id(),
        at(log_begins),
        limit
    )
    .execute(tx.db())
    .await?;
    Ok(secrets.rows_affected() + attempts.rows_affected() + deliveries.rows_affected())
}
