//! What becomes of data when a consent ends, by regime and purpose, as data.
//!
//! Whoever withdraws is erased at once, but where the law obliges us to keep what was read. A consent that ends by itself
//! leaves data behind for a while; whether anybody may still use them is the policy's word. A consent carries the policy of
//! the day on which it was asked for, since its text says so.

use crate::consent::{Consent, DataState, Effect, ExpiryReason, State};
use crate::policy::Regime;

/// What may be done with data between the end of their consent and the end of their retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtEnd {
    /// Products go on reading what is stored, where the term of the consent is over. Whoever withdraws is erased at once, and what
    /// a bank ended without a word why is used by nobody.
    ReadableUntilRetention,
    /// Nobody uses them. Whoever withdraws is erased at once.
    Blocked,
    /// The law wants them kept, whoever ended the consent: nobody uses them, and an erasure waits until the time is over or
    /// four eyes lift the hold.
    RestrictedHold,
}

impl AtEnd {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::ReadableUntilRetention, Self::Blocked, Self::RestrictedHold];

    /// The word in settings, in the database and in receipts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ReadableUntilRetention => "readable_until_retention",
            Self::Blocked => "blocked",
            Self::RestrictedHold => "restricted_hold",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|at_end| at_end.word() == word)
    }
}

/// A policy of retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What may be done with the data until then.
    pub at_end: AtEnd,
    /// Whole days from the end of the consent to the erasure.
    pub days: u16,
}

impl Retention {
    /// Out of use for 30 days: long enough to renew without a gap in history, no longer than a person would expect.
    pub const USUAL: Self = Self { at_end: AtEnd::Blocked, days: 30 };
    /// Gone with the next look.
    pub const NONE: Self = Self { at_end: AtEnd::Blocked, days: 0 };
    /// Longest period, in days: ten years, the longest that a book-keeping duty runs.
    pub const DAYS_MAX: u16 = 3653;

    /// Whether a regime allows it. What is redundant under the Consumer Data Right is destroyed (Privacy Safeguard 12; rules
    /// 7.12, 7.13), unless a law wants it kept.
    pub const fn is_allowed(self, regime: Regime) -> bool {
        let fits = self.days <= Self::DAYS_MAX;
        match (regime, self.at_end) {
            (_, AtEnd::RestrictedHold) => fits && self.days > 0,
            (Regime::Cdr, AtEnd::ReadableUntilRetention) => false,
            (Regime::Cdr, AtEnd::Blocked) => self.days == 0,
            (Regime::Eu | Regime::Uk | Regime::Us | Regime::Br, AtEnd::ReadableUntilRetention | AtEnd::Blocked) => fits,
        }
    }

    /// What counts for a consent with several purposes, each with its policy: a duty to keep counts if one has it, for the longest
    /// of their times; otherwise data are read only if all allow that, and go when the first of their times is over.
    pub fn of_all(purposes: impl IntoIterator<Item = Self>) -> Option<Self> {
        purposes.into_iter().reduce(|one, other| match (one.at_end, other.at_end) {
            (AtEnd::RestrictedHold, AtEnd::RestrictedHold) => Self { days: one.days.max(other.days), ..one },
            (AtEnd::RestrictedHold, _) => one,
            (_, AtEnd::RestrictedHold) => other,
            (AtEnd::ReadableUntilRetention, AtEnd::ReadableUntilRetention) => {
                Self { days: one.days.min(other.days), ..one }
            }
            (AtEnd::Blocked, _) | (_, AtEnd::Blocked) => {
                Self { at_end: AtEnd::Blocked, days: one.days.min(other.days) }
            }
        })
    }
}

impl Regime {
    /// What counts for a purpose of which nobody has said anything. In the US and under the Consumer Data Right use and keeping
    /// end with the consent (12 CFR 1033.421(b); Privacy Safeguard 12).
    pub const fn retention(self) -> Retention {
        match self {
            Self::Eu | Self::Uk | Self::Br => Retention::USUAL,
            Self::Cdr | Self::Us => Retention::NONE,
        }
    }
}

