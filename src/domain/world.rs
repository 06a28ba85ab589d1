//! Time and chance as arguments.
//!
//! `now` and randomness enter at the edge once per request or job and travel as a [`World`]. Nothing below the edge asks
//! the machine for either, so every state machine can be replayed and every test decides its own moment.

use jiff::Timestamp;
use uuid::Uuid;

/// A source of the present moment. The system clock lives in the binary; simulated banks and tests bring their own.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

/// A source of unpredictable bytes. The real one lives in `vault`; tests bring a seeded one.
pub trait Entropy: Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// One moment and one source of chance: the argument of everything that needs either.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The moment at which the request or job runs.
    pub now: Timestamp,
    /// Where ids, nonces and keys come from.
    pub entropy: &'a dyn Entropy,
}

impl World<'_> {
    /// `N` fresh random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A UUIDv7 at this moment (RFC 9562 §5.7).
    pub fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now.as_millisecond()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>()).into_uuid()
    }
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now).finish_non_exhaustive()
    }
}
