//! A fetch that a product asks for now: for a person who is there, or without them and counted like every other one.
//!
//! Nobody is made up: banks are told of a person only where the product attests one who was there a moment ago. What the
//! bank allows without the person is looked at before anything is promised, so that a product learns at once when it is
//! possible again. Asking twice is asking once: there is one fetch of a consent at a time, and one that waits.

use bank_adapters::ask::PsuPresent;
use domain::consent::{ReauthReason, State};
use domain::ids::ConsentId;
use domain::world::World;
use jiff::Timestamp;
use store::consents::Consent;
use store::renewals::{self, State as RenewalState};
use store::{TenantTx, bank_limits, consents, fetches, grants, jobs};

use super::consents::{Work, enqueue};
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

/// Asks for a fetch of a consent.
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
    let consent = consents::get(tx, id).await?;
    let Some(grant) = consent.grant.filter(|_| consent.machine.may_fetch(world.now)) else {
        return Ok(Err(why_not(&consent)));
    };
    let grant = grants::get(tx, grant).await?;
    if !grant.state.may_fetch() {
        return Ok(Err(NotNow::State));
    }
    let connection = logins::connection(app, &grant.registration)?;
    let allowance = fetch::allowance(app, tx, &grant, &connection).await?;
    let mut at = world.now;
    let wanted = if psu.is_some() { Basis::PsuPresent } else { Basis::Unattended };
    let is_under_way = jobs::is_leased(tx, Work::Fetch.word(), id.uuid()).await?;
    if is_under_way {
        let run = fetches::latest(tx, id).await?.filter(|run| run.finished_at.is_none());
        let basis = run.map_or(wanted, |run| if run.attended { Basis::PsuPresent } else { Basis::Unattended });
        return Ok(Ok(Promise { basis, is_under_way, at, allowance }));
    }
    if psu.is_none() {
        if allowance.used >= allowance.limit {
            return Ok(Err(NotNow::UsedUp { until: allowance.resets_at }));
        }
        let paused = bank_limits::paused(tx, &grant.registration).await?;
        if let Some(until) = paused.filter(|until| world.now < *until) {
            return Ok(Err(NotNow::Resting { until }));
        }
        // Their person is at the bank: what stands is left alone until they are back.
        let renewal = renewals::of_consent(tx, id).await?.filter(|renewal| renewal.state == RenewalState::Begun);
        at = renewal.map_or(at, |renewal| renewal.authorise_by.max(at));
    }
    enqueue(tx, world, Work::Fetch, id.uuid(), connection.id.as_str()).await?;
    Ok(Ok(Promise { basis: wanted, is_under_way, at, allowance }))
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
