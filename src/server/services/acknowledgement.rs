//! What a product owes after an erasure: the word that its own copies are gone too. A delivered webhook is not one.

use domain::event::EventType;
use domain::ids::{DeletionId, TenantId};
use domain::world::World;
use evidence::{ProductAcknowledgement, Subject};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::consents::Consent;
use store::deletions::{Deletion, Reminder};
use store::{TenantTx, consents, deletions};

use crate::app::App;
use crate::evidence_log;
use crate::services::ServiceError;
use crate::services::events::emit;
use crate::services::revocation;

/// Days after which a product is reminded, each counted from the reminder before. With the last one it goes on record that
/// the product has not acknowledged: from then on it is the operator's matter.
const REMINDERS_DAYS: [i64; 4] = [1, 6, 7, 16];
/// Reminders that one look takes.
const BATCH: u32 = 500;

/// Tells the product that the receipt is there and has it reminded, in the transaction that wrote the receipt.
///
/// # Errors
/// The database's.
pub async fn ask(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    deletion: &Deletion,
) -> Result<(), ServiceError> {
    let id = deletion.id;
    let data = json!({
        "deletion_id": id.to_string(),
        "receipt": format!("/v1/evidence/deletions/{id}/receipt"),
        "acknowledge": format!("/v1/deletions/{id}/acknowledge"),
    });
    emit(tx, world, consent.product, EventType::DeletionReceiptIssued, Some(consent.id), data).await?;
    Ok(deletions::remind_at(tx, id, reminder(0, world.now)).await?)
}

/// When the reminder after so many is due.
fn reminder(given: usize, now: Timestamp) -> Option<Timestamp> {
    let days = REMINDERS_DAYS.get(given)?;
    now.saturating_add(SignedDuration::from_hours(24 * days)).ok()
}

/// Takes the product's word, and adds it to the receipt. Repeating it changes nothing; gives the first moment.
///
/// # Errors
/// The database's or the key provider's.
pub async fn acknowledge(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    deletion: DeletionId,
) -> Result<Timestamp, ServiceError> {
    let (acknowledged_at, first) = deletions::acknowledge(tx, deletion, world.now).await?;
    if first {
        let body = ProductAcknowledgement { deletion, product: consent.product, acknowledged_at };
        let note = evidence_log::state(app, tx, world, Subject::Consent(consent.id), &body).await?;
        revocation::add(tx, deletion, "deletion.acknowledged", note, world.now).await?;
    }
    Ok(acknowledged_at)
}

/// Reminds every product whose time has come.
///
/// # Errors
/// The database's or the key provider's.
pub async fn remind(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    for due in deletions::take_reminders(&mut tx, world.now, BATCH).await? {
        one(app, &mut tx, &world, due).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn one(app: &App, tx: &mut TenantTx, world: &World<'_>, due: Reminder) -> Result<(), ServiceError> {
    let product = consents::get(tx, due.consent).await?.product;
    let given = usize::try_from(due.nth).unwrap_or(usize::MAX);
    let next = reminder(given, world.now);
    deletions::remind_at(tx, due.deletion, next).await?;
    let data = json!({
        "deletion_id": due.deletion.to_string(),
        "reminder": due.nth,
        "last": next.is_none(),
        "acknowledge": format!("/v1/deletions/{}/acknowledge", due.deletion),
    });
    if next.is_none() {
        tracing::warn!(deletion = %due.deletion, "a product has not acknowledged an erasure");
        evidence_log::record(app, tx, world, due.consent, "deletion.unacknowledged", &data).await?;
    }
    emit(tx, world, product, EventType::DeletionAcknowledgementDue, Some(due.consent), data).await
}
