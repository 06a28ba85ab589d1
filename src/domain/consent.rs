//! The consent: one enum, moved by one total function.
//!
//! A consent is our legal record of what a person allowed. [`step`] names every pair of state and event, so a new one of
//! either does not compile until somebody has decided what it means. Effects are returned as data; they are written in
//! the transaction of the step and happen after its commit.

mod words;

use jiff::{SignedDuration, Timestamp};

use crate::event::EventType;
use crate::policy::{Clocks, NOTICE_DAYS};
use crate::warning::{self, Warning};

/// Where a consent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Our record exists; a bank intent or a redirect may exist; nothing is authorised.
    Initiated,
    /// The bank says authorised; the first fetch has not finished.
    Authorized,
    /// Grant, token and all clocks are fine.
    Active,
    /// Needs the user, but not a new consent.
    ReauthPending(ReauthReason),
    /// Over without anybody's will: a new consent is needed.
    Expired(ExpiryReason),
    /// Withdrawn.
    Revoked(RevokedBy),
    /// Never came to life.
    Failed(FailureReason),
}

/// Why the user is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReauthReason {
    /// The SCA clock ran out.
    ScaExpired,
    /// The user did not reconfirm in time (UK). No bank visit is needed.
    ReconfirmMissed,
    /// The bank no longer honours our refresh token.
    TokenLost,
    /// The bank suspended access and may lift that (OBIE v4 CANC).
    SuspendedByBank,
    /// The bank allows one authorisation at a time, and its person gave a newer one for another product.
    Displaced,
}

/// Why a consent ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpiryReason {
    /// Its term is over.
    Term,
    /// The bank ended it.
    Bank,
    /// A newer consent took its place. Erases nothing.
    Superseded,
}

/// Who withdrew a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevokedBy {
    /// The person, with us.
    Psu,
    /// The person, at the bank.
    PsuAtBank,
    /// The product that asked for it.
    Product,
    /// The bank.
    Bank,
    /// Whoever runs this installation.
    Operator,
    /// A public register took away the licence of a participant.
    Register,
}

/// Why a consent never came to life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The person said no.
    Declined,
    /// Nobody came back in time.
    TimedOut,
    /// The bank refused.
    RejectedByBank,
    /// The protocol broke: a check of ours refused the bank's answer, or the code could not be redeemed.
    Error,
}

/// The data that were fetched under a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataState {
    /// There may be some.
    Present,
    /// Their consent ended by itself, and products go on reading them until their retention is over.
    Readable,
    /// Kept and not used, as the person asked (Article 18 GDPR): nothing is read, served or fetched, and no retention ends.
    Restricted,
    /// Kept and not used, because the law wants them kept (a legal hold).
    Held,
    /// Held, and the person wants them not used either: so they are when the hold is lifted.
    HeldRestricted,
    /// Held, and owed to nobody any more: the erasure is asked for and runs when the hold is lifted.
    Blocked,
    /// The erasure runs; nothing is served any more.
    Erasing,
    /// Gone, with a receipt.
    Erased,
}

impl DataState {
    /// Whether there may be some, and nobody has asked for their erasure.
    pub const fn is_kept(self) -> bool {
        match self {
            Self::Present | Self::Readable | Self::Restricted | Self::Held | Self::HeldRestricted => true,
            Self::Blocked | Self::Erasing | Self::Erased => false,
        }
    }

    /// Whether a legal hold keeps them from being erased.
    pub const fn is_held(self) -> bool {
        match self {
            Self::Held | Self::HeldRestricted | Self::Blocked => true,
            Self::Present | Self::Readable | Self::Restricted | Self::Erasing | Self::Erased => false,
        }
    }

    /// What becomes of data that are kept when their erasure is asked for, and what has to be done about it.
    const fn going(self) -> (Self, Effect) {
        if self.is_held() { (Self::Blocked, Effect::Block) } else { (Self::Erasing, Effect::Erase) }
    }
}

