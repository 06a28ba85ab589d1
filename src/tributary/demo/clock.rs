//! The demo's clock: the machine's, and as far ahead of it as the story wants to be.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::world::Clock;
use jiff::{SignedDuration, Timestamp};

use crate::clock::SystemClock;

/// One clock for the server, the bank and everybody who visits them. It never goes back.
#[derive(Debug, Default)]
pub(super) struct DemoClock {
    ahead_seconds: AtomicI64,
}

impl DemoClock {
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
