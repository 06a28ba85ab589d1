//! Moving a consent: load, step, save with compare-and-swap, history, evidence, effects — one transaction.

use bank_adapters::answer::Granted;
use domain::consent::{Consent as Machine, Effect, Event, ExpiryReason, Notice, ReauthReason, RevokedBy, State, step};
use domain::event::EventType;
use domain::ids::{ConsentId, JobId};
use domain::limits;
use domain::policy::{self, ClockFacts, Clocks};
use domain::retention::{AtEnd, at_end};
use domain::warning::{Clock, Warning};
use domain::world::World;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::consents::{Cause, Consent};
use store::{TenantTx, consents, jobs, links};

use crate::app::App;
use crate::connections::Connection;
use crate::services::events::emit;
use crate::services::{ServiceError, asking, deletion, holds, notices, renewals, revocation};
use crate::{evidence_log, tokens};

/// The calendar of a consent's bank.
pub(crate) fn zone(app: &App, consent: &Consent) -> TimeZone {
    let connection = consent.bank.as_ref().and_then(|(_, registration)| app.connections.get(registration));
    connection.map_or(TimeZone::UTC, |connection| connection.zone.clone())
}

/// The last day of a living consent, in its bank's calendar. Its clock names the first instant after that day.
pub(crate) fn last_day(app: &App, consent: &Consent) -> Option<Date> {
    let end = consent.machine.clocks?.term_ends;
    let inside: Timestamp = end.saturating_add(SignedDuration::from_nanos(-1)).ok()?;
    Some(inside.to_zoned(zone(app, consent)).date())
}

/// The clocks that follow from what a bank granted now.
pub(crate) fn clocks(
    app: &App,
    connection: &Connection,
    consent: &Consent,
    granted: &Granted,
    now: Timestamp,
) -> Clocks {
    let (profile, policy) = (connection.bank.profile(), app.tenant.regime.policy());
    let given = consent.accepted_at.unwrap_or(now);
    let agreed_on = given.to_zoned(connection.zone.clone()).date();
    let facts = ClockFacts {
        last_sca: now,
        last_confirmation: given,
        given,
        // The day that the text named, whether the bank knows of one or not.
        asked_until: asking::last_day(consent.asked_until, profile, policy, agreed_on),
        granted_until: granted.valid_until,
        bank_sca_days: profile.consent.sca_days.map(i64::from),
        tenant_sca_days: app.config.tenant.sca_days(),
    };
    policy::clocks(policy, &facts, &connection.zone)
}

/// Kinds of durable work; the word is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Fetch accounts, balances and transactions of a consent.
    Fetch,
    /// Run an erasure to its receipt.
    Erase,
    /// End a grant at the bank, with a capsule.
    EndAtBank,
    /// Send what waits in the stream of an endpoint.
    Deliver,
    /// Ask the bank how a consent stands.
    AskStatus,
}

impl Work {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Fetch, Self::Erase, Self::EndAtBank, Self::Deliver, Self::AskStatus];

    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Erase => "erase",
            Self::EndAtBank => "end_at_bank",
            Self::Deliver => "deliver",
            Self::AskStatus => "ask_status",
        }
    }
}

/// A consent just written, with the one-time link for its person.
pub struct Created {
    /// The consent.
    pub consent: Consent,
    /// The token of the link.
    pub link: secrecy::SecretString,
    /// When the link ends.
    pub link_expires_at: jiff::Timestamp,
}

/// Stores a new consent with its link.
///
/// # Errors
/// The database's.
pub async fn create(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: Consent,
) -> Result<Created, ServiceError> {
    record(app, tx, world, &consent).await?;
    let (token, expires_at) = link(tx, world, consent.id).await?;
    Ok(Created { consent, link: token, link_expires_at: expires_at })
}

/// Stores a new consent that a product asks for, without a link.
///
/// # Errors
/// The database's.
pub async fn record(app: &App, tx: &mut TenantTx, world: &World<'_>, consent: &Consent) -> Result<(), ServiceError> {
    let cause = Cause { event: "created", actor: "product", at: world.now };
    consents::insert(tx, consent, cause).await?;
    let body = json!({
        "product": consent.product.to_string(),
        "institution": consent.bank.as_ref().map(|(institution, _)| institution.as_str()),
        "purposes": consent.purposes,
        "clusters": consent.clusters,
        "at_end": consent.retention.at_end.word(),
        "retention_days": consent.retention.days,
    });
    evidence_log::record(app, tx, world, consent.id, "consent.created", &body).await?;
    emit(tx, world, consent.product, EventType::ConsentCreated, Some(consent.id), body).await
}

