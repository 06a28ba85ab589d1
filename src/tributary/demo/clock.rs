//! The demo's clock: the machine's, and as far ahead of it as the story wants to be.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::world::Clock;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::clock::SystemClock;

/// How long before midnight the story no longer begins.
const MIDNIGHT_MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// One clock for the server, the bank and everybody who visits them. It never goes back.
#[derive(Debug, Default)]
pub(super) struct DemoClock {
    ahead_seconds: AtomicI64,
}

impl DemoClock {
    /// A clock on which it is not about to strike midnight in a zone: the story compares what it fetches with what the
    /// bank's books say of the same day.
    ///
    /// # Errors
    /// The zone is unknown on this machine.
    pub(super) fn clear_of_midnight(zone: &str) -> anyhow::Result<Self> {
        let clock = Self::default();
        let lead = lead(clock.now(), TimeZone::get(zone)?)?;
        clock.ahead_seconds.fetch_add(lead.as_secs(), Ordering::SeqCst);
        Ok(clock)
    }

    /// Lets days pass.
    pub(super) fn pass_days(&self, days: u32) {
        self.ahead_seconds.fetch_add(i64::from(days) * 24 * 60 * 60, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead_seconds.load(Ordering::SeqCst));
        SystemClock.now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }
}

/// How far ahead the story begins.
fn lead(now: Timestamp, zone: TimeZone) -> anyhow::Result<SignedDuration> {
    let midnight = now.to_zoned(zone).tomorrow()?.start_of_day()?.timestamp();
    let near = midnight.duration_since(now) < MIDNIGHT_MARGIN;
    Ok(if near { MIDNIGHT_MARGIN } else { SignedDuration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_that_would_run_past_midnight_begins_behind_it() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (now, minutes) in [
            ("2026-11-21T22:54:59Z", 0),
            ("2026-11-21T22:55:01Z", 5),
            ("2026-11-21T22:59:59Z", 5),
            ("2026-11-21T23:00:00Z", 0),
            // The night in which the clocks go forward.
            ("2027-03-27T22:58:00Z", 5),
            ("2027-03-28T21:58:00Z", 5),
        ] {
            assert_eq!(lead(now.parse().unwrap(), berlin.clone()).unwrap().as_mins(), minutes, "{now}");
        }
    }

    #[test]
    fn days_pass_when_told() {
        let clock = DemoClock::default();
        let before = clock.now();
        clock.pass_days(8);
        assert_eq!(clock.now().duration_since(before).as_hours(), 8 * 24);
    }
}
