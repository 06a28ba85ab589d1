//! The real source of chance.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use domain::world::Entropy;

/// AWS-LC's random generator, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    ///
    /// If the operating system has no randomness to give. A process that cannot make an unpredictable key or nonce must
    /// not go on, and no caller could do anything better than stop.
    fn fill(&self, bytes: &mut [u8]) {
        assert!(SystemRandom::new().fill(bytes).is_ok(), "the operating system gives no randomness");
    }
}
