//! The grant: the authorisation as it exists at the bank, with a machine of its own.
//!
//! A consent is what a person allowed; a grant is what the bank holds: an intent, a consent object, tokens. Several
//! consents may stand on one grant, and what the bank reports is an observation, never a decision of ours.

/// Where the bank-side authorisation stands, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// An intent is stored; the call that creates something at the bank may or may not have arrived.
    Requested,
    /// The bank holds a consent object that waits for its user.
    Pending,
    /// Some of several signers have authorised (`partiallyAuthorised`).
    Partial,
    /// Authorised, and we hold what is needed to use it.
    Granted,
    /// The bank honours it no longer, but may again after the user came back.
    Suspended,
    /// We are ending it: only revocation, status and the token these need may be called.
    Ending,
    /// Over, and the bank proved it or said so.
    Ended(Ended),
    /// We stopped, and the bank has not proved that it did. It is still asked, until 72 hours have passed.
    Unconfirmed,
}

/// How a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// We asked, the bank confirmed.
    ByUs,
    /// The bank reported it expired.
    Expired,
    /// The bank reported it withdrawn there.
    AtBank,
    /// The bank rejected it before it was authorised.
    Rejected,
    /// A newer grant of the same person took its place (NextGenPSD2: one recurring consent per PSU and TPP).
    Superseded,
}

/// A consent status as standards report it, folded into what it means (`consent-states` §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Observed {
    /// Berlin Group `received`, OBIE `AWAU`: nobody has authorised yet.
    Waiting,
    /// Berlin Group `partiallyAuthorised`.
    Partial,
    /// Berlin Group `valid`, OBIE `AUTH`.
    Valid,
    /// OBIE v4 `CANC` before the deadline.
    Suspended,
    /// Berlin Group `expired`, OBIE `EXPD`.
    Expired,
    /// Berlin Group `revokedByPsu`: the person, at the bank.
    RevokedAtBank,
    /// Berlin Group `terminatedByAspsp`: the bank itself.
    TerminatedByAspsp,
    /// Berlin Group `terminatedByTpp`: our own DELETE.
    TerminatedByTpp,
    /// Berlin Group `rejected`, OBIE `RJCT`.
    Rejected,
    /// A word the standard does not list: changes nothing, is worth an alert and another look.
    Unknown,
}

/// Something that happened to a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The bank answered with the id of its consent object.
    Created,
    /// The bank refused to create one; nothing exists there.
    CreationRefused,
    /// Tokens came, were checked and are stored.
    TokensStored,
    /// Refresh failed for good.
    TokensLost,
    /// The bank honours it again after a suspension. Whether our tokens work, their next use tells.
    Reinstated,
    /// The bank's consent status was read.
    Observed(Observed),
    /// A newer grant took its place.
    Superseded,
    /// We want it gone: the last consent on it ended, or a login was abandoned.
    End,
    /// The bank proved that it is gone.
    EndProven,
    /// The bank refused without proof or stayed silent, or the capsule's time is over.
    EndGivenUp,
}

/// A step that means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a grant in state {from:?} cannot take {event:?}")]
pub struct Refused {
    /// The state it was in.
    pub from: State,
    /// The event that came.
    pub event: Event,
}

/// Moves a grant. Total; a late observation never revives what ended.
pub fn step(state: State, event: Event) -> Result<State, Refused> {
    use {Event as E, Observed as O, State as S};
    match (state, event) {
        (S::Requested, E::Created) => Ok(S::Pending),
        (S::Requested, E::CreationRefused) => Ok(S::Ended(Ended::Rejected)),
        (S::Pending | S::Partial | S::Granted | S::Suspended, E::TokensStored) => Ok(S::Granted),
        (S::Granted | S::Suspended, E::TokensLost) => Ok(S::Suspended),
        (S::Suspended, E::Reinstated) => Ok(S::Granted),
        (S::Requested | S::Pending | S::Partial | S::Granted | S::Suspended, E::Observed(seen)) => {
            Ok(observe(state, seen))
        }
        (S::Ending | S::Unconfirmed, E::Observed(seen)) => Ok(match seen {
            O::TerminatedByTpp => S::Ended(Ended::ByUs),
            O::Expired => S::Ended(Ended::Expired),
            O::RevokedAtBank | O::TerminatedByAspsp => S::Ended(Ended::AtBank),
            O::Rejected => S::Ended(Ended::Rejected),
            O::Waiting | O::Partial | O::Valid | O::Suspended | O::Unknown => state,
        }),
        (S::Ended(_), E::Observed(_)) => Ok(state),
        (S::Pending | S::Partial | S::Granted | S::Suspended, E::Superseded) => Ok(S::Ended(Ended::Superseded)),
        (S::Requested | S::Pending | S::Partial | S::Granted | S::Suspended | S::Ending, E::End) => Ok(S::Ending),
        (S::Ended(_) | S::Unconfirmed, E::End) => Ok(state),
        (S::Ending | S::Unconfirmed, E::EndProven) => Ok(S::Ended(Ended::ByUs)),
        (S::Ending, E::EndGivenUp) => Ok(S::Unconfirmed),
        (S::Requested, E::TokensStored | E::TokensLost | E::Superseded | E::EndProven | E::EndGivenUp)
        | (S::Pending | S::Partial, E::Created | E::CreationRefused | E::TokensLost | E::EndProven | E::EndGivenUp)
        | (S::Granted | S::Suspended, E::Created | E::CreationRefused | E::EndProven | E::EndGivenUp)
        | (S::Ending, E::Created | E::CreationRefused | E::TokensStored | E::TokensLost | E::Superseded)
        | (
            S::Requested | S::Pending | S::Partial | S::Granted | S::Ending | S::Ended(_) | S::Unconfirmed,
            E::Reinstated,
        )
        | (
            S::Ended(_),
            E::Created
            | E::CreationRefused
            | E::TokensStored
            | E::TokensLost
            | E::Superseded
            | E::EndProven
            | E::EndGivenUp,
        )
        | (
            S::Unconfirmed,
            E::Created | E::CreationRefused | E::TokensStored | E::TokensLost | E::Superseded | E::EndGivenUp,
        ) => Err(Refused { from: state, event }),
    }
}

