//! Events for products: written in the business transaction, numbered afterwards without gaps per product.

use domain::ids::{ConsentId, EventId, ProductId, TenantId};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::query;

use crate::time::at;
use crate::{StoreError, SystemTx, TenantTx};

/// Something that a product is told. No bank data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id, the same in every delivery.
    pub id: EventId,
    /// Who is told.
    pub product: ProductId,
    /// Its type: `consent.active`.
    pub kind: String,
    /// What it is about.
    pub consent: Option<ConsentId>,
    /// The particulars.
    pub payload: Value,
    /// When it happened.
    pub recorded_at: Timestamp,
}

/// Writes an event. It gets its number from [`number`], after the commit.
pub async fn append(tx: &mut TenantTx, event: &Event) -> Result<(), StoreError> {
    query!(
        "insert into event (tenant_id, event_id, product_id, kind, consent_id, payload, recorded_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        tx.id(),
        event.id.uuid(),
        event.product.uuid(),
        event.kind,
        event.consent.map(ConsentId::uuid),
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

/// Numbers the tenant's new events, each product's from where its stream stood; gives how many.
pub async fn number(tx: &mut TenantTx) -> Result<u64, StoreError> {
    query!("select pg_advisory_xact_lock(hashtextextended('events ' || $1::text, 0))", tx.tenant().to_string())
        .execute(tx.db())
        .await?;
    // A statement of its own: its snapshot is younger than the lock, so that no second sequencer counts the same events.
    let done = query!(
        "with fresh as (
            select product_id, event_id, row_number() over (partition by product_id order by arrival) as nth
            from event where tenant_id = $1 and seq is null),
         moved as (
            update product p set next_event_seq = p.next_event_seq + f.many
            from (select product_id, count(*) as many from fresh group by product_id) f
            where p.tenant_id = $1 and p.product_id = f.product_id
            returning p.product_id, p.next_event_seq - f.many - 1 as last)
         update event e set seq = moved.last + fresh.nth from fresh join moved on moved.product_id = fresh.product_id
         where e.tenant_id = $1 and e.event_id = fresh.event_id",
        tx.id()
    )
    .execute(tx.db())
    .await?;
    Ok(done.rows_affected())
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
