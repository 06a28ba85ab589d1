//! Asking a bank how one consent stands: while its person or further signers are waited for, and when somebody says that it has changed.
//!
//! A hint that comes in from outside decides nothing; what the bank answers to our own question does.

use bank_adapters::answer::{ConsentState, Granted};
use bank_adapters::ask::BankConsentId;
use bank_adapters::error::BankCode;
use bank_adapters::profile::Completion;
use domain::consent::{Event, ReauthReason, RevokedBy, State, step};
use domain::grant::{self, Event as GrantEvent, Observed, State as GrantState};
use domain::ids::{ConsentId, GrantId, JobId, TenantId};
use domain::limits;
use domain::world::World;
use fapi::token::Tokens;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::consents::Consent;
use store::grants::{self, Grant};
use store::renewals::Renewal;
use store::sealed::Place;
use store::{StoreError, TenantTx, consents, jobs};
use vault::DataKey;

use crate::app::App;
use crate::bank_calls::{self, Basis, CallError, Occasion};
use crate::connections::Connection;
use crate::evidence_log::{self, About};
use crate::services::consents::{self as moves, Work};
use crate::services::fetch::{self, Verdict};
use crate::services::refresh::{self, Live};
use crate::services::renewals::{self, Meanwhile};
use crate::services::{ServiceError, confirmation, hints, issuer, logins, rivals};

/// The shortest and the longest pause between two looks at a consent that further signers have to authorise, in seconds.
/// Most sign at once or on another day.
const PAUSE_SECONDS: std::ops::RangeInclusive<i64> = 60..=6 * 60 * 60;
/// The state of a consent whose bank does not honour it at the moment.
pub(crate) const SUSPENDED: State = State::ReauthPending(ReauthReason::SuspendedByBank);
/// How much of the time waited so far is waited until the next look.
const PAUSE_PART: i64 = 4;