/// A consent as the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// Its state.
    pub state: State,
    /// Its data.
    pub data: DataState,
    /// When an unanswered login gives up.
    pub authorise_by: Timestamp,
    /// Its clocks, once authorised.
    pub clocks: Option<Clocks>,
    /// Up to when the warnings before its clocks have been given; at first, when its clocks were last set.
    pub warned: Timestamp,
}

/// Something that happened to a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The bank authorised, proven by a token or by the consent's status; with the clocks that follow from it.
    Authorised(Clocks),
    /// One of several signers authorised; the others have until that moment.
    PartlyAuthorised(Timestamp),
    /// The person declined at the bank or with us.
    Declined,
    /// The bank rejected the consent.
    Rejected,
    /// The login broke and cannot be resumed.
    LoginFailed,
    /// The first fetch is complete, or as complete as it will get.
    FirstFetchDone,
    /// A timer looked: whatever is due happens.
    Tick,
    /// The bank no longer honours our tokens, permanently.
    TokenLost,
    /// The bank suspended access.
    Suspended,
    /// The bank ended the authorisation for a newer one, which the same person gave for another product.
    Displaced,
    /// The bank lifted the suspension.
    Reinstated,
    /// The person authenticated at the bank again; with the new clocks.
    Reauthenticated(Clocks),
    /// The person confirmed to us; with the new clocks.
    Reconfirmed(Clocks),
    /// The bank says it has ended.
    EndedByBank,
    /// A newer consent took its place.
    Superseded,
    /// Somebody withdrew it.
    Revoke(RevokedBy),
    /// The person wants their data kept and not used.
    Restricted,
    /// The person lets them be used again.
    Released,
    /// A legal hold wants them kept: nobody uses them, and nothing erases them.
    HoldPlaced,
    /// The last legal hold on them is over.
    HoldLifted,
    /// Retention is over, or the person asked for erasure after expiry.
    EraseRequested,
    /// The erasure is complete and its receipt is written.
    Erased,
}

/// What must happen after the commit of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Fetch accounts and transactions, newest first, inside the fresh-SCA window.
    Fetch,
    /// End the bank-side grant, if no other consent stands on it.
    EndAtBank,
    /// Erase the lines whose last ground this consent was.
    Erase,
    /// Note that an erasure is owed which a legal hold keeps from running.
    Block,
    /// Sweep what an unfinished login may have left at the bank.
    SweepAtBank,
    /// Tell the product.
    Tell(Notice),
    /// Warn the product that a clock runs out: `consent.expiring`.
    Warn(Warning),
}

/// What a product hears of a move; its name on the wire is that of its [`EventType`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The bank authorised.
    Granted,
    /// One of several signers authorised.
    PartlyAuthorised,
    /// Data are there and kept fresh.
    Healthy,
    /// The person is needed at the bank.
    ActionRequired,
    /// Collection is stopped until the bank, the person's confirmation to us, or whoever restricted it lifts that.
    Suspended,
    /// The suspension was lifted.
    Resumed,
    /// The person authenticated at the bank again.
    Renewed,
    /// The person confirmed to us again.
    Reconfirmed,
    /// The regime wants the person to be told, in writing, that sharing goes on (CDR, every 90 days).
    SharingGoesOn,
    /// Over.
    Expired,
    /// Withdrawn.
    Revoked,
    /// Refused, or broken on the way: never came to life.
    Rejected,
    /// Nobody came back: never came to life.
    Abandoned,
    /// The erasure is complete.
    DeletionCompleted,
}

impl Notice {
    /// Its place in the catalogue.
    pub const fn event_type(self) -> EventType {
        match self {
            Self::Granted => EventType::ConsentGranted,
            Self::PartlyAuthorised => EventType::ConsentPartiallyAuthorised,
            Self::Healthy => EventType::ConnectionHealthy,
            Self::ActionRequired => EventType::ActionRequired,
            Self::Suspended => EventType::ConsentSuspended,
            Self::Resumed => EventType::ConsentResumed,
            Self::Renewed => EventType::ConsentRenewed,
            Self::Reconfirmed => EventType::ConsentReconfirmed,
            Self::SharingGoesOn => EventType::NoticeRequested,
            Self::Expired => EventType::ConsentExpired,
            Self::Revoked => EventType::ConsentRevoked,
            Self::Rejected => EventType::ConsentRejected,
            Self::Abandoned => EventType::ConsentAbandoned,
            Self::DeletionCompleted => EventType::DeletionCompleted,
        }
    }
}

