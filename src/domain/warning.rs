//! Warnings before a clock of a consent runs out: 30, 14, 7 and 1 days ahead, each once.
//!
//! A warning is told when its moment has come and its clock still runs. Whoever was down for a while gives the nearest
//! warning of each clock and leaves out those that it overtook; a consent that is shorter than a warning's distance never
//! gives that one.

use jiff::{SignedDuration, Timestamp};

use crate::policy::Clocks;

/// Days before a clock runs out on which a product is warned, the farthest first.
pub const DAYS_BEFORE: [i64; 4] = [30, 14, 7, 1];

/// The clocks of a consent that are warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Clock {
    /// Strong customer authentication at the bank.
    Sca,
    /// The person's confirmation to us (UK).
    Reconfirm,
    /// The end of the consent.
    Term,
}

impl Clock {
    /// The word on the wire, `clock` of the event.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sca => "sca",
            Self::Reconfirm => "reconfirmation",
            Self::Term => "term",
        }
    }
}

/// One warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Warning {
    /// Which clock.
    pub clock: Clock,
    /// When it runs out.
    pub due_at: Timestamp,
    /// How far ahead this warning is: one of [`DAYS_BEFORE`].
    pub days_left: i64,
}

impl Warning {
    /// The moment from which it is to be given.
    pub fn at(self) -> Timestamp {
        self.due_at.saturating_add(SignedDuration::from_hours(-24 * self.days_left)).unwrap_or(Timestamp::MIN)
    }
}

fn running(clocks: &Clocks) -> impl Iterator<Item = (Clock, Timestamp)> {
    let all =
        [(Clock::Sca, clocks.sca_due), (Clock::Reconfirm, clocks.reconfirm_due), (Clock::Term, Some(clocks.term_ends))];
    all.into_iter().filter_map(|(clock, due)| due.map(|due| (clock, due)))
}

fn of_clock(clock: Clock, due_at: Timestamp) -> impl Iterator<Item = Warning> {
    DAYS_BEFORE.into_iter().map(move |days_left| Warning { clock, due_at, days_left })
}

/// The warnings whose moment lies after `since` and not after `now`: of each clock that still runs the nearest one.
pub fn due(clocks: &Clocks, since: Timestamp, now: Timestamp) -> Vec<Warning> {
    running(clocks)
        .filter(|(_, due)| *due > now)
        .filter_map(|(clock, due)| {
            of_clock(clock, due).filter(|warning| since < warning.at() && warning.at() <= now).last()
        })
        .collect()
}

/// The moment of the first warning after `since`.
pub fn next(clocks: &Clocks, since: Timestamp) -> Option<Timestamp> {
    running(clocks).flat_map(|(clock, due)| of_clock(clock, due)).map(Warning::at).filter(|at| *at > since).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_hours(24 * days)).unwrap()
    }

    fn clocks(sca: i64, term: i64) -> Clocks {
        Clocks { sca_due: Some(at(sca)), reconfirm_due: None, notice_due: None, term_ends: at(term) }
    }

    /// `(clock, days left)` of every warning, looked for once a day.
    fn told(clocks: &Clocks, from: i64, until: i64) -> Vec<(i64, Clock, i64)> {
        let mut since = at(from);
        let mut told = Vec::new();
        for day in from..until {
            for warning in due(clocks, since, at(day)) {
                told.push((day, warning.clock, warning.days_left));
                since = at(day);
            }
        }
        told
    }

    #[test]
    fn each_clock_warns_four_times_and_then_no_more() {
        use Clock::{Sca, Term};
        let expected = [
            (59, Sca, 30),
            (75, Sca, 14),
            (82, Sca, 7),
            (88, Sca, 1),
            (150, Term, 30),
            (166, Term, 14),
            (173, Term, 7),
            (179, Term, 1),
        ];
        assert_eq!(told(&clocks(89, 180), 0, 400), expected);
    }

    #[test]
    fn a_short_consent_leaves_out_the_far_warnings() {
        assert_eq!(told(&clocks(400, 10), 0, 12), [(3, Clock::Term, 7), (9, Clock::Term, 1)]);
    }

    #[test]
    fn after_a_pause_only_the_nearest_is_given() {
        let warnings = due(&clocks(89, 500), at(0), at(83));
        assert_eq!(warnings, [Warning { clock: Clock::Sca, due_at: at(89), days_left: 7 }]);
        assert_eq!(due(&clocks(89, 500), at(0), at(89)), [], "a clock that ran out is no warning any more");
    }

    #[test]
    fn the_next_moment_is_that_of_the_next_warning() {
        let clocks = clocks(89, 180);
        let mut since = at(0);
        let mut moments = Vec::new();
        while let Some(next) = next(&clocks, since) {
            assert!(!due(&clocks, since, next).is_empty());
            moments.push(next);
            since = next;
        }
        assert_eq!(moments, [59, 75, 82, 88, 150, 166, 173, 179].map(at));
    }
}
