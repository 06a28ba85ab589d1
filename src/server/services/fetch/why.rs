//! Why there is nothing newer of a consent, for whoever reads what is stored meanwhile.

use domain::ids::ConsentId;
use domain::world::World;
use jiff::Timestamp;
use store::fetches::{Run, RunState};
use store::{StoreError, TenantTx, fetches};

use super::RESUME_SECONDS;
use crate::app::App;
use crate::bank_calls::CallError;
use crate::evidence_log::About;
use crate::services::{ServiceError, events as telling};

/// Notes why a fetch came to no end, for whoever reads what is stored meanwhile.
pub(super) async fn note(app: &App, about: About, error: &CallError) -> Result<(), ServiceError> {
    let now = app.clock.now();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let too_old = |run: &Run| now.duration_since(run.started_at).as_secs() >= RESUME_SECONDS;
    say_why(&mut tx, about.consent, error.code(), now, too_old).await?;
    Ok(tx.commit().await?)
}

/// Says at the latest run why there is nothing newer. One that is under way and that nobody will go on with ends with it: what
/// it has read is not new for ever.
async fn say_why(
    tx: &mut TenantTx,
    consent: ConsentId,
    code: &str,
    now: Timestamp,
    is_over: impl Fn(&Run) -> bool + Send,
) -> Result<(), StoreError> {
    let latest = fetches::latest(tx, consent).await?;
    match latest.filter(|run| run.state == RunState::Running && is_over(run)) {
        Some(open) => match fetches::finish(tx, open.id, RunState::Partial, Some(code), now).await {
            // Somebody else has ended it meanwhile, and said why.
            Err(StoreError::Raced) => Ok(()),
            ended => ended,
        },
        None => fetches::note(tx, consent, code).await,
    }
}

/// The reads of the day are used up: whoever reads what is stored is told why it is not newer, and a run that waited to be
/// gone on with has ended.
pub(super) async fn put_off(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    until: Timestamp,
) -> Result<(), ServiceError> {
    say_why(tx, consent, telling::READS_USED_UP, world.now, |_| true).await?;
    telling::deferred(tx, world, consent, until).await
}
