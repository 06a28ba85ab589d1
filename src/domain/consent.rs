//! The consent: one enum, moved by one total function.
//!
//! A consent is our legal record of what a person allowed. [`step`] names every pair of state and event, so a new one of
//! either does not compile until somebody has decided what it means. Effects are returned as data; they are written in
//! the transaction of the step and happen after its commit.

use jiff::Timestamp;

use crate::policy::Clocks;

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
    /// The erasure runs; nothing is served any more.
    Erasing,
    /// Gone, with a receipt.
    Erased,
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
}

/// Something that happened to a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The bank authorised, proven by a token or by the consent's status; with the clocks that follow from it.
    Authorised(Clocks),
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
    /// Sweep what an unfinished login may have left at the bank.
    SweepAtBank,
    /// Tell the product.
    Tell(Notice),
}

/// Kinds of event for products; their names on the wire are [`Notice::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The bank authorised.
    Authorized,
    /// Data are there and kept fresh.
    Active,
    /// The user is needed.
    ReauthRequired,
    /// The user came back.
    Renewed,
    /// Over.
    Expired,
    /// Withdrawn.
    Revoked,
    /// Never came to life.
    Failed,
    /// The erasure is complete.
    DeletionCompleted,
}

impl Notice {
    /// The event type on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "consent.authorized",
            Self::Active => "consent.active",
            Self::ReauthRequired => "consent.reauth_required",
            Self::Renewed => "consent.renewed",
            Self::Expired => "consent.expired",
            Self::Revoked => "consent.revoked",
            Self::Failed => "consent.failed",
            Self::DeletionCompleted => "deletion.completed",
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
        Self { state: State::Initiated, data: DataState::Present, authorise_by, clocks: None }
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

