//! A person asks to be forgotten: everything that a product holds of them through us, across consents and banks.

use domain::consent::{Event, RevokedBy, State};
use domain::ids::{ConsentId, ProductId, PsuId, TenantId};
use domain::world::World;
use serde_json::json;
use store::consents::Consent;
use store::{StoreError, TenantTx, consents, psus};

use crate::app::App;
use crate::evidence_log;
use crate::keys::TenantKeys;
use crate::services::ServiceError;
use crate::services::consents::advance;

/// Consents that one look reads.
const BATCH: u32 = 500;

/// Ends every consent of a person that is not over and begins the erasure of all that is left of the others, in one
/// transaction; gives the consents that have, or had, data of theirs. Repeating it begins nothing anew.
///
/// # Errors
/// The database's or the key provider's.
pub async fn of_person(
    app: &App,
    tenant: TenantId,
    product: ProductId,
    psu: PsuId,
    actor: &str,
) -> Result<Vec<ConsentId>, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let all = all(&mut tx, product, psu).await?;
    // The oldest first, as whoever else locks several does.
    for id in all.iter().rev() {
        let consent = consents::lock(&mut tx, *id).await?;
        let Some(event) = ending(&consent, RevokedBy::Psu) else { continue };
        let body = json!({ "actor": actor });
        evidence_log::record(app, &mut tx, &world, *id, "person.erasure_requested", &body).await?;
        advance(app, &mut tx, &world, &consent, event, actor, |_| {}).await?;
    }
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(all)
}

/// What ends a consent, or begins the erasure of what is left under it; `None` where nothing is left to do.
pub(crate) const fn ending(consent: &Consent, by: RevokedBy) -> Option<Event> {
    match (consent.machine.state, consent.machine.data) {
        (State::Revoked(_), _) => None,
        (_, data) if !data.is_kept() => None,
        (State::Failed(_), _) => Some(Event::EraseRequested),
        (State::Initiated | State::Authorized | State::Active | State::ReauthPending(_) | State::Expired(_), _) => {
            Some(Event::Revoke(by))
        }
    }
}

/// The person whom a product calls so.
///
/// # Errors
/// Nobody is called so; the database's or the key provider's.
pub(crate) async fn person(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    product: ProductId,
    reference: &str,
) -> Result<PsuId, ServiceError> {
    let tag = TenantKeys::lookup(app, tx, world).await?.mac("psu.ref", reference.as_bytes());
    Ok(psus::find(tx, product, &tag).await?.ok_or(StoreError::NotFound("person"))?)
}

/// Every consent of a person for a product, the newest first.
pub(crate) async fn all(tx: &mut TenantTx, product: ProductId, psu: PsuId) -> Result<Vec<ConsentId>, ServiceError> {
    let mut found: Vec<Consent> = Vec::new();
    loop {
        let before = found.last().map(|last| last.id);
        let page = consents::of_product(tx, product, Some(psu), before, BATCH).await?;
        if page.is_empty() {
            return Ok(found.into_iter().map(|consent| consent.id).collect());
        }
        found.extend(page);
    }
}
