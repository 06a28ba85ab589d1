//! Telling products: an event is written in the transaction of what happened, by its name in the catalogue.

use domain::event::EventType;
use domain::ids::{ConsentId, EndpointId, EventId, JobId, ProductId, TenantId};
use domain::world::World;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::consents::Consent;
use store::events::Event;
use store::fetches::{Progress, RunState};
use store::{TenantTx, consents, events, jobs};

use crate::app::App;
use crate::services::ServiceError;
use crate::services::consents::Work;

/// The version of the envelope, and of what stands in `data`.
pub const SPEC_VERSION: &str = "1.0";
/// Why a fetch waits: as many reads as the bank counts of a day were made.
pub const READS_USED_UP: &str = "reads_of_the_day_used_up";

/// Writes an event about a consent. `data` holds no bank data: states, counts, ids, moments.
///
/// # Errors
/// The database's.
pub async fn emit(
    tx: &mut TenantTx,
    world: &World<'_>,
    to: ProductId,
    kind: EventType,
    about: Option<ConsentId>,
    data: Value,
) -> Result<(), ServiceError> {
    Ok(events::append(tx, &event(world, to, kind, about, data)).await?)
}

/// Writes an event for one endpoint alone.
///
/// # Errors
/// The database's.
pub async fn emit_to(
    tx: &mut TenantTx,
    world: &World<'_>,
    to: (ProductId, EndpointId),
    kind: EventType,
    data: Value,
) -> Result<EventId, ServiceError> {
    let event = event(world, to.0, kind, None, data);
    events::append_for(tx, &event, to.1).await?;
    Ok(event.id)
}

fn event(world: &World<'_>, to: ProductId, kind: EventType, about: Option<ConsentId>, data: Value) -> Event {
    Event {
        id: EventId::new(world),
        product: to,
        kind: kind.as_str().to_owned(),
        consent: about,
        payload: data,
        recorded_at: world.now,
    }
}

/// Numbers a tenant's new events and asks for their delivery, in one transaction.
///
/// # Errors
/// The database's.
pub async fn number(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let numbered = events::number(&mut tx).await?;
    for (endpoint, product) in &numbered.endpoints {
        request_delivery(&mut tx, &world, *product, *endpoint, world.now).await?;
    }
    tx.commit().await?;
    if !numbered.endpoints.is_empty() {
        app.work.notify_waiters();
    }
    Ok(())
}

/// Asks for an endpoint to be looked at. Endpoints of one product share a lane, so that one product's slow receivers do
/// not hold up another's.
///
/// # Errors
/// The database's.
pub async fn request_delivery(
    tx: &mut TenantTx,
    world: &World<'_>,
    product: ProductId,
    endpoint: EndpointId,
    due_at: Timestamp,
) -> Result<(), ServiceError> {
    let lane = format!("webhooks {}", product.uuid());
    jobs::request(tx, JobId::new(world), Work::Deliver.word(), endpoint.uuid(), &lane, due_at).await?;
    Ok(())
}

/// Tells what a fetch brought: its result, and for each account at most one event of each kind of change. Counts alone;
/// the rows are read from the account's changes.
///
/// # Errors
/// The database's.
pub async fn fetched(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    state: RunState,
    lines: &[Progress],
) -> Result<(), ServiceError> {
    let kind = match state {
        RunState::Done => EventType::SyncCompleted,
        RunState::Partial => EventType::SyncPartial,
        RunState::Running | RunState::Failed | RunState::Stopped => EventType::SyncFailed,
    };
    let outcome = |line: &Progress| {
        json!({
            "account_id": line.line.to_string(),
            "outcome": if line.done { "done" } else { "failed" },
            "problem": line.error_code,
            "added": line.rows_new,
            "modified": line.rows_changed + line.rows_settled,
            "removed": line.rows_withdrawn,
        })
    };
    let data = json!({ "accounts": lines.iter().map(outcome).collect::<Vec<_>>() });
    emit(tx, world, consent.product, kind, Some(consent.id), data).await?;
    for line in lines {
        for (kind, count) in [
            (EventType::TransactionAdded, line.rows_new),
            (EventType::TransactionBooked, line.rows_settled),
            (EventType::TransactionModified, line.rows_changed),
            (EventType::TransactionRemoved, line.rows_withdrawn),
            (EventType::TransactionReviewRequired, line.rows_doubtful),
        ] {
            if count > 0 {
                let data = json!({ "account_id": line.line.to_string(), "count": count });
                emit(tx, world, consent.product, kind, Some(consent.id), data).await?;
            }
        }
    }
    Ok(())
}

/// Tells that a fetch waits until a moment, because the reads that the bank counts are used up.
///
/// # Errors
/// The database's.
pub async fn deferred(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    until: Timestamp,
) -> Result<(), ServiceError> {
    let product = consents::get(tx, consent).await?.product;
    let data = json!({ "reason": READS_USED_UP, "next_possible_at": until.to_string() });
    emit(tx, world, product, EventType::SyncDeferred, Some(consent), data).await
}

/// An event on the wire: a CloudEvents 1.0 object (JSON event format) with the number that it has in the stream it is
/// read from.
pub fn envelope(app: &App, tenant: TenantId, seq: i64, event: &Event) -> Value {
    let source = format!("{}v1", app.config.listen.public_url);
    let mut envelope = json!({
        "specversion": SPEC_VERSION,
        "id": event.id.to_string(),
        "source": source,
        "type": event.kind,
        "time": event.recorded_at.to_string(),
        "seq": seq,
        "tenantid": tenant.to_string(),
        "datacontenttype": "application/json",
        "data": event.payload,
    });
    if let Some(consent) = event.consent {
        envelope["subject"] = consent.to_string().into();
        envelope["data"]["links"] = json!({ "self": format!("{source}/consents/{consent}") });
    }
    envelope
}