    /// Whether products may read what is stored. During re-authentication data stay readable and say so.
    pub const fn may_read(&self) -> bool {
        let open = match self.state {
            State::Authorized | State::Active | State::ReauthPending(_) => true,
            State::Initiated | State::Expired(_) | State::Revoked(_) | State::Failed(_) => false,
        };
        open && matches!(self.data, DataState::Present)
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
            let next = Consent { state: S::Authorized, clocks: Some(clocks), ..*consent };
            Ok((next, vec![Fx::Fetch, Fx::Tell(Notice::Authorized)]))
        }
        (S::Initiated, E::Declined) => to(S::Failed(FailureReason::Declined), &FAILED),
        (S::Initiated, E::Rejected | E::EndedByBank) => to(S::Failed(FailureReason::RejectedByBank), &FAILED),
        (S::Initiated, E::LoginFailed) => to(S::Failed(FailureReason::Error), &FAILED),
        (S::Initiated, E::Tick) if now >= consent.authorise_by => to(S::Failed(FailureReason::TimedOut), &FAILED),
        (S::Initiated, E::Tick) => to(consent.state, &[]),
        (S::Authorized, E::LoginFailed) => to(S::Failed(FailureReason::Error), &FAILED),
        (S::Authorized, E::FirstFetchDone) => to(S::Active, &[Fx::Tell(Notice::Active)]),
        (S::Active, E::FirstFetchDone) => to(S::Active, &[]),
        (S::Authorized | S::Active | S::ReauthPending(_), E::Tick) => Ok(tick(consent, now)),
        (S::Authorized | S::Active, E::TokenLost) => to(S::ReauthPending(ReauthReason::TokenLost), &REAUTH),
        (S::Authorized | S::Active, E::Suspended) => to(S::ReauthPending(ReauthReason::SuspendedByBank), &REAUTH),
        (S::ReauthPending(ReauthReason::SuspendedByBank), E::Reinstated) => {
            to(S::Active, &[Fx::Fetch, Fx::Tell(Notice::Renewed)])
        }
        (S::Authorized | S::Active | S::ReauthPending(_), E::Reauthenticated(clocks)) => {
            let next = Consent { state: S::Active, clocks: Some(clocks), ..*consent };
            Ok((next, vec![Fx::Fetch, Fx::Tell(Notice::Renewed)]))
        }
        (S::Active | S::ReauthPending(ReauthReason::ReconfirmMissed), E::Reconfirmed(clocks)) => {
            let next = Consent { state: S::Active, clocks: Some(clocks), ..*consent };
            Ok((next, vec![Fx::Fetch, Fx::Tell(Notice::Renewed)]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_), E::EndedByBank) => {
            to(S::Expired(ExpiryReason::Bank), &[Fx::EndAtBank, Fx::Tell(Notice::Expired)])
        }
        (S::Authorized | S::Active | S::ReauthPending(_), E::Superseded) => {
            to(S::Expired(ExpiryReason::Superseded), &[Fx::Tell(Notice::Expired)])
        }
        (S::Initiated, E::Revoke(by)) => {
            let next = Consent { state: S::Revoked(by), data: D::Erasing, ..*consent };
            Ok((next, vec![Fx::SweepAtBank, Fx::Erase, Fx::Tell(Notice::Revoked)]))
        }
        (S::Authorized | S::Active | S::ReauthPending(_), E::Revoke(by)) => {
            let next = Consent { state: S::Revoked(by), data: D::Erasing, ..*consent };
            Ok((next, vec![Fx::EndAtBank, Fx::Erase, Fx::Tell(Notice::Revoked)]))
        }
        (S::Expired(_), E::Revoke(by)) if consent.data == D::Present => {
            let next = Consent { state: S::Revoked(by), data: D::Erasing, ..*consent };
            Ok((next, vec![Fx::Erase, Fx::Tell(Notice::Revoked)]))
        }
        (S::Expired(_) | S::Failed(_), E::EraseRequested) if consent.data == D::Present => {
            Ok((Consent { data: D::Erasing, ..*consent }, vec![Fx::Erase]))
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
            | E::Reinstated
            | E::Reauthenticated(_)
            | E::Reconfirmed(_)
            | E::Superseded
            | E::EraseRequested
            | E::Erased,
        )
        | (S::Authorized, E::Reconfirmed(_))
        | (S::Active, E::LoginFailed)
        | (
            S::Authorized | S::Active,
            E::Authorised(_) | E::Declined | E::Rejected | E::Reinstated | E::EraseRequested | E::Erased,
        )
        | (
            S::ReauthPending(_),
            E::Authorised(_)
            | E::Declined
            | E::Rejected
            | E::LoginFailed
            | E::FirstFetchDone
            | E::TokenLost
            | E::Suspended
            | E::Reinstated
            | E::Reconfirmed(_)
            | E::EraseRequested
            | E::Erased,
        )
        | (
            S::Expired(_) | S::Revoked(_) | S::Failed(_),
            E::Authorised(_)
            | E::Declined
            | E::Rejected
            | E::LoginFailed
            | E::FirstFetchDone
            | E::TokenLost
            | E::Suspended
            | E::Reinstated
            | E::Reauthenticated(_)
            | E::Reconfirmed(_)
            | E::EndedByBank
            | E::Superseded,
        )
        | (S::Revoked(_) | S::Failed(_), E::Revoke(_))
        | (S::Expired(_), E::Revoke(_))
        | (S::Revoked(_), E::EraseRequested)
        | (S::Expired(_) | S::Failed(_), E::EraseRequested)
        | (S::Expired(_) | S::Revoked(_) | S::Failed(_), E::Erased) => refused,
    }
}

const FAILED: [Effect; 2] = [Effect::SweepAtBank, Effect::Tell(Notice::Failed)];
const REAUTH: [Effect; 1] = [Effect::Tell(Notice::ReauthRequired)];

