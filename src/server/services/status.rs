//! Asking a bank how one consent stands: while further signers are waited for, and when somebody says that it has changed.
//!
//! A hint that comes in from outside decides nothing; what the bank answers to our own question does.

use bank_adapters::answer::{ConsentState, Granted};
use domain::consent::{Event, State};
use domain::grant::{self, Event as GrantEvent, Observed, State as GrantState};
use domain::ids::{ConsentId, JobId, TenantId};
use domain::limits;
use domain::world::World;
use fapi::token::Tokens;
use jiff::{SignedDuration, Timestamp};
use store::consents::Consent;
use store::grants::{self, Grant};
use store::sealed::Place;
use store::{StoreError, TenantTx, consents, jobs};
use vault::DataKey;

use crate::app::App;
use crate::bank_calls::{self, Basis, CallError, Occasion};
use crate::connections::Connection;
use crate::evidence_log::About;
use crate::services::consents::{self as moves, Work};
use crate::services::fetch::{self, Verdict};
use crate::services::refresh::{self, Live};
use crate::services::{ServiceError, logins};

/// The shortest and the longest pause between two looks at a consent that further signers have to authorise, in seconds.
/// Most sign at once or on another day.
const PAUSE_SECONDS: std::ops::RangeInclusive<i64> = 60..=6 * 60 * 60;
/// How much of the time waited so far is waited until the next look.
const PAUSE_PART: i64 = 4;

/// Stores what the first signer brought, and begins to wait for the others.
///
/// # Errors
/// The state does not allow it, or the database's.
pub(crate) async fn await_signers(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    before: &Grant,
    key: &DataKey,
    tokens: &Tokens,
) -> Result<(), ServiceError> {
    let after = Grant {
        state: grant::step(before.state, GrantEvent::Observed(Observed::Partial))?,
        intent: None,
        sealed_tokens: Some(Place::tokens(tx.tenant(), before.id).seal(key, &tokens.to_bytes(), world.entropy)),
        token_expires_at: tokens.expires_at,
        sca_at: Some(world.now),
        ..before.clone()
    };
    grants::save(tx, before, &after).await?;
    let until = world.now.saturating_add(SignedDuration::from_secs(limits::SIGNERS_SECONDS)).unwrap_or(world.now);
    moves::advance(app, tx, world, consent, Event::PartlyAuthorised(until), "bank", |_| {}).await?;
    ask_at(tx, world, consent.id, before.registration.as_str(), next_look(Some(world.now), world.now)).await
}

/// Asks for a look at that moment.
///
/// # Errors
/// The database's.
pub(crate) async fn ask_at(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    lane: &str,
    at: Timestamp,
) -> Result<(), ServiceError> {
    Ok(jobs::request(tx, JobId::new(world), Work::AskStatus.word(), consent.uuid(), lane, at).await?)
}

fn next_look(since: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let waited = since.map_or(0, |since| now.duration_since(since).as_secs());
    let pause = (waited / PAUSE_PART).clamp(*PAUSE_SECONDS.start(), *PAUSE_SECONDS.end());
    now.saturating_add(SignedDuration::from_secs(pause)).unwrap_or(now)
}

/// Looks once. Does nothing for a consent that is over, or that waits for its person.
///
/// # Errors
/// Our own trouble; what the bank does is part of the verdict.
pub async fn run(app: &App, tenant: TenantId, id: ConsentId) -> Result<Verdict, ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let consent = consents::get(&mut tx, id).await?;
    let Some(grant) = consent.grant else { return Ok(Verdict::Done) };
    let grant = grants::get(&mut tx, grant).await?;
    tx.commit().await?;
    let waits = consent.machine.state == State::Initiated && grant.state == GrantState::Partial;
    if !waits && !consent.machine.may_read() {
        return Ok(Verdict::Done);
    }
    let Some(wrapped) = &grant.key else { return Ok(Verdict::Done) };
    let key = app.vault.open_key(tenant, wrapped)?;
    let connection = logins::connection(app, &grant.registration)?;
    let occasion = Occasion { connection: &connection, about: About { tenant, consent: id }, basis: Basis::Unattended };
    let again = Verdict::Again(next_look(grant.sca_at, app.clock.now()));
    let looked = if waits {
        signers(app, &occasion, &consent, &grant, &key).await
    } else {
        fetch::look(app, &occasion, &grant, &key).await.map(|_| true)
    };
    match looked {
        Ok(true) | Err(ServiceError::Store(StoreError::NotAllowed | StoreError::Raced)) => Ok(Verdict::Done),
        Ok(false) => Ok(again),
        Err(ServiceError::Call(error)) if !matches!(error, CallError::Ours(_)) => {
            tracing::warn!(bank.id = %connection.institution, code = error.code(), "a status could not be read");
            Ok(again)
        }
        Err(error) => Err(error),
    }
}

