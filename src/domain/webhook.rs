//! How an endpoint fares: when it is tried again, when it is slowed down, when it is given up.
//!
//! An endpoint is one stream in order. What fails stays at its head and is tried again; nothing behind it is sent before
//! it, and nothing is thrown away: an endpoint that was given up keeps its stream until somebody resumes it.

use jiff::{SignedDuration, Timestamp};

/// Where an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is sent to.
    Active,
    /// For three days nothing but failures: paused by us, and probed twice a day until it recovers or is given up.
    Failing,
    /// Seven days of nothing but failures: given up until its product resumes it.
    Disabled,
    /// It answered 410: it wants no more until its product resumes it.
    Gone,
    /// Its product wants nothing sent at the moment.
    Paused,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Active, Self::Failing, Self::Disabled, Self::Gone, Self::Paused];

    /// The word in the database and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
            Self::Gone => "gone",
            Self::Paused => "paused",
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether anything is sent in it.
    pub const fn sends(self) -> bool {
        match self {
            Self::Active | Self::Failing => true,
            Self::Disabled | Self::Gone | Self::Paused => false,
        }
    }
}

/// Where an endpoint stands, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Its state.
    pub state: State,
    /// Failures since the last success.
    pub failures: u32,
    /// The first of them.
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent before.
    pub retry_at: Option<Timestamp>,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A status of the 2xx class.
    Delivered,
    /// 410 Gone (RFC 9110 §15.5.11): the receiver wants no more.
    Gone,
    /// Anything else, with what the receiver said about when to come back (`Retry-After`, RFC 9110 §10.2.3).
    Failed {
        /// How long it wants to be left alone.
        retry_after: Option<SignedDuration>,
    },
}

/// What the product must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is no longer sent to as usual.
    Disabled,
    /// It takes events again.
    Recovered,
}

/// Pauses after the first failures, in seconds; after them [`PROBE_SECONDS`].
const PAUSES: [i64; 7] = [5, 30, 2 * 60, 10 * 60, 60 * 60, 3 * 60 * 60, 6 * 60 * 60];
/// Pause between later attempts, in seconds.
const PROBE_SECONDS: i64 = 12 * 60 * 60;
/// After so long of nothing but failures an endpoint counts as failing, in seconds.
const FAILING_SECONDS: i64 = 3 * 24 * 60 * 60;
/// After so long it is given up, in seconds.
const GIVEN_UP_SECONDS: i64 = 7 * 24 * 60 * 60;
/// The longest that a receiver can hold us off by `Retry-After`, in seconds.
const RETRY_AFTER_SECONDS_MAX: i64 = 24 * 60 * 60;

impl Health {
    /// A healthy endpoint, as it begins and as its product resumes it.
    pub const FRESH: Self = Self { state: State::Active, failures: 0, failing_since: None, retry_at: None };

    /// Takes over what came of an attempt at `now`. `chance` spreads the next one, so that many streams that failed
    /// together do not come back together: up to a tenth is added to the pause.
    ///
    /// An endpoint that its product paused, or that was given up, while the attempt was under way stays so.
    pub fn after(self, outcome: Outcome, now: Timestamp, chance: u16) -> (Self, Option<Change>) {
        match (self.state, outcome) {
            (State::Active, Outcome::Delivered) => (Self::FRESH, None),
            (State::Failing, Outcome::Delivered) => (Self::FRESH, Some(Change::Recovered)),
            (State::Active | State::Failing, Outcome::Gone) => {
                (Self { state: State::Gone, retry_at: None, ..self.failed(now) }, Some(Change::Disabled))
            }
            (State::Active | State::Failing, Outcome::Failed { retry_after }) => {
                self.failed(now).slowed(retry_after, now, chance)
            }
            (
                State::Disabled | State::Gone | State::Paused,
                Outcome::Delivered | Outcome::Gone | Outcome::Failed { .. },
            ) => (self, None),
        }
    }

    fn failed(self, now: Timestamp) -> Self {
        Self { failures: self.failures.saturating_add(1), failing_since: self.failing_since.or(Some(now)), ..self }
    }

    fn slowed(self, retry_after: Option<SignedDuration>, now: Timestamp, chance: u16) -> (Self, Option<Change>) {
        let since = self.failing_since.map_or(0, |since| now.duration_since(since).as_secs());
        if since >= GIVEN_UP_SECONDS {
            return (Self { state: State::Disabled, retry_at: None, ..self }, Some(Change::Disabled));
        }
        let pause = pause(self.failures, chance);
        let wanted = retry_after.map(|after| after.as_secs().clamp(0, RETRY_AFTER_SECONDS_MAX));
        let millis = pause.max(wanted.unwrap_or(0) * 1000);
        // The last attempt is made when the seven days are over, not up to half a day later.
        let last =
            self.failing_since.and_then(|since| since.checked_add(SignedDuration::from_secs(GIVEN_UP_SECONDS)).ok());
        let next = now.saturating_add(SignedDuration::from_millis(millis)).unwrap_or(now);
        let retry_at = Some(last.map_or(next, |last| next.min(last)));
        match self.state {
            State::Active if since >= FAILING_SECONDS => {
                (Self { state: State::Failing, retry_at, ..self }, Some(Change::Disabled))
            }
            State::Active | State::Failing | State::Disabled | State::Gone | State::Paused => {
                (Self { retry_at, ..self }, None)
            }
        }
    }
}

