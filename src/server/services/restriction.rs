//! A person wants their data kept and not used, or lets them be used again (Article 18 GDPR).
//!
//! What is restricted is neither read nor served, fetched or corrected, and no retention ends it. Clocks run on, and whoever
//! withdraws or asks to be forgotten is heard as before. A consent that is given later is a word of its own.

use domain::consent::{DataState, Event, step};
use domain::ids::{ProductId, PsuId, TenantId};
use serde_json::json;
use store::consents::{self, Consent};

use crate::app::App;
use crate::evidence_log;
use crate::services::consents::advance;
use crate::services::{ServiceError, erasure};

/// Restricts the data of every consent of a person, or releases them, in one transaction. Gives the consents whose data
/// are restricted afterwards. Repeating it changes nothing.
///
/// # Errors
/// The database's or the key provider's.
pub async fn of_person(
    app: &App,
    tenant: TenantId,
    (product, psu): (ProductId, PsuId),
    restrict: bool,
    actor: &str,
) -> Result<Vec<Consent>, ServiceError> {
    let (event, kind) = if restrict {
        (Event::Restricted, "person.restriction_requested")
    } else {
        (Event::Released, "person.restriction_lifted")
    };
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let mut restricted = Vec::new();
    // The oldest first, as whoever else locks several does.
    for id in erasure::all(&mut tx, product, psu).await?.into_iter().rev() {
        let mut consent = consents::lock(&mut tx, id).await?;
        if step(&consent.machine, event, world.now).is_ok() {
            let body = json!({ "actor": actor });
            evidence_log::record(app, &mut tx, &world, id, kind, &body).await?;
            consent = advance(app, &mut tx, &world, &consent, event, actor, |_| {}).await?;
        }
        let is_restricted = matches!(consent.machine.data, DataState::Restricted | DataState::HeldRestricted);
        restricted.extend(Some(consent).filter(|_| is_restricted));
    }
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(restricted)
}