/// A timer looks at a living consent.
fn tick(consent: &Consent, now: Timestamp) -> (Consent, Vec<Effect>) {
    let (state, effects) = match (due(consent.clocks, now), consent.state) {
        (Some(Due::Term), _) => {
            (State::Expired(ExpiryReason::Term), vec![Effect::EndAtBank, Effect::Tell(Notice::Expired)])
        }
        // Whoever already waits for the user is not told twice.
        (None, state) | (Some(Due::Sca | Due::Reconfirm), state @ State::ReauthPending(_)) => (state, vec![]),
        (Some(Due::Sca), _) => (State::ReauthPending(ReauthReason::ScaExpired), REAUTH.to_vec()),
        (Some(Due::Reconfirm), _) => (State::ReauthPending(ReauthReason::ReconfirmMissed), REAUTH.to_vec()),
    };
    (Consent { state, ..*consent }, effects)
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $word:literal),* $(,)? }) => {
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            $(#[$doc])*
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value of that word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// The word in the database, in evidence and on the wire.
    ReauthReason { ScaExpired => "sca_expired", ReconfirmMissed => "reconfirm_missed", TokenLost => "token_lost",
                   SuspendedByBank => "suspended_by_bank" }
}
words! {
    /// The word in the database, in evidence and on the wire.
    ExpiryReason { Term => "term", Bank => "bank", Superseded => "superseded" }
}
words! {
    /// The word in the database, in evidence and on the wire.
    RevokedBy { Psu => "psu", PsuAtBank => "psu_at_bank", Product => "product", Bank => "bank", Operator => "operator",
                Register => "register" }
}
words! {
    /// The word in the database, in evidence and on the wire.
    FailureReason { Declined => "declined", TimedOut => "timed_out", RejectedByBank => "rejected_by_bank",
                    Error => "error" }
}
words! {
    /// The word in the database, in evidence and on the wire.
    DataState { Present => "present", Erasing => "erasing", Erased => "erased" }
}

impl State {
    /// The word in the database, in evidence and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Authorized => "authorized",
            Self::Active => "active",
            Self::ReauthPending(_) => "reauth_pending",
            Self::Expired(_) => "expired",
            Self::Revoked(_) => "revoked",
            Self::Failed(_) => "failed",
        }
    }

    /// The reason beside the word, where the state has one.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Initiated | Self::Authorized | Self::Active => None,
            Self::ReauthPending(reason) => Some(reason.word()),
            Self::Expired(reason) => Some(reason.word()),
            Self::Revoked(by) => Some(by.word()),
            Self::Failed(reason) => Some(reason.word()),
        }
    }

    /// The state of a word and its reason; `None` for a pair that no state has.
    pub fn parse(word: &str, reason: Option<&str>) -> Option<Self> {
        match (word, reason) {
            ("initiated", None) => Some(Self::Initiated),
            ("authorized", None) => Some(Self::Authorized),
            ("active", None) => Some(Self::Active),
            ("reauth_pending", Some(reason)) => ReauthReason::parse(reason).map(Self::ReauthPending),
            ("expired", Some(reason)) => ExpiryReason::parse(reason).map(Self::Expired),
            ("revoked", Some(by)) => RevokedBy::parse(by).map(Self::Revoked),
            ("failed", Some(reason)) => FailureReason::parse(reason).map(Self::Failed),
            _ => None,
        }
    }
}

impl Event {
    /// The word in the history and in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Authorised(_) => "authorised",
            Self::Declined => "declined",
            Self::Rejected => "rejected",
            Self::LoginFailed => "login_failed",
            Self::FirstFetchDone => "first_fetch_done",
            Self::Tick => "tick",
            Self::TokenLost => "token_lost",
            Self::Suspended => "suspended",
            Self::Reinstated => "reinstated",
            Self::Reauthenticated(_) => "reauthenticated",
            Self::Reconfirmed(_) => "reconfirmed",
            Self::EndedByBank => "ended_by_bank",
            Self::Superseded => "superseded",
            Self::Revoke(_) => "revoke",
            Self::EraseRequested => "erase_requested",
            Self::Erased => "erased",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn clocks(sca: i64, term: i64) -> Clocks {
        let at = |seconds| Timestamp::from_second(NOW.as_second() + seconds).unwrap();
        Clocks { sca_due: Some(at(sca)), reconfirm_due: None, term_ends: at(term) }
    }

    fn states() -> Vec<State> {
        let mut all = vec![State::Initiated, State::Authorized, State::Active];
        all.extend(ReauthReason::ALL.iter().map(|reason| State::ReauthPending(*reason)));
        all.extend(ExpiryReason::ALL.iter().map(|reason| State::Expired(*reason)));
        all.extend(RevokedBy::ALL.iter().map(|by| State::Revoked(*by)));
        all.extend(FailureReason::ALL.iter().map(|reason| State::Failed(*reason)));
        all
    }

