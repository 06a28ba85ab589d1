//! Asking again for what was asked before and came to nothing.
//!
//! Nothing leads out of a failed consent, so a second try of the person is a new consent with the same ask. The browser
//! keeps its session, which from then on is about the new one, and no longer than before.

use domain::consent::{Consent as Machine, State};
use domain::ids::{ConsentId, EventId};
use serde_json::json;
use store::consents::{Cause, Consent};
use store::page_sessions::PageSession;
use store::{StoreError, consents, events, page_sessions};

use crate::app::App;
use crate::evidence_log;
use crate::services::ServiceError;

/// Writes a consent that asks what a failed one asked, and turns the session to it.
///
/// # Errors
/// The session's consent has not failed; or another request of the same browser was faster; or the database's.
pub async fn restart(app: &App, session: &PageSession, token_hash: &[u8; 32]) -> Result<Consent, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let failed = consents::lock(&mut tx, session.consent).await?;
    if !matches!(failed.machine.state, State::Failed(_)) {
        return Err(StoreError::NotAllowed.into());
    }
    let consent = Consent {
        id: ConsentId::new(&world),
        text_hash: None,
        // No link leads to it: it can be answered as long as this session lives.
        machine: Machine::new(session.expires_at),
        seq: 0,
        grant: None,
        created_at: world.now,
        accepted_at: None,
        authorized_at: None,
        sca_at: None,
        confirmed_at: None,
        ended_at: None,
        ..failed.clone()
    };
    consents::insert(&mut tx, &consent, Cause { event: "created", actor: "psu", at: world.now }).await?;
    let body = json!({
        "product": consent.product.to_string(),
        "institution": consent.bank.as_ref().map(|(institution, _)| institution.as_str()),
        "purposes": consent.purposes,
        "clusters": consent.clusters,
        "asked_again_for": failed.id.to_string(),
    });
    evidence_log::record(app, &mut tx, &world, consent.id, "consent.created", &body).await?;
    let event = events::Event {
        id: EventId::new(&world),
        product: consent.product,
        kind: "consent.created".to_owned(),
        consent: Some(consent.id),
        payload: json!({ "consent_id": consent.id.to_string(), "asked_again_for": failed.id.to_string() }),
        recorded_at: world.now,
    };
    events::append(&mut tx, &event).await?;
    page_sessions::end(&mut tx, session.id).await?;
    let turned = PageSession { id: world.uuid(), consent: consent.id, login: None, ..session.clone() };
    page_sessions::insert(&mut tx, &turned, token_hash).await?;
    tx.commit().await?;
    Ok(consent)
}