/// Looks whether the other signers have authorised. Gives whether that is decided.
async fn signers(
    app: &App,
    occasion: &Occasion<'_>,
    consent: &Consent,
    grant: &Grant,
    key: &DataKey,
) -> Result<bool, ServiceError> {
    // Where the bank keeps no consents, nobody is waited for: its tokens are all that there is.
    let Some(consents) = occasion.connection.bank.consents() else { return Ok(true) };
    let Some(tokens) = tokens(app, occasion, grant, key).await? else { return Ok(false) };
    let bank_consent = logins::bank_consent(grant, occasion.about.tenant, key)?;
    let context = occasion.context(Some(&tokens), None, &app.world());
    let call = consents.status(&bank_consent, &context);
    let state = bank_calls::to_bank(app, occasion, "consent_status", &context, call).await?;
    if state.is_usable() {
        let context = occasion.context(Some(&tokens), None, &app.world());
        let call = consents.read(&bank_consent, &context);
        let granted = bank_calls::to_bank(app, occasion, "read_consent", &context, call).await?;
        if granted.state.is_usable() {
            authorised(app, occasion.connection, occasion.about, grant, &granted).await?;
            return Ok(true);
        }
        return Ok(false);
    }
    if state.is_terminal() {
        refused(app, occasion.about, consent, &state).await?;
    }
    Ok(state.is_terminal())
}

/// Tokens that the bank takes for a question about a consent; `None` while another node renews them.
async fn tokens(
    app: &App,
    occasion: &Occasion<'_>,
    grant: &Grant,
    key: &DataKey,
) -> Result<Option<Tokens>, ServiceError> {
    let metadata = logins::discover(app, occasion).await?;
    if let Some(own) = logins::client_tokens(app, occasion, &metadata).await? {
        return Ok(Some(own));
    }
    match refresh::live(app, occasion, grant, key, None).await? {
        Live::Tokens(tokens) => Ok(Some(*tokens)),
        Live::Later(_) => Ok(None),
    }
}

/// The last signer has authorised: the consent comes to life. Its clock runs since the person whom we know authenticated.
async fn authorised(
    app: &App,
    connection: &Connection,
    about: About,
    grant: &Grant,
    granted: &Granted,
) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let consent = consents::lock(&mut tx, about.consent).await?;
    let before = grants::lock(&mut tx, grant.id).await?;
    let sca_at = before.sca_at.unwrap_or(world.now);
    let clocks = logins::clocks(app, connection, &consent, granted, sca_at);
    let state = grant::step(before.state, GrantEvent::TokensStored)?;
    let after = Grant { state, valid_until: Some(clocks.term_ends), ..before.clone() };
    grants::save(&mut tx, &before, &after).await?;
    logins::begin_life(app, &mut tx, &world, &consent, (before.id, sca_at), clocks, granted).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// Another signer said no, or nobody signed in the bank's time.
async fn refused(app: &App, about: About, consent: &Consent, state: &ConsentState) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let before = consents::lock(&mut tx, consent.id).await?;
    let grant = grants::lock(&mut tx, before.grant.ok_or(StoreError::NotAllowed)?).await?;
    let next = grant::step(grant.state, GrantEvent::Observed(fetch::observed(state)))?;
    grants::save(&mut tx, &grant, &Grant { state: next, ended_at: Some(world.now), ..grant.clone() }).await?;
    moves::advance(app, &mut tx, &world, &before, Event::Rejected, "bank", |_| {}).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_frequent_at_first_and_rare_later() {
        let begun: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let pause = |waited: i64| {
            let now = begun + SignedDuration::from_secs(waited);
            next_look(Some(begun), now).duration_since(now).as_secs()
        };
        assert_eq!([0, 600, 3600, 4 * 24 * 3600].map(pause), [60, 150, 900, 6 * 3600]);
    }
}