    fn events() -> Vec<Event> {
        let clocks = clocks(100, 200);
        let mut all = vec![
            Event::Authorised(clocks),
            Event::Declined,
            Event::Rejected,
            Event::LoginFailed,
            Event::FirstFetchDone,
            Event::Tick,
            Event::TokenLost,
            Event::Suspended,
            Event::Reinstated,
            Event::Reauthenticated(clocks),
            Event::Reconfirmed(clocks),
            Event::EndedByBank,
            Event::Superseded,
            Event::EraseRequested,
            Event::Erased,
        ];
        all.extend(RevokedBy::ALL.iter().map(|by| Event::Revoke(*by)));
        all
    }

    fn consent(state: State, data: DataState) -> Consent {
        Consent { state, data, authorise_by: NOW, clocks: Some(clocks(100, 200)) }
    }

    /// Every pair that moves, as `state+event=state`. Whatever is not here is refused.
    const MOVES: &str = "
        initiated+authorised=authorized initiated+declined=failed/declined initiated+rejected=failed/rejected_by_bank
        initiated+ended_by_bank=failed/rejected_by_bank initiated+login_failed=failed/error
        initiated+tick=failed/timed_out initiated+revoke=revoked/psu
        authorized+login_failed=failed/error authorized+first_fetch_done=active authorized+tick=authorized
        authorized+token_lost=reauth_pending/token_lost authorized+suspended=reauth_pending/suspended_by_bank
        authorized+reauthenticated=active authorized+ended_by_bank=expired/bank
        authorized+superseded=expired/superseded authorized+revoke=revoked/psu
        active+first_fetch_done=active active+tick=active active+token_lost=reauth_pending/token_lost
        active+suspended=reauth_pending/suspended_by_bank active+reauthenticated=active active+reconfirmed=active
        active+ended_by_bank=expired/bank active+superseded=expired/superseded active+revoke=revoked/psu
        reauth_pending/sca_expired+tick=reauth_pending/sca_expired
        reauth_pending/sca_expired+reauthenticated=active reauth_pending/sca_expired+ended_by_bank=expired/bank
        reauth_pending/sca_expired+superseded=expired/superseded reauth_pending/sca_expired+revoke=revoked/psu
        reauth_pending/reconfirm_missed+tick=reauth_pending/reconfirm_missed
        reauth_pending/reconfirm_missed+reauthenticated=active reauth_pending/reconfirm_missed+reconfirmed=active
        reauth_pending/reconfirm_missed+ended_by_bank=expired/bank
        reauth_pending/reconfirm_missed+superseded=expired/superseded
        reauth_pending/reconfirm_missed+revoke=revoked/psu
        reauth_pending/token_lost+tick=reauth_pending/token_lost reauth_pending/token_lost+reauthenticated=active
        reauth_pending/token_lost+ended_by_bank=expired/bank reauth_pending/token_lost+superseded=expired/superseded
        reauth_pending/token_lost+revoke=revoked/psu
        reauth_pending/suspended_by_bank+tick=reauth_pending/suspended_by_bank
        reauth_pending/suspended_by_bank+reinstated=active reauth_pending/suspended_by_bank+reauthenticated=active
        reauth_pending/suspended_by_bank+ended_by_bank=expired/bank
        reauth_pending/suspended_by_bank+superseded=expired/superseded
        reauth_pending/suspended_by_bank+revoke=revoked/psu
    ";

    fn name(state: State) -> String {
        state.reason().map_or_else(|| state.word().to_owned(), |reason| format!("{}/{reason}", state.word()))
    }