/// Stores what the first signer brought, if authorisations bring anything, and begins to wait for the others.
///
/// # Errors
/// The state does not allow it, or the database's.
pub(crate) async fn await_signers(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    (consent, renewal): (&Consent, Option<&Renewal>),
    before: &Grant,
    brought: Option<(&DataKey, &Tokens)>,
) -> Result<(), ServiceError> {
    let mut after = Grant {
        state: grant::step(before.state, GrantEvent::Observed(Observed::Partial))?,
        intent: None,
        sca_at: Some(world.now),
        ..before.clone()
    };
    if let Some((key, tokens)) = brought {
        let sealed = Place::tokens(tx.tenant(), before.id).seal(key, &tokens.to_bytes(), world.entropy);
        after.sealed_tokens = Some(sealed);
        after.bank_tag = hints::tag_of(app, tx, world, tokens, before.bank_tag).await?;
        after.subject_tag = rivals::subject_tag(app, tx, world, &before.registration, tokens).await?;
        after.token_expires_at = tokens.expires_at;
    }
    grants::save(tx, before, &after).await?;
    let until = world.now.saturating_add(SignedDuration::from_secs(limits::SIGNERS_SECONDS)).unwrap_or(world.now);
    match renewal {
        Some(renewal) => renewals::await_signers(tx, world, consent, renewal, until).await?,
        None => {
            moves::advance(app, tx, world, consent, Event::PartlyAuthorised(until), "bank", |_| {}).await?;
        }
    }
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

/// Looks once. Asks nothing for a consent that is over, or whose person has not confirmed to us in time.
///
/// # Errors
/// Our own trouble; what the bank does is part of the verdict.
pub async fn run(app: &App, tenant: TenantId, id: ConsentId) -> Result<Verdict, ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let consent = consents::get(&mut tx, id).await?;
    let Some(grant) = consent.grant else { return Ok(Verdict::Done) };
    let (own, renewed) = (grants::get(&mut tx, grant).await?, renewals::under_way(&mut tx, &consent).await?);
    tx.commit().await?;
    let first = consent.machine.state == State::Initiated && awaits(app, &own).is_some();
    let renewed = renewed.filter(|renewed| awaits(app, renewed).is_some());
    let waits = first || renewed.is_some();
    if !first && !bank_calls::may_call(&consent.machine, app.clock.now()) {
        // What waits for the bank, which may not be asked for want of the person's word, is asked about when they have given it.
        let later = consent.machine.is_open() && (waits || consent.machine.state == SUSPENDED);
        return Ok(if later { Verdict::Again(next_look(own.sca_at, app.clock.now())) } else { Verdict::Done });
    }
    let grant = renewed.unwrap_or(own);
    let Some(wrapped) = &grant.key else { return Ok(Verdict::Done) };
    let key = app.vault.open_key(tenant, wrapped)?;
    let connection = logins::connection(app, &grant.registration)?;
    let occasion = Occasion { connection: &connection, about: About { tenant, consent: id }, basis: Basis::Unattended };
    let again = Verdict::Again(match awaits(app, &grant) {
        Some(Awaited::Psu) => confirmation::next_look(grant.created_at, app.clock.now()),
        Some(Awaited::Signers) | None => next_look(grant.sca_at, app.clock.now()),
    });
    let looked = if waits {
        decide(app, &occasion, &consent, &grant, &key).await
    } else {
        living(app, &occasion, &grant, &key).await
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

/// Looks how a consent that was authorised stands at the bank. Where it says that all is well our tokens are tried, too:
/// not every status tells of a withdrawal (UK Open Banking 3.1), and where there is none, tokens are all that there is.
/// Gives whether nothing has to be waited for.
async fn living(app: &App, occasion: &Occasion<'_>, grant: &Grant, key: &DataKey) -> Result<bool, ServiceError> {
    let about = occasion.about;
    let meanwhile = renewals::meanwhile(app, about.tenant, about.consent, Some(grant.id)).await?;
    if meanwhile.again(app.clock.now()).is_some() {
        // A login is under way that explains whatever the bank says of the old authorisation.
        return Ok(true);
    }
    let bank_consent = logins::bank_consent(grant, about.tenant, key)?;
    if !observe(app, occasion, meanwhile, (grant.id, &bank_consent)).await? {
        return Ok(true);
    }
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let consent = consents::get(&mut tx, about.consent).await?;
    tx.commit().await?;
    if consent.machine.state == SUSPENDED {
        return Ok(false);
    }
    if !consent.machine.may_fetch(app.clock.now()) || !doubt_token(app, about, grant.id).await? {
        return Ok(true);
    }
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let grant = grants::get(&mut tx, grant.id).await?;
    tx.commit().await?;
    match refresh::live(app, occasion, &grant, key, None).await {
        Err(ServiceError::Call(error)) => {
            fetch::settle(app, occasion, &grant, &bank_consent, error).await?;
        }
        other => drop(other?),
    }
    Ok(true)
}

/// Reads the consent's status at the bank and takes it over. Gives whether the consent still lives.
pub(crate) async fn observe(
    app: &App,
    occasion: &Occasion<'_>,
    meanwhile: Meanwhile,
    (grant, consent): (GrantId, &BankConsentId),
) -> Result<bool, ServiceError> {
    let Some(consents) = occasion.connection.bank.consents() else {
        return doubt_token(app, occasion.about, grant).await;
    };
    let metadata = issuer::metadata(app, occasion).await?;
    let tokens = issuer::client_tokens(app, occasion, metadata.as_ref()).await?;
    let context = occasion.context(tokens.as_ref(), None, &app.world());
    let call = consents.status(consent, &context);
    let state = bank_calls::to_bank(app, occasion, "consent_status", &context, call).await?;
    if let ConsentState::Unrecognised(word) = &state {
        report(app, occasion, word).await?;
    }
    let seen = observed(&state);
    if rivals::is_said_of_the_replaced(seen) {
        let replaced = replaced(app, occasion, grant).await?;
        // A login ended it, which should have renewed it or was for another product: the person is needed, nothing is over.
        if replaced || meanwhile == Meanwhile::Broken {
            lose_tokens(app, occasion.connection, occasion.about, grant).await?;
            return Ok(false);
        }
    }
    take_over(app, occasion.about, grant, seen).await
}

async fn replaced(app: &App, occasion: &Occasion<'_>, grant: GrantId) -> Result<bool, ServiceError> {
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let old = grants::get(&mut tx, grant).await?;
    Ok(rivals::is_early(occasion.connection, &old, app.clock.now())
        || rivals::explain(&mut tx, occasion.connection, &old).await?)
}

/// A word that no standard lists changes nothing; somebody should see it.
async fn report(app: &App, occasion: &Occasion<'_>, word: &BankCode) -> Result<(), ServiceError> {
    tracing::warn!(bank.id = %occasion.connection.institution, status = word.as_str(), "a consent status that nobody knows");
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let body = json!({ "registration": occasion.connection.id.as_str(), "status": word.as_str() });
    evidence_log::record(app, &mut tx, &app.world(), occasion.about.consent, "bank.status_unknown", &body).await?;
    Ok(tx.commit().await?)
}

/// Takes over what the bank says of a grant, for every consent that stands on it. Gives whether they still live.
pub(crate) async fn take_over(app: &App, about: About, id: GrantId, seen: Observed) -> Result<bool, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let standing = standing(&mut tx, id).await?;
    if standing.is_empty() {
        // Everybody who stood on it has a newer one by now, or is over.
        return Ok(true);
    }
    let before = grants::lock(&mut tx, id).await?;
    let lifted = seen == Observed::Valid && standing.iter().any(|consent| consent.machine.state == SUSPENDED);
    let event = if lifted { GrantEvent::Reinstated } else { GrantEvent::Observed(seen) };
    let state = grant::step(before.state, event)?;
    let token_expires_at = before.token_expires_at.filter(|_| !lifted);
    grants::save(&mut tx, &before, &Grant { state, token_expires_at, ..before.clone() }).await?;
    let event = match seen {
        Observed::RevokedAtBank => Some(Event::Revoke(RevokedBy::PsuAtBank)),
        Observed::TerminatedByAspsp => Some(Event::Revoke(RevokedBy::Bank)),
        Observed::Expired | Observed::TerminatedByTpp | Observed::Rejected => Some(Event::EndedByBank),
        Observed::Suspended => Some(Event::Suspended),
        Observed::Valid => lifted.then_some(Event::Reinstated),
        Observed::Waiting | Observed::Partial | Observed::Unknown => None,
    };
    for (consent, event) in standing.iter().zip(std::iter::repeat(event)) {
        // What waits for its person, or is suspended already, is not told again.
        let Some(event) = event.filter(|event| step(&consent.machine, *event, world.now).is_ok()) else { continue };
        moves::advance(app, &mut tx, &world, consent, event, "bank", |_| {}).await?;
        if seen == Observed::Suspended {
            let next = next_look(None, world.now);
            ask_at(&mut tx, &world, consent.id, before.registration.as_str(), next).await?;
        }
    }
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(match seen {
        Observed::Expired
        | Observed::RevokedAtBank
        | Observed::TerminatedByAspsp
        | Observed::TerminatedByTpp
        | Observed::Rejected => false,
        Observed::Waiting | Observed::Partial | Observed::Valid | Observed::Suspended | Observed::Unknown => true,
    })
}

/// Where there is no consent to ask about, the authorisation server knows: the access token is doubted, so that the next
/// try renews it first and learns whether the authorisation lives. Gives whether there is a next try.
async fn doubt_token(app: &App, about: About, grant: GrantId) -> Result<bool, ServiceError> {
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let grant = grants::lock(&mut tx, grant).await?;
    grants::save(&mut tx, &grant, &Grant { token_expires_at: None, ..grant.clone() }).await?;
    tx.commit().await?;
    Ok(true)
}

/// Our tokens are good for nothing any more: the person of every consent that stands on them is needed.
pub(crate) async fn lose_tokens(
    app: &App,
    connection: &Connection,
    about: About,
    id: GrantId,
) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let standing = standing(&mut tx, id).await?;
    if standing.is_empty() {
        return Ok(());
    }
    let grant = grants::lock(&mut tx, id).await?;
    let state = grant::step(grant.state, GrantEvent::TokensLost)?;
    let event = if rivals::explain(&mut tx, connection, &grant).await? { Event::Displaced } else { Event::TokenLost };
    grants::save(&mut tx, &grant, &Grant { state, intent: None, ..grant.clone() }).await?;
    // What is not used at the moment, by its person's word or by the law's, has lost them as well.
    for consent in standing.iter().filter(|consent| step(&consent.machine, event, world.now).is_ok()) {
        moves::advance(app, &mut tx, &world, consent, event, "bank", |_| {}).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The consents that stand on a grant, locked. Whoever was put on another while their lock was waited for stands there.
pub(crate) async fn standing(tx: &mut TenantTx, grant: GrantId) -> Result<Vec<Consent>, ServiceError> {
    let mut standing = Vec::new();
    for consent in consents::standing_on(tx, grant).await? {
        let locked = consents::lock(tx, consent.id).await?;
        if locked.grant == Some(grant) {
            standing.push(locked);
        }
    }
    Ok(standing)
}

/// A standard's status word as the grant machine sees it.
pub(crate) fn observed(state: &ConsentState) -> Observed {
    match state {
        ConsentState::Received => Observed::Waiting,
        ConsentState::PartiallyAuthorised => Observed::Partial,
        ConsentState::Valid => Observed::Valid,
        ConsentState::Suspended => Observed::Suspended,
        ConsentState::Rejected => Observed::Rejected,
        ConsentState::RevokedByPsu => Observed::RevokedAtBank,
        ConsentState::TerminatedByAspsp => Observed::TerminatedByAspsp,
        ConsentState::Expired | ConsentState::NotFound => Observed::Expired,
        ConsentState::TerminatedByTpp => Observed::TerminatedByTpp,
        ConsentState::Unrecognised(_) => Observed::Unknown,
    }
}

/// Whom a grant waits for that the bank has not authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Others have to sign as well.
    Signers,
    /// The person confirms at the bank, and nothing that comes back says that they have.
    Psu,
}

/// Whom a grant waits for; `None` for one that waits for nobody, or for a return with a code.
pub(crate) fn awaits(app: &App, grant: &Grant) -> Option<Awaited> {
    let completion = || Some(app.connections.get(&grant.registration)?.bank.profile().consent.completion);
    let confirmed_there = || matches!(completion(), Some(Completion::StatusPoll | Completion::Decoupled));
    match grant.state {
        GrantState::Partial => Some(Awaited::Signers),
        GrantState::Pending if confirmed_there() => Some(Awaited::Psu),
        GrantState::Pending
        | GrantState::Requested
        | GrantState::Granted
        | GrantState::Suspended
        | GrantState::Ending
        | GrantState::Ended(_)
        | GrantState::Unconfirmed => None,
    }
}

/// Looks whether those who are waited for have authorised. Gives whether that is decided.
pub(crate) async fn decide(
    app: &App,
    occasion: &Occasion<'_>,
    consent: &Consent,
    grant: &Grant,
    key: &DataKey,
) -> Result<bool, ServiceError> {
    // Where the bank keeps no consents, nobody is waited for: its tokens are all that there is.
    let Some(consents) = occasion.connection.bank.consents() else { return Ok(true) };
    let tokens = match tokens(app, occasion, grant, key).await? {
        Live::Tokens(tokens) => Some(tokens),
        Live::NotNeeded => None,
        Live::Later(_) => return Ok(false),
    };
    let tokens = tokens.as_deref();
    let bank_consent = logins::bank_consent(grant, occasion.about.tenant, key)?;
    let context = occasion.context(tokens, None, &app.world());
    let call = consents.status(&bank_consent, &context);
    let state = bank_calls::to_bank(app, occasion, "consent_status", &context, call).await?;
    if state == ConsentState::PartiallyAuthorised && grant.state == GrantState::Pending {
        partly(app, occasion.about, grant.id).await?;
        return Ok(true);
    }
    if state.is_usable() {
        let context = occasion.context(tokens, None, &app.world());
        let call = consents.read(&bank_consent, &context);
        let granted = bank_calls::to_bank(app, occasion, "read_consent", &context, call).await?;
        if granted.state.is_usable() {
            authorised(app, occasion.connection, occasion.about, grant, &granted).await?;
            return Ok(true);
        }
        return Ok(false);
    }
    if state.is_terminal() {
        refused(app, occasion.about, (consent.id, grant.id), &state).await?;
    }
    Ok(state.is_terminal())
}

/// The person has confirmed, and others have to as well: from now on these are waited for.
async fn partly(app: &App, about: About, grant: GrantId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let consent = consents::lock(&mut tx, about.consent).await?;
    let before = grants::lock(&mut tx, grant).await?;
    let renewal = renewals::of_login(&mut tx, &consent, grant).await?;
    await_signers(app, &mut tx, &world, (&consent, renewal.as_ref()), &before, None).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// Tokens that the bank takes for a question about a consent.
async fn tokens(app: &App, occasion: &Occasion<'_>, grant: &Grant, key: &DataKey) -> Result<Live, ServiceError> {
    let metadata = issuer::metadata(app, occasion).await?;
    match issuer::client_tokens(app, occasion, metadata.as_ref()).await? {
        Some(own) => Ok(Live::Tokens(Box::new(own))),
        None => refresh::live(app, occasion, grant, key, None).await,
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
    if before.state == GrantState::Granted {
        // Two looked at the same moment.
        return Ok(());
    }
    let renewal = renewals::of_login(&mut tx, &consent, grant.id).await?;
    let clocks = moves::clocks(app, connection, &consent, granted, sca_at);
    let state = grant::step(before.state, GrantEvent::TokensStored)?;
    let after =
        Grant { state, intent: None, sca_at: Some(sca_at), valid_until: Some(clocks.term_ends), ..before.clone() };
    grants::save(&mut tx, &before, &after).await?;
    match renewal {
        Some(renewal) => renewals::complete(app, &mut tx, &world, &consent, (&renewal, sca_at), granted).await?,
        None => logins::begin_life(app, &mut tx, &world, &consent, (before.id, sca_at), clocks, granted).await?,
    }
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// Another signer said no, or nobody signed in the bank's time.
async fn refused(
    app: &App,
    about: About,
    (consent, grant): (ConsentId, GrantId),
    state: &ConsentState,
) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let before = consents::lock(&mut tx, consent).await?;
    let grant = grants::lock(&mut tx, grant).await?;
    let next = grant::step(grant.state, GrantEvent::Observed(observed(state)))?;
    grants::save(&mut tx, &grant, &Grant { state: next, ended_at: Some(world.now), ..grant.clone() }).await?;
    if before.grant == Some(grant.id) {
        moves::advance(app, &mut tx, &world, &before, Event::Rejected, "bank", |_| {}).await?;
    } else {
        // The old authorisation is as it was: the bank ends it for one that all have signed.
        renewals::fail(app, &mut tx, &world, &before, grant.id, true).await?;
    }
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