/// The pause after so many failures, in milliseconds.
fn pause(failures: u32, chance: u16) -> i64 {
    let nth = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let millis = PAUSES.get(nth).copied().unwrap_or(PROBE_SECONDS) * 1000;
    millis + millis * i64::from(chance) / (10 * i64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
    const BROKEN: Outcome = Outcome::Failed { retry_after: None };

    fn seconds(from: Timestamp, to: Option<Timestamp>) -> i64 {
        to.unwrap().duration_since(from).as_secs()
    }

    /// An endpoint that never answers well: when it is tried, and what its product is told.
    fn decline(chance: u16) -> (Vec<i64>, Vec<(i64, State)>, Health) {
        let (mut health, mut now) = (Health::FRESH, NOW);
        let (mut tries, mut told) = (Vec::new(), Vec::new());
        while health.state.sends() {
            tries.push(now.duration_since(NOW).as_secs());
            let (next, change) = health.after(BROKEN, now, chance);
            if change.is_some() {
                told.push((now.duration_since(NOW).as_secs(), next.state));
            }
            health = next;
            now = health.retry_at.unwrap_or(now);
        }
        (tries, told, health)
    }

    #[test]
    fn what_fails_is_tried_for_seven_days_ever_more_slowly_and_then_given_up() {
        let (tries, told, health) = decline(0);
        let first = [0, 5, 35, 155, 755, 4_355, 15_155, 36_755, 36_755 + 43_200];
        assert_eq!(tries[..9], first);
        assert_eq!(tries.last(), Some(&GIVEN_UP_SECONDS));
        assert_eq!(told.iter().map(|(_, state)| *state).collect::<Vec<_>>(), [State::Failing, State::Disabled]);
        assert!((FAILING_SECONDS..FAILING_SECONDS + PROBE_SECONDS).contains(&told[0].0), "{told:?}");
        assert_eq!((health.state, health.retry_at), (State::Disabled, None));
    }

    #[test]
    fn chance_adds_up_to_a_tenth_and_takes_nothing_away() {
        for failures in 1..20 {
            let (least, most) = (pause(failures, 0), pause(failures, u16::MAX));
            assert_eq!(most, least + least / 10);
            assert!((least..=most).contains(&pause(failures, 30_000)));
        }
        assert_eq!(decline(u16::MAX).0.last(), Some(&GIVEN_UP_SECONDS));
    }

    #[test]
    fn one_success_heals_everything() {
        for failures in [1, 5, 12] {
            let (mut health, mut now) = (Health::FRESH, NOW);
            for _ in 0..failures {
                health = health.after(BROKEN, now, 7).0;
                now = health.retry_at.unwrap();
            }
            let (healed, change) = health.after(Outcome::Delivered, now, 7);
            assert_eq!(healed, Health::FRESH);
            assert_eq!(change, (health.state == State::Failing).then_some(Change::Recovered));
        }
    }

    #[test]
    fn a_receiver_may_hold_us_off_longer_but_not_for_ever_nor_call_us_back_early() {
        let after = |secs| {
            let outcome = Outcome::Failed { retry_after: Some(SignedDuration::from_secs(secs)) };
            seconds(NOW, Health::FRESH.after(outcome, NOW, 0).0.retry_at)
        };
        assert_eq!(after(120), 120);
        assert_eq!(after(1), 5, "not sooner than we would");
        assert_eq!(after(-7), 5);
        assert_eq!(after(i64::MAX), RETRY_AFTER_SECONDS_MAX);
    }

    #[test]
    fn gone_stops_at_once_and_nothing_but_its_product_brings_it_back() {
        let (gone, change) = Health::FRESH.after(Outcome::Gone, NOW, 0);
        assert_eq!((gone.state, gone.retry_at, change), (State::Gone, None, Some(Change::Disabled)));
        for state in [State::Gone, State::Disabled, State::Paused] {
            let resting = Health { state, ..gone };
            for outcome in [Outcome::Delivered, Outcome::Gone, BROKEN] {
                assert_eq!(resting.after(outcome, NOW, 0), (resting, None), "{state:?} {outcome:?}");
            }
            assert!(!state.sends());
        }
    }

    #[test]
    fn words_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.word()), Some(state));
        }
        assert_eq!(State::parse("asleep"), None);
    }
}
