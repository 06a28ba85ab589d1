//! Events for products: written in the business transaction, numbered afterwards without gaps per product and, for each
//! endpoint that wants them, per endpoint.

use domain::ids::{ConsentId, EndpointId, EventId, ProductId, TenantId};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use crate::time::at;
use crate::{StoreError, SystemTx, TenantTx};

/// Something that a product is told. No bank data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id, the same in every delivery.
    pub id: EventId,
    /// Who is told.
    pub product: ProductId,
    /// Its type: `connection.healthy`.
    pub kind: String,
    /// What it is about.
    pub consent: Option<ConsentId>,
    /// The particulars.
    pub payload: Value,
    /// When it happened.
    pub recorded_at: Timestamp,
}

/// Writes an event for every endpoint that wants its type. It gets its number from [`number`], after the commit.
pub async fn append(tx: &mut TenantTx, event: &Event) -> Result<(), StoreError> {
    write(tx, event, None).await
}

/// Writes an event that is meant for one endpoint alone, whatever types that asked for.
pub async fn append_for(tx: &mut TenantTx, event: &Event, endpoint: EndpointId) -> Result<(), StoreError> {
    write(tx, event, Some(endpoint)).await
}

async fn write(tx: &mut TenantTx, event: &Event, endpoint: Option<EndpointId>) -> Result<(), StoreError> {
    query!(
        "insert into event (tenant_id, event_id, product_id, kind, consent_id, endpoint_id, payload, recorded_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tx.id(),
        event.id.uuid(),
        event.product.uuid(),
        event.kind,
        event.consent.map(ConsentId::uuid),
        endpoint.map(EndpointId::uuid),
        event.payload,
        at(event.recorded_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Tenants with events that have no number yet.
pub async fn waiting(tx: &mut SystemTx) -> Result<Vec<TenantId>, StoreError> {
    let rows = query!("select distinct tenant_id from event where seq is null").fetch_all(tx.db()).await?;
    Ok(rows.into_iter().map(|row| TenantId::from_uuid(row.tenant_id)).collect())
}

/// What a numbering did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbered {
    /// Events that got their number.
    pub events: usize,
    /// Endpoints with something new in their streams, each with its product.
    pub endpoints: Vec<(EndpointId, ProductId)>,
}

/// Numbers the tenant's new events, each product's from where its stream stood, and puts each into the stream of every
/// endpoint that wants it.
pub async fn number(tx: &mut TenantTx) -> Result<Numbered, StoreError> {
    query!("select pg_advisory_xact_lock(hashtextextended('events ' || $1::text, 0))", tx.tenant().to_string())
        .execute(tx.db())
        .await?;
    // A statement of its own: its snapshot is younger than the lock, so that no second sequencer counts the same events.
    let numbered = query!(
        "with fresh as (
            select product_id, event_id, row_number() over (partition by product_id order by arrival) as nth
            from event where tenant_id = $1 and seq is null),
         moved as (
            update product p set next_event_seq = p.next_event_seq + f.many
            from (select product_id, count(*) as many from fresh group by product_id) f
            where p.tenant_id = $1 and p.product_id = f.product_id
            returning p.product_id, p.next_event_seq - f.many - 1 as last)
         update event e set seq = moved.last + fresh.nth from fresh join moved on moved.product_id = fresh.product_id
         where e.tenant_id = $1 and e.event_id = fresh.event_id
         returning e.event_id",
        tx.id()
    )
    .fetch_all(tx.db())
    .await?;
    let ids: Vec<Uuid> = numbered.into_iter().map(|row| row.event_id).collect();
    Ok(Numbered { events: ids.len(), endpoints: spread(tx, &ids).await? })
}

/// Puts numbered events into the streams of endpoints. The caller holds the lock of the numbering.
async fn spread(tx: &mut TenantTx, events: &[Uuid]) -> Result<Vec<(EndpointId, ProductId)>, StoreError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query!(
        r#"with wanted as (
            select w.endpoint_id, e.event_id, row_number() over (partition by w.endpoint_id order by e.seq) as nth
            from event e join webhook_endpoint w on w.tenant_id = e.tenant_id and w.product_id = e.product_id
            where e.tenant_id = $1 and e.event_id = any($2)
              and case when e.endpoint_id is null then cardinality(w.types) = 0 or e.kind = any(w.types)
                    or split_part(e.kind, '.', 1) || '.*' = any(w.types)
                else e.endpoint_id = w.endpoint_id end),
         moved as (
            update webhook_endpoint w set next_seq = w.next_seq + f.many
            from (select endpoint_id, count(*) as many from wanted group by endpoint_id) f
            where w.tenant_id = $1 and w.endpoint_id = f.endpoint_id
            returning w.endpoint_id, w.product_id, w.next_seq - f.many - 1 as last),
         queued as (
            insert into webhook_delivery (tenant_id, endpoint_id, seq, event_id, state)
            select $1, moved.endpoint_id, moved.last + wanted.nth, wanted.event_id, 'pending'
            from wanted join moved on moved.endpoint_id = wanted.endpoint_id)
         select endpoint_id, product_id from moved"#,
        tx.id(),
        events
    )
    .fetch_all(tx.db())
    .await?;
    let endpoints =
        rows.into_iter().map(|row| (EndpointId::from_uuid(row.endpoint_id), ProductId::from_uuid(row.product_id)));
    Ok(endpoints.collect())
}

/// A product's events behind a number, with their numbers.
pub async fn after(
    tx: &mut TenantTx,
    product: ProductId,
    seq: i64,
    limit: u32,
) -> Result<Vec<(i64, Event)>, StoreError> {
    let rows = query!(
        r#"select seq as "seq!", event_id, kind, consent_id, payload, recorded_at from event
         where tenant_id = $1 and product_id = $2 and seq > $3 order by seq limit $4"#,
        tx.id(),
        product.uuid(),
        seq,
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let event = Event {
                id: EventId::from_uuid(row.event_id),
                product,
                kind: row.kind,
                consent: row.consent_id.map(ConsentId::from_uuid),
                payload: row.payload,
                recorded_at: row.recorded_at.to_jiff(),
            };
            (row.seq, event)
        })
        .collect())
}