/// Moves a consent by an event. `change` may fill in what belongs to the move (grant, times) before it is saved.
/// `before` must have been locked in this transaction.
///
/// # Errors
/// The step is refused, or the database's.
pub async fn advance(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    before: &Consent,
    event: Event,
    actor: &str,
    change: impl FnOnce(&mut Consent) + Send,
) -> Result<Consent, ServiceError> {
    let stepped = step(&before.machine, event, world.now)?;
    let moved = at_end(&before.machine, stepped, before.retention.at_end);
    let saved = move_to(app, tx, world, before, moved, (event, actor), change).await?;
    let ends = before.machine.is_open()
        && matches!(saved.machine.state, State::Revoked(_) | State::Expired(ExpiryReason::Term | ExpiryReason::Bank));
    if ends && before.retention.at_end == AtEnd::RestrictedHold && saved.machine.data.is_held() {
        // Beside any other hold: when that one is lifted, this one stands.
        holds::by_policy(app, tx, world, &saved).await?;
    }
    Ok(saved)
}

/// As [`advance`], for a step that is known to have been taken: what became of the data is known, too, and no policy says it
/// again.
///
/// # Errors
/// As [`advance`].
pub(crate) async fn advance_again(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    before: &Consent,
    event: Event,
    actor: &str,
) -> Result<Consent, ServiceError> {
    let stepped = step(&before.machine, event, world.now)?;
    move_to(app, tx, world, before, stepped, (event, actor), |_| {}).await
}

async fn move_to(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    before: &Consent,
    (machine, effects): (Machine, Vec<Effect>),
    (event, actor): (Event, &str),
    change: impl FnOnce(&mut Consent) + Send,
) -> Result<Consent, ServiceError> {
    if machine == before.machine && effects.is_empty() {
        return Ok(before.clone());
    }
    let mut after = Consent { machine, ..before.clone() };
    change(&mut after);
    if after.ended_at.is_none() && matches!(machine.state, State::Expired(_) | State::Revoked(_) | State::Failed(_)) {
        after.ended_at = Some(world.now);
    }
    let saved = consents::save(tx, before, &after, Cause { event: event.word(), actor, at: world.now }).await?;
    let body = json!({
        "event": event.word(),
        "actor": actor,
        "from": before.machine.state.word(),
        "to": machine.state.word(),
        "reason": machine.state.reason(),
        "data": machine.data.word(),
        "seq": saved.seq,
    });
    evidence_log::record(app, tx, world, saved.id, "consent.moved", &body).await?;
    for effect in effects {
        plan(app, tx, world, &saved, effect).await?;
    }
    Ok(saved)
}

/// Writes what an effect needs so that it happens after the commit.
async fn plan(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    effect: Effect,
) -> Result<(), ServiceError> {
    match effect {
        Effect::Fetch => {
            let lane = consent.bank.as_ref().map_or("none", |(_, registration)| registration.as_str());
            enqueue(tx, world, Work::Fetch, consent.id.uuid(), lane).await?;
        }
        Effect::EndAtBank | Effect::SweepAtBank => {
            renewals::stop(app, tx, world, consent).await?;
            revocation::prepare(app, tx, world, consent).await?;
        }
        Effect::Erase => deletion::begin(app, tx, world, consent).await?,
        Effect::Block => deletion::block(app, tx, world, consent).await?,
        Effect::Tell(notice) => {
            // Of this one alone the words themselves are the event.
            if notice != Notice::SharingGoesOn {
                tell(app, tx, world, consent, notice).await?;
            }
            notices::of_move(app, tx, world, consent, notice).await?;
        }
        Effect::Warn(warning) => warn(app, tx, world, consent, warning).await?,
    }
    Ok(())
}

/// Writes a piece of work that is due now.
///
/// # Errors
/// The database's.
pub async fn enqueue(
    tx: &mut TenantTx,
    world: &World<'_>,
    work: Work,
    subject: uuid::Uuid,
    lane: &str,
) -> Result<(), ServiceError> {
    jobs::request(tx, JobId::new(world), work.word(), subject, lane, world.now).await?;
    Ok(())
}

async fn tell(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    notice: Notice,
) -> Result<(), ServiceError> {
    let mut payload = json!({
        "consent_id": consent.id.to_string(),
        "state": consent.machine.state.word(),
        "reason": consent.machine.state.reason(),
        "data_state": consent.machine.data.word(),
    });
    match consent.machine.state {
        State::ReauthPending(reason) => {
            payload["who_can_fix"] = json!(who_can_fix(reason));
            payload["action_url"] = json!(way_on(app, consent.id, reason == ReauthReason::ReconfirmMissed));
        }
        State::Revoked(by) => {
            payload["origin"] = json!(by.word());
            payload["local_stop_at"] = json!(world.now.to_string());
            // Whoever heard it from the bank has its confirmation.
            payload["bank_confirmed"] = json!(matches!(by, RevokedBy::PsuAtBank | RevokedBy::Bank));
        }
        State::Initiated | State::Authorized | State::Active | State::Expired(_) | State::Failed(_) => {}
    }
    emit(tx, world, consent.product, notice.event_type(), Some(consent.id), payload).await
}