/// A step that is not allowed: from where, by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a consent that is {} cannot take the event {}", .from.word(), .event.word())]
pub struct Refused {
    /// The state it was in.
    pub from: State,
    /// The event that came.
    pub event: Event,
}

impl Consent {
    /// A new consent that waits for its user until `authorise_by`.
    pub const fn new(authorise_by: Timestamp) -> Self {
        Self { state: State::Initiated, data: DataState::Present, authorise_by, clocks: None, warned: Timestamp::MIN }
    }

    /// Whether bank data may be fetched and stored.
    pub fn may_fetch(&self, now: Timestamp) -> bool {
        let alive = match self.state {
            State::Authorized | State::Active => true,
            State::Initiated | State::ReauthPending(_) | State::Expired(_) | State::Revoked(_) | State::Failed(_) => {
                false
            }
        };
        alive && self.data == DataState::Present && due(self.clocks, now).is_none()
    }

    /// Whether its person may authenticate at the bank again without a new consent.
    pub const fn may_renew(&self) -> bool {
        self.is_open() && matches!(self.data, DataState::Present)
    }

    /// Whether the person's word to us keeps it going, sets it going again, or lets us ask the bank whether it still holds it
    /// back: the regime has that clock, and no visit to the bank is in the way.
    pub const fn may_reconfirm(&self) -> bool {
        use ReauthReason as R;
        let waits = matches!(self.state, State::Active | State::ReauthPending(R::ReconfirmMissed | R::SuspendedByBank));
        waits && matches!(self.clocks, Some(Clocks { reconfirm_due: Some(_), .. }))
    }

    /// When a timer must warn, or remind, next; `None` for a consent that does not live.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let clocks = self.clocks.filter(|_| self.is_open() && self.data.is_kept())?;
        let warning = warning::next(&clocks, self.warned);
        [warning, clocks.notice_due].into_iter().flatten().min()
    }

    /// Whether products may read what is stored: during re-authentication too; after the end only by the policy of retention.
    pub const fn may_read(&self) -> bool {
        let left = matches!(self.state, State::Expired(ExpiryReason::Term | ExpiryReason::Bank));
        self.may_renew() || left && matches!(self.data, DataState::Readable)
    }

    /// Whether the bank has authorised it and it is not over.
    pub const fn is_open(&self) -> bool {
        match self.state {
            State::Authorized | State::Active | State::ReauthPending(_) => true,
            State::Initiated | State::Expired(_) | State::Revoked(_) | State::Failed(_) => false,
        }
    }
}

/// What a timer finds, the gravest first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Term,
    Sca,
    Reconfirm,
}

fn due(clocks: Option<Clocks>, now: Timestamp) -> Option<Due> {
    let clocks = clocks?;
    if now >= clocks.term_ends {
        Some(Due::Term)
    } else if clocks.sca_due.is_some_and(|at| now >= at) {
        Some(Due::Sca)
    } else if clocks.reconfirm_due.is_some_and(|at| now >= at) {
        Some(Due::Reconfirm)
    } else {
        None
    }
}