    #[test]
    fn every_pair_of_living_state_and_event_is_decided() {
        let expected: std::collections::BTreeSet<String> = MOVES.split_whitespace().map(str::to_owned).collect();
        let living = |state: &State| !matches!(state, State::Expired(_) | State::Revoked(_) | State::Failed(_));
        let mut seen = std::collections::BTreeSet::new();
        for state in states().into_iter().filter(living) {
            for event in events() {
                if matches!(event, Event::Revoke(by) if by != RevokedBy::Psu) {
                    continue;
                }
                if let Ok((next, _)) = step(&consent(state, DataState::Present), event, NOW) {
                    seen.insert(format!("{}+{}={}", name(state), event.word(), name(next.state)));
                }
            }
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_over_stays_over() {
        for state in states() {
            for data in [DataState::Present, DataState::Erasing, DataState::Erased] {
                let over = matches!(state, State::Expired(_) | State::Revoked(_) | State::Failed(_));
                if !over && data != DataState::Present {
                    continue; // no step leads there
                }
                for event in events() {
                    let before = consent(state, data);
                    let Ok((after, effects)) = step(&before, event, NOW) else { continue };
                    match state {
                        State::Revoked(_) | State::Failed(_) => assert_eq!(after.state, state, "{event:?}"),
                        State::Expired(_) => {
                            assert!(after.state == state || matches!(after.state, State::Revoked(_)), "{event:?}");
                        }
                        _ => {}
                    }
                    assert!(!over || !effects.contains(&Effect::Fetch), "fetched after the end: {event:?}");
                    if after.data != DataState::Present {
                        assert!(!after.may_read() && !after.may_fetch(NOW));
                    }
                    assert!(
                        data == DataState::Present || after.data != DataState::Present,
                        "data came back: {event:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_revocation_stops_reads_and_fetches_in_the_same_step() {
        for by in RevokedBy::ALL {
            let (after, effects) = step(&consent(State::Active, DataState::Present), Event::Revoke(*by), NOW).unwrap();
            assert_eq!((after.state, after.data), (State::Revoked(*by), DataState::Erasing));
            assert!(!after.may_read() && !after.may_fetch(NOW));
            assert!(effects.contains(&Effect::EndAtBank) && effects.contains(&Effect::Erase));
        }
    }

    #[test]
    fn a_clock_that_ran_out_stops_fetching_before_any_timer_looked() {
        let mut late = consent(State::Active, DataState::Present);
        late.clocks = Some(clocks(-1, 200));
        assert!(!late.may_fetch(NOW) && late.may_read());
        let (after, effects) = step(&late, Event::Tick, NOW).unwrap();
        assert_eq!(after.state, State::ReauthPending(ReauthReason::ScaExpired));
        assert_eq!(effects, [Effect::Tell(Notice::ReauthRequired)]);
        let (again, effects) = step(&after, Event::Tick, NOW).unwrap();
        assert_eq!((again.state, effects.len()), (after.state, 0));
        late.clocks = Some(clocks(-1, -1));
        assert_eq!(step(&late, Event::Tick, NOW).unwrap().0.state, State::Expired(ExpiryReason::Term));
    }

    #[test]
    fn a_login_gives_up_at_its_hour_and_not_before() {
        let later = Timestamp::from_second(NOW.as_second() + 1).unwrap();
        let waiting = Consent::new(later);
        assert_eq!(step(&waiting, Event::Tick, NOW).unwrap().0.state, State::Initiated);
        assert_eq!(step(&waiting, Event::Tick, later).unwrap().0.state, State::Failed(FailureReason::TimedOut));
    }

    #[test]
    fn erasure_ends_once() {
        let (erased, effects) =
            step(&consent(State::Revoked(RevokedBy::Psu), DataState::Erasing), Event::Erased, NOW).unwrap();
        assert_eq!(erased.data, DataState::Erased);
        assert_eq!(effects, [Effect::Tell(Notice::DeletionCompleted)]);
        assert!(step(&erased, Event::Erased, NOW).is_err());
        assert!(step(&consent(State::Active, DataState::Present), Event::Erased, NOW).is_err());
    }

    #[test]
    fn words_and_states_are_one_to_one() {
        for state in states() {
            assert_eq!(State::parse(state.word(), state.reason()), Some(state));
        }
        assert_eq!(State::parse("active", Some("term")), None);
        assert_eq!(State::parse("expired", None), None);
        assert_eq!(State::parse("deleted", None), None);
    }
}
