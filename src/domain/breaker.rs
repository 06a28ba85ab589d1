//! Whom not to call for a while: a circuit breaker as values. Closed, it counts failures in a row; open, it lets nothing
//! through until a moment; after that it is half open and lets one call through to see.

use jiff::{SignedDuration, Timestamp};

/// Failures in a row, over all of a bank's customers, after which it is left alone.
pub const FAILURES_MAX: u32 = 5;
/// The first rest, in seconds; each further one is twice as long.
const REST_SECONDS: i64 = 30;
/// The longest rest, in seconds.
const REST_SECONDS_MAX: i64 = 60 * 60;
/// How long a call that was let through to see may take, in seconds, before another one is.
const PROBE_SECONDS: i64 = 60;

/// What is known of one capability of one bank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Failures since the last success.
    pub failures: u32,
    /// How often it has opened since the last success.
    pub opened: u32,
    /// Nothing is let through before this moment; absent while it is closed.
    pub open_until: Option<Timestamp>,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Yes.
    Pass,
    /// Yes, and it is the only one until it has come back: it must be claimed by [`Breaker::probed`].
    Probe,
    /// Not before this moment.
    Rest(Timestamp),
}

impl Breaker {
    /// Whether a call may be made now.
    pub fn permit(&self, now: Timestamp) -> Permit {
        match self.open_until {
            None => Permit::Pass,
            Some(until) if now < until => Permit::Rest(until),
            Some(_) => Permit::Probe,
        }
    }

    /// With one call on its way to see how the bank is.
    #[must_use]
    pub fn probed(self, now: Timestamp) -> Self {
        Self { open_until: Some(later(now, PROBE_SECONDS)), ..self }
    }

    /// After a failure. `jitter` of 255 makes a rest half as long again, so that many callers do not come back at once;
    /// `asked` is how long the bank itself wants to be left alone.
    #[must_use]
    pub fn failed(self, now: Timestamp, jitter: u8, asked: Option<Timestamp>) -> Self {
        let failures = self.failures.saturating_add(1);
        if failures < FAILURES_MAX && self.open_until.is_none() {
            return Self { failures, ..self };
        }
        let doubled = REST_SECONDS.saturating_mul(1_i64.checked_shl(self.opened.min(16)).unwrap_or(1));
        let rest = doubled.min(REST_SECONDS_MAX);
        let until = later(now, rest + rest * i64::from(jitter) / 510);
        let longest = later(now, 24 * REST_SECONDS_MAX);
        let until = asked.map_or(until, |asked| asked.max(until).min(longest));
        Self { failures, opened: self.opened.saturating_add(1), open_until: Some(until) }
    }
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn after(seconds: i64) -> Timestamp {
        later(NOW, seconds)
    }

    #[test]
    fn it_opens_after_some_failures_in_a_row_and_rests_longer_each_time() {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            breaker = breaker.failed(NOW, 0, None);
            assert_eq!(breaker.permit(NOW), Permit::Pass);
        }
        breaker = breaker.failed(NOW, 0, None);
        assert_eq!(breaker.permit(NOW), Permit::Rest(after(30)));
        assert_eq!(breaker.permit(after(29)), Permit::Rest(after(30)));
        assert_eq!(breaker.permit(after(30)), Permit::Probe);
        let mut now = after(30);
        for rest in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            breaker = breaker.probed(now).failed(now, 0, None);
            now = later(now, rest);
            assert_eq!(breaker.open_until, Some(now));
        }
    }

    #[test]
    fn one_call_alone_is_let_through_to_see() {
        let open = Breaker { failures: 5, opened: 1, open_until: Some(after(30)) };
        let probing = open.probed(after(30));
        assert_eq!(probing.permit(after(31)), Permit::Rest(after(90)), "the others wait for the one");
        assert_eq!(probing.permit(after(90)), Permit::Probe, "one that never came back holds nobody up");
    }

    #[test]
    fn jitter_and_the_banks_own_word_make_it_longer_never_shorter() {
        let four = Breaker { failures: 4, ..Breaker::default() };
        assert_eq!(four.failed(NOW, 255, None).open_until, Some(after(45)));
        assert_eq!(four.failed(NOW, 0, Some(after(600))).open_until, Some(after(600)));
        assert_eq!(four.failed(NOW, 0, Some(after(1))).open_until, Some(after(30)));
        assert_eq!(four.failed(NOW, 0, Some(Timestamp::MAX)).open_until, Some(after(86_400)));
    }
}
