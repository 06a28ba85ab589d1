//! What each endpoint is sent, in which order, and what came of every attempt.

use domain::ids::{AttemptId, ConsentId, EndpointId, EventId, ProductId};
use jiff::Timestamp;
use sqlx::query;

use crate::events::Event;
use crate::time::{at, maybe_at, read};
use crate::{StoreError, TenantTx};

/// An event at the head of an endpoint's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number in the stream of this endpoint.
    pub seq: i64,
    /// What is sent.
    pub event: Event,
}

/// The first delivery of an endpoint that has not been settled.
pub async fn head(tx: &mut TenantTx, endpoint: EndpointId) -> Result<Option<Delivery>, StoreError> {
    let row = query!(
        "select d.seq, e.event_id, e.product_id, e.kind, e.consent_id, e.payload, e.recorded_at
         from webhook_delivery d join event e on e.tenant_id = d.tenant_id and e.event_id = d.event_id
         where d.tenant_id = $1 and d.endpoint_id = $2 and d.state = 'pending' order by d.seq limit 1",
        tx.id(),
        endpoint.uuid()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| Delivery {
        seq: row.seq,
        event: Event {
            id: EventId::from_uuid(row.event_id),
            product: ProductId::from_uuid(row.product_id),
            kind: row.kind,
            consent: row.consent_id.map(ConsentId::from_uuid),
            payload: row.payload,
            recorded_at: row.recorded_at.to_jiff(),
        },
    }))
}

/// One attempt to send an event, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// To whom.
    pub endpoint: EndpointId,
    /// The number of the delivery.
    pub seq: i64,
    /// The event.
    pub event: EventId,
    /// Its type.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// `delivered`, `refused`, or the code of what went wrong on the way.
    pub outcome: String,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// From the request to the head of the answer, or to the failure, in milliseconds.
    pub latency_ms: u32,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
}

/// Keeps an attempt, and settles its delivery if it was delivered.
pub async fn record(tx: &mut TenantTx, attempt: &Attempt) -> Result<(), StoreError> {
    query!(
        "insert into webhook_attempt (tenant_id, endpoint_id, attempt_id, seq, event_id, kind, attempted_at, outcome,
            status, latency_ms, retry_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tx.id(),
        attempt.endpoint.uuid(),
        attempt.id.uuid(),
        attempt.seq,
        attempt.event.uuid(),
        attempt.kind,
        at(attempt.at),
        attempt.outcome,
        attempt.status.and_then(|status| i16::try_from(status).ok()),
        i32::try_from(attempt.latency_ms).unwrap_or(i32::MAX),
        maybe_at(attempt.retry_at) as _
    )
    .execute(tx.db())
    .await?;
    query!(
        "update webhook_delivery set attempts = attempts + 1,
            state = case when $4 then 'delivered' else state end,
            settled_at = case when $4 then $5 else settled_at end
         where tenant_id = $1 and endpoint_id = $2 and seq = $3 and state = 'pending'",
        tx.id(),
        attempt.endpoint.uuid(),
        attempt.seq,
        attempt.outcome == "delivered",
        at(attempt.at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// A part of an endpoint's stream.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// The first number.
    pub from: i64,
    /// The last number.
    pub to: i64,
    /// Types of event, or `group.*`; empty: every type.
    pub types: &'a [String],
}

/// Puts what was settled in a part of the stream before the endpoint again, in its old order and ahead of everything
/// newer; gives how many.
pub async fn replay(tx: &mut TenantTx, endpoint: EndpointId, range: Range<'_>) -> Result<u64, StoreError> {
    let done = query!(
        "update webhook_delivery d set state = 'pending', settled_at = null
         from event e
         where d.tenant_id = $1 and d.endpoint_id = $2 and d.seq between $3 and $4 and d.state <> 'pending'
           and e.tenant_id = d.tenant_id and e.event_id = d.event_id
           and (cardinality($5::text[]) = 0 or e.kind = any($5) or split_part(e.kind, '.', 1) || '.*' = any($5))",
        tx.id(),
        endpoint.uuid(),
        range.from,
        range.to,
        range.types
    )
    .execute(tx.db())
    .await?;
    Ok(done.rows_affected())
}

/// Passes over what waits before a number, because its product says so; gives how many.
pub async fn skip(tx: &mut TenantTx, endpoint: EndpointId, before: i64, now: Timestamp) -> Result<u64, StoreError> {
    let done = query!(
        "update webhook_delivery set state = 'skipped', settled_at = $4
         where tenant_id = $1 and endpoint_id = $2 and seq < $3 and state = 'pending'",
        tx.id(),
        endpoint.uuid(),
        before,
        at(now)
    )
    .execute(tx.db())
    .await?;
    Ok(done.rows_affected())
}

/// How many deliveries of an endpoint wait.
pub async fn waiting(tx: &mut TenantTx, endpoint: EndpointId) -> Result<i64, StoreError> {
    let row = query!(
        r#"select count(*) as "many!" from webhook_delivery
         where tenant_id = $1 and endpoint_id = $2 and state = 'pending'"#,
        tx.id(),
        endpoint.uuid()
    )
    .fetch_one(tx.db())
    .await?;
    Ok(row.many)
}

/// Attempts of an endpoint, newest first, older than `before`.
pub async fn attempts(
    tx: &mut TenantTx,
    endpoint: EndpointId,
    before: Option<AttemptId>,
    limit: u32,
) -> Result<Vec<Attempt>, StoreError> {
    let rows = query!(
        "select attempt_id, seq, event_id, kind, attempted_at, outcome, status, latency_ms, retry_at
         from webhook_attempt
         where tenant_id = $1 and endpoint_id = $2 and ($3::uuid is null or attempt_id < $3)
         order by attempt_id desc limit $4",
        tx.id(),
        endpoint.uuid(),
        before.map(AttemptId::uuid),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Attempt {
            id: AttemptId::from_uuid(row.attempt_id),
            endpoint,
            seq: row.seq,
            event: EventId::from_uuid(row.event_id),
            kind: row.kind,
            at: row.attempted_at.to_jiff(),
            outcome: row.outcome,
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            latency_ms: row.latency_ms.unsigned_abs(),
            retry_at: read(row.retry_at),
        })
        .collect())
}
