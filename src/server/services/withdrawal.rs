//! Withdrawals by others than the person, their product and their bank: an operator's order, and a public register that takes
//! a participant's authorisation away. Each says why, on the record of the consent.

use domain::consent::{Event, RevokedBy, State, step};
use domain::ids::{ConsentId, InstitutionId};
use serde_json::json;
use store::consents;

use crate::app::App;
use crate::evidence_log;
use crate::services::ServiceError;
use crate::services::consents::advance;

/// Consents that one look reads.
const BATCH: u32 = 500;

/// Who orders it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Whoever runs this installation.
    Operator,
    /// A public register.
    Register,
}

impl Authority {
    const fn by(self) -> RevokedBy {
        match self {
            Self::Operator => RevokedBy::Operator,
            Self::Register => RevokedBy::Register,
        }
    }
}

/// Withdraws a consent of this tenant; `why` is put on its record. Gives whether that changed anything: what is withdrawn
/// already, or never came to life, stays as it is.
///
/// # Errors
/// There is no such consent; the database's or the key provider's.
pub async fn of_consent(app: &App, id: ConsentId, authority: Authority, why: &str) -> Result<bool, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let before = consents::lock(&mut tx, id).await?;
    let (event, actor) = (Event::Revoke(authority.by()), authority.by().word());
    if matches!(before.machine.state, State::Revoked(_)) || step(&before.machine, event, world.now).is_err() {
        return Ok(false);
    }
    let body = json!({ "by": actor, "why": why });
    evidence_log::record(app, &mut tx, &world, id, "consent.withdrawal_ordered", &body).await?;
    advance(app, &mut tx, &world, &before, event, actor, |_| {}).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(true)
}

/// Withdraws every consent that is not over: those at one bank, whose authorisation a register has taken away, or all of
/// them, when it was our own. Each in a transaction of its own, so that it can be killed and repeated, and one that fails
/// keeps none of the others. Gives how many.
///
/// # Errors
/// The database's or the key provider's: the first of them, after all the others were tried.
pub async fn of_register(app: &App, bank: Option<&InstitutionId>, entry: &str) -> Result<u64, ServiceError> {
    let (mut ended, mut after, mut failed) = (0, None, None);
    loop {
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        let page = consents::not_over(&mut tx, bank, after, BATCH).await?;
        tx.commit().await?;
        let Some(last) = page.last() else { return failed.map_or(Ok(ended), Err) };
        after = Some(*last);
        for id in page {
            match of_consent(app, id, Authority::Register, entry).await {
                Ok(changed) => ended += u64::from(changed),
                Err(error) => {
                    tracing::error!(consent.id = %id, code = error.code(), "a consent was not withdrawn");
                    failed.get_or_insert(error);
                }
            }
        }
    }
}