/// What a status means for a grant that lives.
fn observe(state: State, seen: Observed) -> State {
    match (seen, state) {
        (Observed::Unknown | Observed::Waiting, _) | (Observed::Partial, State::Granted | State::Suspended) => state,
        (Observed::Partial, _) => State::Partial,
        // `valid` revives a suspension only where it was the bank's: that comes with an event of its own.
        (Observed::Valid, _) => state,
        (Observed::Suspended, _) => State::Suspended,
        (Observed::Expired, _) => State::Ended(Ended::Expired),
        (Observed::RevokedAtBank | Observed::TerminatedByAspsp, _) => State::Ended(Ended::AtBank),
        (Observed::TerminatedByTpp, _) => State::Ended(Ended::ByUs),
        (Observed::Rejected, _) => State::Ended(Ended::Rejected),
    }
}

impl State {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Requested,
        Self::Pending,
        Self::Partial,
        Self::Granted,
        Self::Suspended,
        Self::Ending,
        Self::Ended(Ended::ByUs),
        Self::Ended(Ended::Expired),
        Self::Ended(Ended::AtBank),
        Self::Ended(Ended::Rejected),
        Self::Ended(Ended::Superseded),
        Self::Unconfirmed,
    ];

    /// The word in the database and in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Pending => "pending",
            Self::Partial => "partial",
            Self::Granted => "granted",
            Self::Suspended => "suspended",
            Self::Ending => "ending",
            Self::Ended(Ended::ByUs) => "ended_by_us",
            Self::Ended(Ended::Expired) => "ended_expired",
            Self::Ended(Ended::AtBank) => "ended_at_bank",
            Self::Ended(Ended::Rejected) => "ended_rejected",
            Self::Ended(Ended::Superseded) => "ended_superseded",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether the bank can authorise it again under its id.
    pub const fn may_be_renewed(self) -> bool {
        matches!(self, Self::Granted | Self::Suspended)
    }

    /// Whether its tokens may be renewed: they are good for data, or for the question whether the other signers have
    /// authorised.
    pub const fn may_refresh(self) -> bool {
        matches!(self, Self::Granted | Self::Partial)
    }

    /// Whether data may be asked of the bank with it.
    pub const fn may_fetch(self) -> bool {
        matches!(self, Self::Granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        let observed = [
            Observed::Waiting,
            Observed::Partial,
            Observed::Valid,
            Observed::Suspended,
            Observed::Expired,
            Observed::RevokedAtBank,
            Observed::TerminatedByAspsp,
            Observed::TerminatedByTpp,
            Observed::Rejected,
            Observed::Unknown,
        ];
        let mut all = vec![
            Event::Created,
            Event::CreationRefused,
            Event::TokensStored,
            Event::TokensLost,
            Event::Reinstated,
            Event::Superseded,
            Event::End,
            Event::EndProven,
            Event::EndGivenUp,
        ];
        all.extend(observed.map(Event::Observed));
        all
    }

    #[test]
    fn what_ended_or_is_ending_is_never_usable_again() {
        for state in State::ALL {
            if !matches!(state, State::Ending | State::Ended(_) | State::Unconfirmed) {
                continue;
            }
            for event in events() {
                if let Ok(next) = step(state, event) {
                    assert!(!next.may_fetch(), "{state:?} + {event:?} = {next:?}");
                    assert!(!matches!(state, State::Ended(_)) || next == state, "{state:?} + {event:?} = {next:?}");
                }
            }
        }
    }

    #[test]
    fn only_stored_tokens_and_the_end_of_a_suspension_make_a_grant_usable() {
        for state in State::ALL {
            for event in events() {
                if step(state, event) == Ok(State::Granted) {
                    let reinstated = (state, event) == (State::Suspended, Event::Reinstated);
                    let kept = state == State::Granted;
                    assert!(event == Event::TokensStored || reinstated || kept, "{state:?} + {event:?}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_outcome_leaves_something_to_sweep() {
        let ending = step(State::Requested, Event::End).unwrap();
        assert_eq!(ending, State::Ending);
        assert_eq!(step(ending, Event::EndGivenUp), Ok(State::Unconfirmed));
        assert_eq!(step(State::Unconfirmed, Event::Observed(Observed::TerminatedByTpp)), Ok(State::Ended(Ended::ByUs)));
        assert_eq!(step(State::Unconfirmed, Event::Observed(Observed::Valid)), Ok(State::Unconfirmed));
    }

    #[test]
    fn an_unknown_status_changes_nothing() {
        for state in State::ALL {
            assert_eq!(step(state, Event::Observed(Observed::Unknown)), Ok(state));
            assert_eq!(State::parse(state.word()), Some(state));
        }
    }
}
