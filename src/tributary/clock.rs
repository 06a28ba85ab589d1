//! The system clock: the one place that asks the machine what time it is.

use domain::world::Clock;
use jiff::Timestamp;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one door to the machine's time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