/// What the policy of its retention makes of a step that has ended a consent which the bank had authorised. One that a newer one
/// has replaced is not touched: its data are that one's.
pub fn at_end(
    before: &Consent,
    (mut after, mut effects): (Consent, Vec<Effect>),
    policy: AtEnd,
) -> (Consent, Vec<Effect>) {
    let by_itself = matches!(after.state, State::Expired(ExpiryReason::Term | ExpiryReason::Bank));
    // Many banks have one word for every end: theirs may be a withdrawal, after which nobody reads on.
    let by_term = after.state == State::Expired(ExpiryReason::Term);
    let withdrawn = matches!(after.state, State::Revoked(_)) && before.state != State::Initiated;
    match policy {
        AtEnd::Blocked => {}
        AtEnd::ReadableUntilRetention => {
            if by_term && before.is_open() && after.data == DataState::Present {
                after.data = DataState::Readable;
            }
        }
        AtEnd::RestrictedHold if by_itself && before.is_open() => {
            after.data = match after.data {
                DataState::Present => DataState::Held,
                DataState::Restricted => DataState::HeldRestricted,
                kept => kept,
            };
        }
        AtEnd::RestrictedHold => {
            if withdrawn && before.is_open() && after.data == DataState::Erasing {
                after.data = DataState::Blocked;
                effects
                    .iter_mut()
                    .filter(|effect| **effect == Effect::Erase)
                    .for_each(|effect| *effect = Effect::Block);
            }
        }
    }
    (after, effects)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn keep(at_end: AtEnd, days: u16) -> Retention {
        Retention { at_end, days }
    }

    #[test]
    fn every_regime_says_what_it_allows() {
        use AtEnd::{Blocked, ReadableUntilRetention as Readable, RestrictedHold as Hold};
        // Columns: readable for 90 days, blocked for 0, blocked for 30, held for 5 years, held for 0 days, blocked for 11 years.
        let asked = [
            keep(Readable, 90),
            keep(Blocked, 0),
            keep(Blocked, 30),
            keep(Hold, 1826),
            keep(Hold, 0),
            keep(Blocked, 4018),
        ];
        let table = [
            (Regime::Eu, [true, true, true, true, false, false]),
            (Regime::Uk, [true, true, true, true, false, false]),
            (Regime::Cdr, [false, true, false, true, false, false]),
            (Regime::Us, [true, true, true, true, false, false]),
            (Regime::Br, [true, true, true, true, false, false]),
        ];
        for (regime, allowed) in table {
            assert_eq!(asked.map(|one| one.is_allowed(regime)), allowed, "{regime:?}");
            assert!(regime.retention().is_allowed(regime));
        }
    }

    #[test]
    fn a_duty_counts_if_one_purpose_has_it_and_use_only_if_all_allow_it() {
        use AtEnd::{Blocked, ReadableUntilRetention as Readable, RestrictedHold as Hold};
        let table = [
            (vec![keep(Readable, 90)], keep(Readable, 90)),
            (vec![keep(Readable, 90), keep(Readable, 30)], keep(Readable, 30)),
            (vec![keep(Readable, 10), keep(Blocked, 30)], keep(Blocked, 10)),
            (vec![keep(Blocked, 30), keep(Readable, 90)], keep(Blocked, 30)),
            (vec![keep(Blocked, 30), keep(Hold, 1826), keep(Readable, 90)], keep(Hold, 1826)),
            (vec![keep(Hold, 365), keep(Hold, 1826)], keep(Hold, 1826)),
        ];
        for (purposes, expected) in table {
            let said: Vec<_> = purposes.iter().rev().copied().collect();
            assert_eq!(Retention::of_all(purposes), Some(expected));
            assert_eq!(Retention::of_all(said), Some(expected), "in whatever order");
        }
        assert_eq!(Retention::of_all([]), None);
        for at_end in AtEnd::ALL {
            assert_eq!(AtEnd::parse(at_end.word()), Some(at_end));
        }
    }
}
