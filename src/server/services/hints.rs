//! What banks tell us unasked.
//!
//! A notification decides nothing: it makes us ask the bank that it speaks of. There is one exception, by the standard's own
//! word: a data holder of the Consumer Data Right that ends an arrangement, in a call that its registered keys have signed.

use bank_adapters::hint::consents_named;
use domain::grant::Observed;
use domain::ids::{GrantId, RegistrationId};
use domain::world::World;
use fapi::Refusal;
use fapi::arrangement::Withdrawal;
use fapi::profile::Alg;
use fapi::token::Tokens;
use jiff::SignedDuration;
use store::{TenantTx, consents, grants};

use crate::app::App;
use crate::bank_calls::{Basis, CallError, Occasion};
use crate::evidence_log::About;
use crate::keys::TenantKeys;
use crate::services::{ServiceError, issuer, status};

/// From a hint to the question, in seconds: however many come meanwhile, the bank is asked once.
const PAUSE_SECONDS: i64 = 10;
/// Where banks call when a person has ended sharing there (CDR Arrangement Revocation End Point).
pub(crate) const ARRANGEMENT_REVOCATION: &str = "arrangements/revoke";
/// What the Consumer Data Right signs with (CDR Security Profile, Client Authentication).
const ALGORITHMS: [Alg; 2] = [Alg::Ps256, Alg::Es256];

/// The tag under which a grant is found by the bank's own name of it.
///
/// # Errors
/// The database's or the key provider's.
pub(crate) async fn tag(app: &App, tx: &mut TenantTx, world: &World<'_>, name: &str) -> Result<[u8; 32], ServiceError> {
    Ok(TenantKeys::lookup(app, tx, world).await?.mac("grant.bank_name", name.as_bytes()))
}

/// The tag of an arrangement, where the tokens belong to one; else what the grant is found by stays as it is.
///
/// # Errors
/// The database's or the key provider's.
pub(crate) async fn tag_of(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    tokens: &Tokens,
    before: Option<[u8; 32]>,
) -> Result<Option<[u8; 32]>, ServiceError> {
    match &tokens.arrangement {
        Some(arrangement) => tag(app, tx, world, arrangement).await.map(Some),
        None => Ok(before),
    }
}

/// Takes a notification of a bank: every consent that it names, and that we have, is asked after. `false` where there is no
/// such registration.
///
/// # Errors
/// The database's or the key provider's.
pub async fn changed(app: &App, registration: &RegistrationId, body: &[u8]) -> Result<bool, ServiceError> {
    let Some(connection) = app.connections.get(registration) else { return Ok(false) };
    let world = app.world();
    let at = world.now.saturating_add(SignedDuration::from_secs(PAUSE_SECONDS)).unwrap_or(world.now);
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    for name in consents_named(connection.bank.profile().bank.standard, body) {
        let tag = tag(app, &mut tx, &world, name.expose()).await?;
        for grant in grants::named(&mut tx, registration, &tag).await? {
            // One of them is enough: what the bank says of the grant is taken over for all that stand on it.
            if let Some(consent) = consents::standing_on(&mut tx, grant.id).await?.first() {
                status::ask_at(&mut tx, &world, consent.id, registration.as_str(), at).await?;
            }
        }
    }
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(true)
}

/// What became of a bank's word that an arrangement has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It has ended with us, too.
    Ended,
    /// We do not have it, or not any more.
    UnknownArrangement,
    /// The call is none that we could read.
    Malformed,
    /// The call proves nothing.
    Untrusted,
}

/// Takes a bank's word that an arrangement has ended. That a call counts once needs no memory: with the arrangement goes
/// what it was found by, and no arrangement comes back to life.
///
/// # Errors
/// The database's, or the bank's keys cannot be had now.
pub async fn withdrawn(app: &App, authorization: Option<&str>, body: &[u8]) -> Result<Withdrawn, ServiceError> {
    let refused = |refusal: &Refusal| {
        tracing::warn!(code = refusal.code, "a call about the end of an arrangement was refused");
        if refusal.code == "withdrawal.format.invalid" { Withdrawn::Malformed } else { Withdrawn::Untrusted }
    };
    let call = match Withdrawal::parse(authorization, body) {
        Ok(call) => call,
        Err(refusal) => return Ok(refused(&refusal)),
    };
    let holder = call.claimed_holder();
    let ours = app.connections.all().into_iter();
    let mut ours = ours.filter(|one| one.registration.data_holder.is_some() && one.registration.data_holder == holder);
    let (Some(connection), Some(holder)) = (ours.next(), &holder) else { return Ok(Withdrawn::Untrusted) };
    // Only whoever knows an arrangement that we have can make us fetch keys.
    let Some(named) = call.claimed_arrangement() else { return Ok(Withdrawn::Malformed) };
    let Some((about, grant)) = standing(app, &connection.id, &named).await? else {
        return Ok(Withdrawn::UnknownArrangement);
    };
    let occasion = Occasion { connection: &connection, about, basis: Basis::Revocation };
    let metadata = issuer::discover(app, &occasion).await?;
    let keys = issuer::key_set(app, &occasion, &metadata).await?;
    let audience = format!("{}{ARRANGEMENT_REVOCATION}", app.config.listen.public_url);
    match call.verify(holder, &audience, &keys, &ALGORITHMS, app.clock.now()) {
        Ok(withdrawn) if withdrawn.arrangement == named => {}
        Ok(_) => return Ok(Withdrawn::Untrusted),
        Err(refusal) => return Ok(refused(&refusal)),
    }
    status::take_over(app, about, grant, Observed::RevokedAtBank).await?;
    Ok(Withdrawn::Ended)
}

/// The grant of that name, with a consent that stands on it.
async fn standing(
    app: &App,
    registration: &RegistrationId,
    name: &str,
) -> Result<Option<(About, GrantId)>, ServiceError> {
    let tenant = app.tenant.id;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let tag = tag(app, &mut tx, &app.world(), name).await?;
    for grant in grants::named(&mut tx, registration, &tag).await? {
        if let Some(consent) = consents::standing_on(&mut tx, grant.id).await?.first() {
            return Ok(Some((About { tenant, consent: consent.id }, grant.id)));
        }
    }
    Ok(None)
}

/// Whether a failure to take a call is the bank's: its keys could not be had.
pub(crate) const fn is_the_banks(error: &ServiceError) -> bool {
    matches!(error, ServiceError::Call(CallError::Transport(_) | CallError::Bank(_) | CallError::Refused(_)))
}