/// Who can set a consent going again that waits.
pub const fn who_can_fix(reason: ReauthReason) -> &'static str {
    match reason {
        ReauthReason::ScaExpired
        | ReauthReason::ReconfirmMissed
        | ReauthReason::TokenLost
        | ReauthReason::Displaced => "user",
        ReauthReason::SuspendedByBank => "bank",
    }
}

/// Where a product asks for the way on: a link for its person, or the person's word passed on. No secret is in it.
fn way_on(app: &App, consent: ConsentId, to_us: bool) -> String {
    let step = if to_us { "reconfirm" } else { "reauthorise" };
    format!("{}v1/consents/{consent}/{step}", app.config.listen.public_url)
}

async fn warn(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    warning: Warning,
) -> Result<(), ServiceError> {
    let payload = json!({
        "consent_id": consent.id.to_string(),
        "code": "PENDING_EXPIRATION",
        "clock": warning.clock.word(),
        "due_at": warning.due_at.to_string(),
        "days_left": warning.days_left,
        "state": consent.machine.state.word(),
        "renewal_url": way_on(app, consent.id, warning.clock == Clock::Reconfirm),
    });
    emit(tx, world, consent.product, EventType::ConsentExpiring, Some(consent.id), payload).await
}

/// Tells the product that a consent has taken the place of an older one.
///
/// # Errors
/// The database's.
pub(crate) async fn tell_renewed(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    supersedes: ConsentId,
) -> Result<(), ServiceError> {
    let payload = json!({ "consent_id": consent.id.to_string(), "supersedes": supersedes.to_string() });
    emit(tx, world, consent.product, EventType::ConsentRenewed, Some(consent.id), payload).await
}

/// Tells the product that others have to sign a renewal, too.
///
/// # Errors
/// The database's.
pub(crate) async fn tell_partly_renewed(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
) -> Result<(), ServiceError> {
    let (state, reason) = (consent.machine.state.word(), consent.machine.state.reason());
    let payload = json!({ "consent_id": consent.id.to_string(), "state": state, "reason": reason, "renewal": true });
    emit(tx, world, consent.product, EventType::ConsentPartiallyAuthorised, Some(consent.id), payload).await
}

/// Tells the product which accounts came and went with a renewal.
///
/// # Errors
/// The database's.
pub(crate) async fn tell_continuity(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    continuity: &serde_json::Value,
) -> Result<(), ServiceError> {
    let payload = json!({ "consent_id": consent.id.to_string(), "continuity": continuity });
    emit(tx, world, consent.product, EventType::ScopesChanged, Some(consent.id), payload).await
}

/// A one-time link that leads the person of a consent to its pages.
///
/// # Errors
/// The database's.
pub async fn link(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
) -> Result<(secrecy::SecretString, Timestamp), ServiceError> {
    let (token, hash) = tokens::issue(tokens::Kind::Link, world);
    Ok((token, link_with(tx, world, consent, &hash).await?))
}

/// Stores a one-time link under the hash of its token; gives when it ends.
///
/// # Errors
/// The database's.
pub async fn link_with(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    hash: &[u8; 32],
) -> Result<Timestamp, ServiceError> {
    let expires_at = world.now.saturating_add(SignedDuration::from_secs(limits::LINK_SECONDS)).unwrap_or(world.now);
    let link =
        links::Link { id: domain::ids::LinkId::new(world), consent, created_at: world.now, expires_at, used_at: None };
    links::insert(tx, &link, hash).await?;
    Ok(expires_at)
}

/// Withdraws a consent. A consent that is withdrawn already stays as it is.
///
/// # Errors
/// Not found, raced, or a state in which there is nothing to withdraw.
pub async fn revoke(
    app: &App,
    tenant: domain::ids::TenantId,
    id: ConsentId,
    by: RevokedBy,
    actor: &str,
) -> Result<Consent, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let before = consents::lock(&mut tx, id).await?;
    if matches!(before.machine.state, State::Revoked(_)) {
        return Ok(before);
    }
    let after = advance(app, &mut tx, &world, &before, Event::Revoke(by), actor, |_| {}).await?;
    crate::fault::point("revoke.before_commit");
    tx.commit().await?;
    crate::fault::point("revoke.committed");
    app.work.notify_waiters();
    Ok(after)
}
