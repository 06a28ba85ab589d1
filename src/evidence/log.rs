//! From a statement to a leaf of the log.
//!
//! ```text
//! commitment = SHA-256("tributary commitment 1\n" || salt (32 bytes) || statement)
//! leaf data  = "tributary leaf 1\n" || previous leaf hash of the same subject (32 bytes) || commitment (32 bytes)
//! leaf hash  = SHA-256(0x00 || leaf data)                                       RFC 9162 §2.1.1
//! ```
//!
//! The leaf holds neither the statement nor the salt, so both can go when their retention ends while every proof stays
//! valid; without the salt nobody can find a statement by trying.
//!
//! **Why a chain beside the tree.** The tree already fixes the order and the content of the whole log, so a chain through
//! all entries would add nothing. What a tree cannot show is that an extract about one consent is complete: every entry in
//! it proves its own place, and an entry that was left out proves nothing. Therefore each leaf names the previous leaf
//! *of its subject*; an extract whose links do not join has lost an entry in between.

use std::collections::HashMap;

use crate::tree::{Frontier, Node, leaf_hash};
use crate::{Hash, Subject};

const COMMITMENT: &[u8] = b"tributary commitment 1\n";
const LEAF: &[u8] = b"tributary leaf 1\n";

/// The salted commitment to a statement in its canonical form. The salt must be 32 fresh random bytes.
pub fn commitment(salt: &Hash, statement: &str) -> Hash {
    Hash::of(&[COMMITMENT, &salt.0, statement.as_bytes()])
}

/// The leaf hash of a commitment that follows `prev` in its subject's chain; [`Hash::ZERO`] for a subject's first.
pub fn leaf(prev: &Hash, commitment: &Hash) -> Hash {
    leaf_hash(&[LEAF, &prev.0, &commitment.0].concat())
}

/// What sequencing decided about one entry: the columns of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequenced {
    /// Leaf index, from 0.
    pub index: u64,
    /// Leaf hash of the subject's previous entry; [`Hash::ZERO`] for its first.
    pub prev: Hash,
    /// Leaf hash.
    pub leaf: Hash,
    /// Nodes of the tree that became complete, to be stored.
    pub nodes: Vec<(Node, Hash)>,
}

/// Gives entries their places in the log of one tenant. There must be one at a time.
#[derive(Debug, Clone, Default)]
pub struct Sequencer {
    frontier: Frontier,
    heads: HashMap<Subject, Hash>,
}

impl Sequencer {
    /// Goes on at `frontier`. `heads` holds the last leaf hash of every subject of the coming entries that has one.
    pub const fn new(frontier: Frontier, heads: HashMap<Subject, Hash>) -> Self {
        Self { frontier, heads }
    }

    /// Places the next entry.
    pub fn append(&mut self, subject: Subject, commitment: &Hash) -> Sequenced {
        let index = self.frontier.size();
        let prev = self.heads.get(&subject).copied().unwrap_or(Hash::ZERO);
        let leaf = leaf(&prev, commitment);
        self.heads.insert(subject, leaf);
        Sequenced { index, prev, leaf, nodes: self.frontier.append(leaf) }
    }

    /// The tree as it now is, for the checkpoint.
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }
}
