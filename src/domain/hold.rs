//! A legal hold: data that the law wants kept although somebody may erase them, seen by four eyes.
//!
//! One member of staff asks, another confirms; with the confirmation it stands. It is lifted the same way. [`step`] names
//! every pair of state and event.

use crate::ids::StaffId;

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Somebody wants it. It holds nothing yet.
    Asked,
    /// It holds.
    Placed,
    /// It holds, and somebody wants it lifted.
    LiftAsked,
    /// It is over.
    Lifted,
    /// It was taken back before it held anything.
    TakenBack,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Asked, Self::Placed, Self::LiftAsked, Self::Lifted, Self::TakenBack];

    /// The word in the database, in evidence and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Placed => "placed",
            Self::LiftAsked => "lift_asked",
            Self::Lifted => "lifted",
            Self::TakenBack => "taken_back",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether it keeps data from being erased.
    pub const fn holds(self) -> bool {
        match self {
            Self::Placed | Self::LiftAsked => true,
            Self::Asked | Self::Lifted | Self::TakenBack => false,
        }
    }
}

/// A hold as the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Its state.
    pub state: State,
    /// Who asked last: for the hold, or for its end.
    pub asked_by: StaffId,
}

/// What a member of staff does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Says yes to what somebody else asked for.
    Confirm,
    /// Wants it lifted.
    AskLift,
    /// Says no to what was asked for, their own question or somebody else's.
    TakeBack,
}

/// Why a step was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The four eyes would be two.
    #[error("whoever asked cannot confirm: somebody else has to")]
    SameEyes,
    /// The state has no such step.
    #[error("a hold that is {} cannot do that", .0.word())]
    State(State),
}

/// Moves a hold. Total: every pair of state and event is named.
///
/// # Errors
/// The step means nothing there, or the one who asked wants to confirm.
pub fn step(hold: Hold, event: Event, by: StaffId) -> Result<Hold, Refused> {
    use {Event as E, State as S};
    match (hold.state, event) {
        (S::Asked | S::LiftAsked, E::Confirm) if by == hold.asked_by => Err(Refused::SameEyes),
        (S::Asked, E::Confirm) => Ok(Hold { state: S::Placed, ..hold }),
        (S::LiftAsked, E::Confirm) => Ok(Hold { state: S::Lifted, ..hold }),
        (S::Placed, E::AskLift) => Ok(Hold { state: S::LiftAsked, asked_by: by }),
        (S::Asked, E::TakeBack) => Ok(Hold { state: S::TakenBack, ..hold }),
        (S::LiftAsked, E::TakeBack) => Ok(Hold { state: S::Placed, ..hold }),
        (S::Asked | S::LiftAsked, E::AskLift)
        | (S::Placed, E::Confirm | E::TakeBack)
        | (S::Lifted | S::TakenBack, E::Confirm | E::AskLift | E::TakeBack) => Err(Refused::State(hold.state)),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const fn who(number: u128) -> StaffId {
        StaffId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn every_pair_is_decided_and_nobody_confirms_themselves() {
        // Rows: states in the order of `ALL`. Columns: confirm by another, confirm by the same, ask for the end, take back.
        let table = [
            ["placed", "same", "no", "taken_back"],
            ["no", "no", "lift_asked", "no"],
            ["lifted", "same", "no", "placed"],
            ["no", "no", "no", "no"],
            ["no", "no", "no", "no"],
        ];
        let (first, second) = (who(1), who(2));
        for (state, row) in State::ALL.into_iter().zip(table) {
            assert_eq!(State::parse(state.word()), Some(state));
            let deeds = [
                (Event::Confirm, second),
                (Event::Confirm, first),
                (Event::AskLift, second),
                (Event::TakeBack, second),
            ];
            for ((event, by), expected) in deeds.into_iter().zip(row) {
                let seen = match step(Hold { state, asked_by: first }, event, by) {
                    Ok(after) => after.state.word(),
                    Err(Refused::SameEyes) => "same",
                    Err(Refused::State(_)) => "no",
                };
                assert_eq!(seen, expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn whoever_asked_for_the_hold_may_confirm_the_end_that_another_asks_for() {
        let placed = Hold { state: State::Placed, asked_by: who(1) };
        let asked = step(placed, Event::AskLift, who(2)).unwrap();
        assert_eq!(step(asked, Event::Confirm, who(2)), Err(Refused::SameEyes));
        let lifted = step(asked, Event::Confirm, who(1)).unwrap();
        assert!(asked.state.holds() && !lifted.state.holds());
    }
}
