//! A fetch that a product asks for now: for a person who is there, or without them and counted like every other one.
//!
//! Nobody is made up: banks are told of a person only where the product attests one who was there a moment ago. What the
//! bank allows without the person is looked at before anything is promised, and so is whether it wants to be left alone, which
//! holds for whoever is there as well: a product learns at once when it is possible again. Asking twice is asking once: there is one fetch of a consent at a time, and one that waits.

use bank_adapters::ask::PsuPresent;
use domain::breaker::Permit;
use domain::consent::{ReauthReason, State};
use domain::ids::{ConsentId, JobId};
use domain::limits;
use domain::world::World;
use jiff::{SignedDuration, Timestamp};
use store::bank_health::{self, Service};
use store::consents::Consent;
use store::fetches::Run;
use store::grants::Grant;
use store::renewals::{self, State as RenewalState};
use store::{StoreError, TenantTx, bank_limits, consents, fetches, grants, jobs};

use super::consents::Work;
use super::fetch::{self, Allowance};
use super::{ServiceError, logins};
use crate::app::App;
use crate::bank_calls::Basis;

/// What will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// On what ground the bank is asked.
    pub(crate) basis: Basis,
    /// Whether it is being asked already.
    pub(crate) is_under_way: bool,
    /// When it is asked, at the earliest.
    pub(crate) at: Timestamp,
    /// What the bank lets us read today without the person.
    pub(crate) allowance: Allowance,
}

/// Why nothing will happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotNow {
    /// Its person has to come back first, to the bank or to us.
    Person,
    /// It is over, or kept from use, or the bank holds it back.
    State,
    /// The bank lets us read no more today without the person.
    UsedUp {
        /// When it does again.
        until: Timestamp,
    },
    /// The bank has told us to slow down.
    Resting {
        /// Until when.
        until: Timestamp,
    },
}

/// The code that a run ends with where the bank wants to be asked later.
const BANK_WANTS_TIME: &str = "bank.unavailable";

/// Asks for a fetch of a consent. Locks the consent: nothing is promised behind a withdrawal.
///
/// # Errors
/// The database's; why it cannot be now is part of the answer.
pub(crate) async fn ask(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    id: ConsentId,
    psu: Option<&PsuPresent>,
) -> Result<Result<Promise, NotNow>, ServiceError> {
    let consent = consents::lock(tx, id).await?;
    let Some(grant) = consent.grant.filter(|_| consent.machine.may_fetch(world.now)) else {
        return Ok(Err(why_not(&consent)));
    };
    let grant = grants::get(tx, grant).await?;
    if !grant.state.may_fetch() {
        return Ok(Err(NotNow::State));
    }
    let connection = logins::connection(app, &grant.registration)?;
    let allowance = fetch::allowance(app, tx, &grant, &connection).await?;
    let job = jobs::standing(tx, Work::Fetch.word(), id.uuid()).await?;
    let latest = fetches::latest(tx, id).await?;
    let wanted = if psu.is_some() { Basis::PsuPresent } else { Basis::Unattended };
    if job.is_some_and(|job| job.is_leased) {
        let run = latest.filter(|run| run.finished_at.is_none());
        let basis = run.map_or(wanted, |run| if run.attended { Basis::PsuPresent } else { Basis::Unattended });
        return Ok(Ok(Promise { basis, is_under_way: true, at: world.now, allowance }));
    }
    let is_told = latest.as_ref().is_some_and(|run| run.error_code.as_deref() == Some(BANK_WANTS_TIME));
    let put_off = job.filter(|job| is_told && world.now < job.due_at).map(|job| job.due_at);
    // Put off to the bank's next day is what it counts without the person, and nothing to who is there.
    let is_used_up = allowance.used >= allowance.limit || put_off == Some(allowance.resets_at);
    if psu.is_none() && is_used_up {
        return Ok(Err(NotNow::UsedUp { until: allowance.resets_at }));
    }
    let put_off = put_off.filter(|until| *until != allowance.resets_at);
    if let Some(until) = put_off.max(rest(tx, world, &grant, &consent).await?) {
        return Ok(Err(NotNow::Resting { until }));
    }
    let at = if psu.is_some() {
        latest.filter(|run| run.attended).map_or(world.now, |run| after(&run).max(world.now))
    } else {
        // Their person is at the bank: what stands is left alone until they are back.
        let renewal = renewals::of_consent(tx, id).await?.filter(|renewal| renewal.state == RenewalState::Begun);
        renewal.map_or(world.now, |renewal| renewal.authorise_by.max(world.now))
    };
    jobs::request(tx, JobId::new(world), Work::Fetch.word(), id.uuid(), connection.id.as_str(), at).await?;
    Ok(Ok(Promise { basis: wanted, is_under_way: false, at, allowance }))
}

/// When the next fetch for a person who is there may begin.
fn after(run: &Run) -> Timestamp {
    let distance = SignedDuration::from_secs(limits::ATTENDED_DISTANCE_SECONDS);
    run.started_at.saturating_add(distance).unwrap_or(run.started_at)
}

/// Until when the bank is left alone: it has told us to slow down, or what it would be asked for does not work.
async fn rest(
    tx: &mut TenantTx,
    world: &World<'_>,
    grant: &Grant,
    consent: &Consent,
) -> Result<Option<Timestamp>, StoreError> {
    let mut rest = bank_limits::paused(tx, &grant.registration).await?.filter(|until| world.now < *until);
    for capability in ["accounts", "balances", "transactions"] {
        // Whatever is read, the accounts are asked for first.
        if capability != "accounts" && !consent.clusters.iter().any(|cluster| cluster == capability) {
            continue;
        }
        let service = Service { registration: grant.registration.clone(), capability };
        let breaker = bank_health::breaker(tx, &service).await?.unwrap_or_default();
        if let Permit::Rest(until) = breaker.permit(world.now) {
            rest = rest.max(Some(until));
        }
    }
    Ok(rest)
}

fn why_not(consent: &Consent) -> NotNow {
    match consent.machine.state {
        State::ReauthPending(ReauthReason::SuspendedByBank) => NotNow::State,
        // A clock that has run out and was not looked at yet asks for the person as well.
        State::ReauthPending(_) | State::Authorized | State::Active if consent.machine.may_read() => NotNow::Person,
        State::Initiated
        | State::Authorized
        | State::Active
        | State::ReauthPending(_)
        | State::Expired(_)
        | State::Revoked(_)
        | State::Failed(_) => NotNow::State,
    }
}