/// Moves a consent. Total: every pair of state and event is named; a pair that means nothing is [`Refused`].
///
/// Late callbacks never resurrect: nothing leads out of `failed` and `revoked`, and out of `expired` only a withdrawal.
pub fn step(consent: &Consent, event: Event, now: Timestamp) -> Result<(Consent, Vec<Effect>), Refused> {
    use {DataState as D, Effect as Fx, Event as E, State as S};
    let refused = Err(Refused { from: consent.state, event });
    let to = |state: State, effects: &[Effect]| Ok((Consent { state, ..*consent }, effects.to_vec()));
    match (consent.state, event) {
        (S::Initiated, E::Authorised(clocks)) => {
            let next = Consent { state: S::Authorized, clocks: Some(clocks), warned: now, ..*consent };
            Ok((next, vec![Fx::Fetch, Fx::Tell(Notice::Granted)]))
        }
        (S::Initiated, E::PartlyAuthorised(until)) => {
            let next = Consent { authorise_by: until, ..*consent };
            Ok((next, vec![Fx::Tell(Notice::PartlyAuthorised)]))
        }
        (S::Initiated, E::Declined) => to(S::Failed(FailureReason::Declined), &FAILED),
        (S::Initiated, E::Rejected | E::EndedByBank) => to(S::Failed(FailureReason::RejectedByBank), &FAILED),
        (S::Initiated, E::LoginFailed) => to(S::Failed(FailureReason::Error), &FAILED),
        (S::Initiated, E::Tick) if now >= consent.authorise_by => to(S::Failed(FailureReason::TimedOut), &ABANDONED),
        (S::Initiated, E::Tick) => to(consent.state, &[]),
        (S::Authorized, E::LoginFailed) => to(S::Failed(FailureReason::Error), &FAILED),
        (S::Authorized, E::FirstFetchDone) => to(S::Active, &[Fx::Tell(Notice::Healthy)]),
        (S::Active, E::FirstFetchDone) => to(S::Active, &[]),
        (S::Authorized | S::Active | S::ReauthPending(_), E::Tick) => Ok(tick(consent, now)),
        (S::Authorized | S::Active, E::TokenLost) => to(S::ReauthPending(ReauthReason::TokenLost), &REAUTH),
        (S::Authorized | S::Active, E::Displaced) => to(S::ReauthPending(ReauthReason::Displaced), &REAUTH),
        (S::Authorized | S::Active, E::Suspended) => to(S::ReauthPending(ReauthReason::SuspendedByBank), &SUSPENDED),
        (S::ReauthPending(ReauthReason::SuspendedByBank), E::Reinstated) => {
            to(S::Active, &[Fx::Fetch, Fx::Tell(Notice::Resumed)])
        }
        (S::Authorized | S::Active | S::ReauthPending(_), E::Reauthenticated(clocks)) => {
            let next = Consent { state: S::Active, clocks: Some(clocks), warned: now, ..*consent };
            Ok((next, vec![Fx::Fetch, Fx::Tell(Notice::Renewed)]))
        }
        (S::Active | S::ReauthPending(ReauthReason::ReconfirmMissed), E::Reconfirmed(clocks)) => {
            let next = Consent { state: S::Active, clocks: Some(clocks), warned: now, ..*consent };
            Ok((next, vec![Fx::Fetch, Fx::Tell(Notice::Reconfirmed)]))
        }
        (S::ReauthPending(ReauthReason::SuspendedByBank), E::Reconfirmed(clocks)) => {
            Ok((Consent { clocks: Some(clocks), warned: now, ..*consent }, vec![Fx::Tell(Notice::Reconfirmed)]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_), E::EndedByBank) => {
            to(S::Expired(ExpiryReason::Bank), &[Fx::EndAtBank, Fx::Tell(Notice::Expired)])
        }
        // The event of the consent that took its place says so (`consent.renewed`, `supersedes`); nothing has ended.
        (S::Authorized | S::Active | S::ReauthPending(_), E::Superseded) => {
            to(S::Expired(ExpiryReason::Superseded), &[])
        }
        (S::Initiated, E::Revoke(by)) => {
            let next = Consent { state: S::Revoked(by), data: D::Erasing, ..*consent };
            Ok((next, vec![Fx::SweepAtBank, Fx::Erase, Fx::Tell(Notice::Revoked)]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_), E::Revoke(by)) => {
            let (data, erase) = consent.data.going();
            let next = Consent { state: S::Revoked(by), data, ..*consent };
            Ok((next, vec![Fx::EndAtBank, erase, Fx::Tell(Notice::Revoked)]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_) | S::Expired(_), E::Restricted)
            if matches!(consent.data, D::Present | D::Readable) =>
        {
            Ok((Consent { data: D::Restricted, ..*consent }, vec![Fx::Tell(Notice::Suspended)]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_), E::Released) if consent.data == D::Restricted => {
            Ok((Consent { data: D::Present, ..*consent }, vec![Fx::Fetch, Fx::Tell(Notice::Resumed)]))
        }
        // What has ended is not taken up again: nobody reads what is left of it.
        (S::Expired(_) | S::Failed(_), E::Released) if consent.data == D::Restricted => {
            Ok((Consent { data: D::Present, ..*consent }, vec![]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_) | S::Expired(_), E::Restricted) if consent.data == D::Held => {
            Ok((Consent { data: D::HeldRestricted, ..*consent }, vec![]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_) | S::Expired(_) | S::Failed(_), E::Released)
            if consent.data == D::HeldRestricted =>
        {
            Ok((Consent { data: D::Held, ..*consent }, vec![]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_) | S::Expired(_) | S::Failed(_), E::HoldPlaced)
            if consent.data.is_kept() && !consent.data.is_held() =>
        {
            Ok(place_hold(consent))
        }
        (S::Authorized | S::Active | S::ReauthPending(_) | S::Expired(_) | S::Failed(_), E::HoldLifted)
            if consent.data.is_held() =>
        {
            Ok(lift_hold(consent))
        }
        (S::Revoked(_), E::HoldLifted) if consent.data == D::Blocked => Ok(lift_hold(consent)),
        (S::Expired(_), E::Revoke(by)) if consent.data.is_kept() => {
            let (data, erase) = consent.data.going();
            Ok((Consent { state: S::Revoked(by), data, ..*consent }, vec![erase, Fx::Tell(Notice::Revoked)]))
        }
        // What a person has restricted stays, but where nothing was ever authorised.
        (S::Expired(_) | S::Failed(_), E::EraseRequested)
            if matches!(consent.data, D::Present | D::Readable | D::Held)
                || matches!(consent.state, S::Failed(_)) && consent.data.is_kept() =>
        {
            let (data, erase) = consent.data.going();
            Ok((Consent { data, ..*consent }, vec![erase]))
        }
        (S::Expired(_) | S::Revoked(_) | S::Failed(_), E::Erased) if consent.data == D::Erasing => {
            Ok((Consent { data: D::Erased, ..*consent }, vec![Fx::Tell(Notice::DeletionCompleted)]))
        }
        (S::Expired(_) | S::Revoked(_) | S::Failed(_), E::Tick) => to(consent.state, &[]),
        // From here on: pairs that mean nothing. Listed, so that a new state or event must be decided above.
        (
            S::Initiated,
            E::FirstFetchDone
            | E::TokenLost
            | E::Suspended
            | E::Displaced
            | E::Reinstated
            | E::Reauthenticated(_)
            | E::Reconfirmed(_)
            | E::Superseded
            | E::Restricted
            | E::Released
            | E::HoldPlaced
            | E::HoldLifted
            | E::EraseRequested
            | E::Erased,
        )
        | (
            S::Authorized | S::Active | S::ReauthPending(_) | S::Expired(_) | S::Revoked(_) | S::Failed(_),
            E::Restricted | E::Released | E::HoldPlaced | E::HoldLifted,
        )
        | (S::Authorized, E::Reconfirmed(_))
        | (S::Active, E::LoginFailed)
        | (
            S::Authorized | S::Active,
            E::Authorised(_)
            | E::PartlyAuthorised(_)
            | E::Declined
            | E::Rejected
            | E::Reinstated
            | E::EraseRequested
            | E::Erased,
        )
        | (
            S::ReauthPending(_),
            E::Authorised(_)
            | E::PartlyAuthorised(_)
            | E::Declined
            | E::Rejected
            | E::LoginFailed
            | E::FirstFetchDone
            | E::TokenLost
            | E::Suspended
            | E::Displaced
            | E::Reinstated
            | E::Reconfirmed(_)
            | E::EraseRequested
            | E::Erased,
        )
        | (
            S::Expired(_) | S::Revoked(_) | S::Failed(_),
            E::Authorised(_)
            | E::PartlyAuthorised(_)
            | E::Declined
            | E::Rejected
            | E::LoginFailed
            | E::FirstFetchDone
            | E::TokenLost
            | E::Suspended
            | E::Displaced
            | E::Reinstated
            | E::Reauthenticated(_)
            | E::Reconfirmed(_)
            | E::EndedByBank
            | E::Superseded,
        )
        | (S::Expired(_) | S::Revoked(_) | S::Failed(_), E::Revoke(_))
        | (S::Expired(_) | S::Revoked(_) | S::Failed(_), E::EraseRequested)
        | (S::Expired(_) | S::Revoked(_) | S::Failed(_), E::Erased) => refused,
    }
}

/// Data that are kept come under a legal hold.
fn place_hold(consent: &Consent) -> (Consent, Vec<Effect>) {
    let (data, told) = match (consent.data, consent.state) {
        (DataState::Restricted, _) => (DataState::HeldRestricted, vec![]),
        (DataState::Present, State::Failed(_)) => (DataState::Held, vec![]),
        _ => (DataState::Held, vec![Effect::Tell(Notice::Suspended)]),
    };
    (Consent { data, ..*consent }, told)
}

/// The last legal hold on data ends: they are what they were, and an erasure that waited runs.
fn lift_hold(consent: &Consent) -> (Consent, Vec<Effect>) {
    let (data, effects) = match (consent.data, consent.state) {
        (DataState::Blocked, _) => (DataState::Erasing, vec![Effect::Erase]),
        (DataState::HeldRestricted, _) => (DataState::Restricted, vec![]),
        (_, State::Authorized | State::Active | State::ReauthPending(_)) => {
            (DataState::Present, vec![Effect::Fetch, Effect::Tell(Notice::Resumed)])
        }
        (_, State::Initiated | State::Expired(_) | State::Revoked(_) | State::Failed(_)) => {
            (DataState::Present, vec![])
        }
    };
    (Consent { data, ..*consent }, effects)
}

const FAILED: [Effect; 2] = [Effect::SweepAtBank, Effect::Tell(Notice::Rejected)];
const ABANDONED: [Effect; 2] = [Effect::SweepAtBank, Effect::Tell(Notice::Abandoned)];
const REAUTH: [Effect; 1] = [Effect::Tell(Notice::ActionRequired)];
const SUSPENDED: [Effect; 1] = [Effect::Tell(Notice::Suspended)];

/// A timer looks at a living consent.
fn tick(consent: &Consent, now: Timestamp) -> (Consent, Vec<Effect>) {
    let (state, mut effects) = match (due(consent.clocks, now), consent.state) {
        (Some(Due::Term), _) => {
            let over = Consent { state: State::Expired(ExpiryReason::Term), ..*consent };
            return (over, vec![Effect::EndAtBank, Effect::Tell(Notice::Expired)]);
        }
        // Whoever already waits for the user is not told twice.
        (None, state) | (Some(Due::Sca | Due::Reconfirm), state @ State::ReauthPending(_)) => (state, vec![]),
        (Some(Due::Sca), _) => (State::ReauthPending(ReauthReason::ScaExpired), REAUTH.to_vec()),
        (Some(Due::Reconfirm), _) => (State::ReauthPending(ReauthReason::ReconfirmMissed), SUSPENDED.to_vec()),
    };
    let mut next = Consent { state, ..*consent };
    if let Some(clocks) = &mut next.clocks {
        // Moments that a clock has overtaken are over as well, without a warning.
        if warning::next(clocks, consent.warned).is_some_and(|at| now >= at) {
            next.warned = now;
            effects.extend(warning::due(clocks, consent.warned, now).into_iter().map(Effect::Warn));
        }
        if clocks.notice_due.is_some_and(|at| now >= at) {
            clocks.notice_due = now.saturating_add(SignedDuration::from_hours(24 * NOTICE_DAYS)).ok();
            effects.push(Effect::Tell(Notice::SharingGoesOn));
        }
    }
    (next, effects)
}

#[cfg(test)]
mod tests;
