//! Chance that repeats, for tests. Compiled only for tests and under the feature `testing`.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::world::Entropy;

use crate::data_key::hmac_sha256;

/// A stream that looks random and is the same for the same seed: HMAC-SHA-256 of a counter, keyed by the seed.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: [u8; 8],
    blocks: AtomicU64,
}

impl SeededEntropy {
    /// A stream of its own for each seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed: seed.to_be_bytes(), blocks: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let block = self.blocks.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&hmac_sha256(&self.seed, &block.to_be_bytes())[..chunk.len()]);
        }
    }
}
