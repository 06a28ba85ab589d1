//! The Merkle tree of RFC 9162 §2.1 over SHA-256, cut so that no caller ever holds all of it.
//!
//! Only complete subtrees are ever stored ([`Node`]): they never change once they exist. Appending needs the
//! [`Frontier`], a handful of them; every proof names the nodes it needs first ([`inclusion_nodes`],
//! [`consistency_nodes`]), so that a database fetches them with one query.

use std::collections::HashMap;
use std::ops::Range;

use crate::Hash;

/// A complete subtree: the hash over the leaves `index << level .. (index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Height; 0 is a leaf. At most 63.
    pub level: u8,
    /// Position among the subtrees of this height, from the left.
    pub index: u64,
}

/// The hash of a leaf: SHA-256(0x00 || data) (RFC 9162 §2.1.1).
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of(&[&[0], data])
}

/// The hash of an inner node: SHA-256(0x01 || left || right) (RFC 9162 §2.1.1).
fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash::of(&[&[1], &left.0, &right.0])
}

/// Folds subtrees that lie side by side into one hash, from the right. The root of no leaves is SHA-256 of nothing.
fn fold(subtrees: &[Hash]) -> Hash {
    subtrees.iter().rev().copied().reduce(|right, left| node_hash(left, right)).unwrap_or_else(|| Hash::of(&[]))
}

/// The fewest complete subtrees that cover the leaves `range`, from the left. `range.start` must be a multiple of the
/// largest power of two that fits the range, as it is for every part of a proof.
fn cover(range: Range<u64>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut start = range.start;
    while let Some(height) = range.end.saturating_sub(start).checked_ilog2() {
        // ilog2 of a u64 is below 64.
        nodes.push(Node { level: height as u8, index: start >> height });
        start += 1 << height;
    }
    nodes
}

/// The right edge of a tree: all that is needed to append to it and to know its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The nodes that make up the frontier of a tree of `size` leaves, from the left.
    pub fn nodes(size: u64) -> Vec<Node> {
        cover(0..size)
    }

    /// A frontier from storage: the hashes of [`Frontier::nodes`] in that order; `None` if their number is wrong.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (u64::from(size.count_ones()) == peaks.len() as u64).then_some(Self { size, peaks })
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves (RFC 9162 §2.1.1).
    pub fn root(&self) -> Hash {
        fold(&self.peaks)
    }

    /// Appends a leaf and returns the nodes that became complete by it, the leaf first: what a caller stores.
    pub fn append(&mut self, leaf: Hash) -> Vec<(Node, Hash)> {
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        let mut completed = vec![(node, hash)];
        // A right child completes its parent; the left sibling is then the last peak.
        while node.index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            hash = node_hash(left, hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            completed.push((node, hash));
        }
        self.peaks.push(hash);
        self.size += 1;
        completed
    }
}

/// Leaves under each hash of an inclusion proof, in proof order (RFC 9162 §2.1.3.1).
fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut whole, mut siblings) = (0..size, Vec::new());
    while let Some(middle) = split(&whole) {
        if index < middle {
            siblings.push(middle..whole.end);
            whole.end = middle;
        } else {
            siblings.push(whole.start..middle);
            whole.start = middle;
        }
    }
    siblings.reverse();
    siblings
}

/// Leaves under each hash of a consistency proof, in proof order (RFC 9162 §2.1.4.1).
fn consistency_ranges(first: u64, second: u64) -> Vec<Range<u64>> {
    let (mut whole, mut parts) = (0..second, Vec::new());
    while whole.end != first
        && let Some(middle) = split(&whole)
    {
        if first <= middle {
            parts.push(middle..whole.end);
            whole.end = middle;
        } else {
            parts.push(whole.start..middle);
            whole.start = middle;
        }
    }
    // The old tree's own root is known to the verifier; a smaller common part is not.
    if whole.start > 0 {
        parts.push(whole);
    }
    parts.reverse();
    parts
}

/// Where RFC 9162 splits a range: after the largest power of two that is smaller than it. `None` for fewer than two leaves.
fn split(range: &Range<u64>) -> Option<u64> {
    let last = (range.end - range.start).checked_sub(1)?;
    last.checked_ilog2().map(|height| range.start + (1 << height))
}

/// The stored nodes that [`inclusion_proof`] of this leaf needs; none if `index` is not below `size`.
pub fn inclusion_nodes(index: u64, size: u64) -> Vec<Node> {
    let ranges = if index < size { inclusion_ranges(index, size) } else { Vec::new() };
    ranges.into_iter().flat_map(cover).collect()
}

/// The stored nodes that [`consistency_proof`] between these sizes needs; none unless `0 < first <= second`.
pub fn consistency_nodes(first: u64, second: u64) -> Vec<Node> {
    let ranges = if 0 < first && first <= second { consistency_ranges(first, second) } else { Vec::new() };
    ranges.into_iter().flat_map(cover).collect()
}

/// The proof that the leaf at `index` is in the tree of `size` leaves. `None` if it is not, or a node is missing.
pub fn inclusion_proof(index: u64, size: u64, nodes: &HashMap<Node, Hash>) -> Option<Vec<Hash>> {
    (index < size).then(|| assemble(inclusion_ranges(index, size), nodes))?
}

/// The proof that the tree of `second` leaves begins with the tree of `first`. `None` unless `0 < first <= second`, or if a
/// node is missing.
pub fn consistency_proof(first: u64, second: u64, nodes: &HashMap<Node, Hash>) -> Option<Vec<Hash>> {
    (0 < first && first <= second).then(|| assemble(consistency_ranges(first, second), nodes))?
}

fn assemble(ranges: Vec<Range<u64>>, nodes: &HashMap<Node, Hash>) -> Option<Vec<Hash>> {
    let hash = |range| {
        let parts: Option<Vec<Hash>> = cover(range).iter().map(|node| nodes.get(node).copied()).collect();
        parts.map(|parts| fold(&parts))
    };
    ranges.into_iter().map(hash).collect()
}

/// Whether `proof` shows that the leaf with hash `leaf` stands at `index` of the tree (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash], root: Hash) -> bool {
    Inclusions::of(size, root).holds(index, leaf, proof)
}

/// Checks inclusion proofs of one tree, one after the other. Where a proof meets the way of the one before it, the same
/// rest leads to the same root and is not hashed again: leaves that stand near each other cost a few hashes.
#[derive(Debug)]
pub struct Inclusions {
    size: u64,
    root: Hash,
    /// The last proof that held, from the root to the leaf.
    proof: Vec<Hash>,
    /// Where its way stood before each of its hashes, in the same order: position, last position of that level, hash.
    way: Vec<(u64, u64, Hash)>,
    /// The way that is being walked, from the leaf.
    steps: Vec<(u64, u64, Hash)>,
}

impl Inclusions {
    /// The tree of `size` leaves with this root.
    pub const fn of(size: u64, root: Hash) -> Self {
        Self { size, root, proof: Vec::new(), way: Vec::new(), steps: Vec::new() }
    }

    /// As [`verify_inclusion`].
    pub fn holds(&mut self, index: u64, leaf: Hash, proof: &[Hash]) -> bool {
        let shared = proof.iter().rev().zip(&self.proof).take_while(|(one, other)| one == other).count();
        self.goes_on(index, leaf, &proof[..proof.len() - shared], shared)
    }

    /// The same of a proof that begins with `fresh` and ends with as many hashes as `shared` says of the last one that held.
    pub(crate) fn goes_on(&mut self, index: u64, leaf: Hash, fresh: &[Hash], shared: usize) -> bool {
        if index >= self.size || shared > self.proof.len() {
            return false;
        }
        let (mut at, mut last, mut hash) = (index, self.size - 1, leaf);
        self.steps.clear();
        for left in (1..=fresh.len() + shared).rev() {
            if last == 0 {
                return false;
            }
            if left <= shared && self.way.get(left - 1) == Some(&(at, last, hash)) {
                self.keep(fresh, shared, left);
                return true;
            }
            self.steps.push((at, last, hash));
            let sibling = if left > shared { fresh[fresh.len() + shared - left] } else { self.proof[left - 1] };
            if at & 1 == 1 || at == last {
                hash = node_hash(sibling, hash);
                // On the right edge, levels at which the edge has no sibling are passed over.
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(hash, sibling);
            }
            at >>= 1;
            last >>= 1;
        }
        let holds = last == 0 && hash == self.root;
        if holds {
            self.keep(fresh, shared, 0);
        }
        holds
    }

    /// Keeps a proof that holds, and its way, which goes on as the last one did for its last `met` hashes.
    fn keep(&mut self, fresh: &[Hash], shared: usize, met: usize) {
        self.proof.truncate(shared);
        self.proof.extend(fresh.iter().rev());
        self.way.truncate(met);
        self.way.extend(self.steps.iter().rev());
    }
}

/// Whether `proof` shows that the tree (`second`, `second_root`) begins with the tree (`first`, `first_root`) (RFC 9162
/// §2.1.4.2). Equal sizes need equal roots and an empty proof; every tree begins with the empty one.
pub fn verify_consistency(first: u64, second: u64, first_root: Hash, second_root: Hash, proof: &[Hash]) -> bool {
    if first == 0 {
        return proof.is_empty() && first_root == fold(&[]);
    }
    if first >= second {
        return first == second && first_root == second_root && proof.is_empty();
    }
    let (start, rest) = match proof.split_first() {
        _ if first.is_power_of_two() => (first_root, proof),
        Some((start, rest)) => (*start, rest),
        None => return false,
    };
    let (mut at, mut last) = (first - 1, second - 1);
    let skipped = at.trailing_ones();
    (at, last) = (at >> skipped, last >> skipped);
    let (mut old, mut new) = (start, start);
    for part in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node_hash(*part, old);
            new = node_hash(*part, new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(new, *part);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old == first_root && new == second_root
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    use super::*;

    /// The tree hash exactly as RFC 9162 §2.1.1 defines it, with nothing shared with the code under test but SHA-256.
    fn defined_root(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [leaf] => Hash::of(&[&[0], leaf]),
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                Hash::of(&[&[1], &defined_root(left).0, &defined_root(right).0])
            }
        }
    }

    /// PATH of RFC 9162 §2.1.3.1.
    fn defined_path(index: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
        if leaves.len() < 2 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut path, sibling) = if index < left.len() {
            (defined_path(index, left), right)
        } else {
            (defined_path(index - left.len(), right), left)
        };
        path.push(defined_root(sibling));
        path
    }

    /// SUBPROOF of RFC 9162 §2.1.4.1.
    fn defined_subproof(first: usize, leaves: &[Vec<u8>], known: bool) -> Vec<Hash> {
        if first == leaves.len() {
            return if known { Vec::new() } else { vec![defined_root(leaves)] };
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut proof, other) = if first <= left.len() {
            (defined_subproof(first, left, known), right)
        } else {
            (defined_subproof(first - left.len(), right, false), left)
        };
        proof.push(defined_root(other));
        proof
    }

    struct Grown {
        frontiers: Vec<Frontier>,
        nodes: HashMap<Node, Hash>,
    }

    fn grow(leaves: &[Vec<u8>]) -> Grown {
        let mut grown = Grown { frontiers: vec![Frontier::default()], nodes: HashMap::new() };
        let mut frontier = Frontier::default();
        for leaf in leaves {
            grown.nodes.extend(frontier.append(leaf_hash(leaf)));
            grown.frontiers.push(frontier.clone());
        }
        grown
    }

    fn leaves(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|i| i.to_string().into_bytes()).collect()
    }

    fn hex(text: &str) -> Hash {
        Hash(std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()))
    }

    /// The eight leaves and roots that Certificate Transparency implementations test each other with.
    #[test]
    fn the_roots_of_certificate_transparency() {
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root(), hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
        for (leaf, root) in leaves.into_iter().zip(roots) {
            let data: Vec<u8> =
                (0..leaf.len() / 2).map(|i| u8::from_str_radix(&leaf[2 * i..2 * i + 2], 16).unwrap()).collect();
            frontier.append(leaf_hash(&data));
            assert_eq!(frontier.root(), hex(root), "{} leaves", frontier.size());
        }
    }

    #[test]
    fn every_root_and_proof_of_every_small_tree_is_the_defined_one_and_verifies() {
        let leaves = leaves(40);
        let grown = grow(&leaves);
        for size in 0..=leaves.len() {
            let now = &leaves[..size];
            let root = grown.frontiers[size].root();
            assert_eq!(root, defined_root(now));
            for index in 0..size {
                let proof = inclusion_proof(index as u64, size as u64, &grown.nodes).unwrap();
                assert_eq!(proof, defined_path(index, now), "leaf {index} of {size}");
                assert!(verify_inclusion(index as u64, size as u64, leaf_hash(&now[index]), &proof, root));
            }
            for first in 1..=size {
                let proof = consistency_proof(first as u64, size as u64, &grown.nodes).unwrap();
                assert_eq!(proof, defined_subproof(first, now, true), "{first} of {size}");
                let old = grown.frontiers[first].root();
                assert!(verify_consistency(first as u64, size as u64, old, root, &proof));
            }
        }
    }

    #[test]
    fn a_frontier_is_restored_from_stored_nodes() {
        let grown = grow(&leaves(70));
        for (size, frontier) in grown.frontiers.iter().enumerate() {
            let peaks: Vec<Hash> = Frontier::nodes(size as u64).iter().map(|node| grown.nodes[node]).collect();
            assert_eq!(Frontier::from_parts(size as u64, peaks.clone()).as_ref(), Some(frontier));
            assert_eq!(Frontier::from_parts(size as u64, [peaks, vec![Hash::ZERO]].concat()), None);
        }
    }

    #[test]
    fn the_named_nodes_are_exactly_those_a_proof_needs() {
        let grown = grow(&leaves(40));
        let only =
            |nodes: Vec<Node>| nodes.into_iter().map(|node| (node, grown.nodes[&node])).collect::<HashMap<_, _>>();
        for index in 0..40 {
            let named = only(inclusion_nodes(index, 40));
            assert!(inclusion_proof(index, 40, &named).is_some());
            for node in named.keys() {
                let mut fewer = named.clone();
                fewer.remove(node);
                assert_eq!(inclusion_proof(index, 40, &fewer), None);
            }
            assert!(consistency_proof(index + 1, 40, &only(consistency_nodes(index + 1, 40))).is_some());
        }
        for (index, size) in [(0, 0), (5, 5), (6, 5)] {
            assert_eq!((inclusion_proof(index, size, &grown.nodes), inclusion_nodes(index, size)), (None, vec![]));
        }
        for (first, second) in [(0, 5), (6, 5)] {
            let nothing = (consistency_proof(first, second, &grown.nodes), consistency_nodes(first, second));
            assert_eq!(nothing, (None, vec![]));
        }
    }

    /// `ct-merkle` is an implementation that nobody here wrote.
    #[test]
    fn another_implementation_agrees() {
        let leaves = leaves(33);
        let grown = grow(&leaves);
        let mut theirs = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
        for (i, leaf) in leaves.iter().enumerate() {
            theirs.push(leaf.clone());
            let size = i as u64 + 1;
            assert_eq!(theirs.root().as_bytes().as_slice(), grown.frontiers[i + 1].root().0);
            let flat = |proof: Option<Vec<Hash>>| proof.unwrap().iter().flat_map(|hash| hash.0).collect::<Vec<u8>>();
            for index in 0..=i {
                let proof = theirs.prove_inclusion(index);
                assert_eq!(proof.as_bytes(), flat(inclusion_proof(index as u64, size, &grown.nodes)));
                let added = i - index;
                let proof = theirs.prove_consistency(added);
                assert_eq!(proof.as_bytes(), flat(consistency_proof(index as u64 + 1, size, &grown.nodes)));
            }
        }
    }

    proptest! {
        #[test]
        fn a_proof_of_anything_else_is_refused(
            size in 1_u64..40, index in 0_u64..40, first in 1_u64..40, at in any::<prop::sample::Index>(), bit in 0..256_usize,
        ) {
            let leaves = leaves(size as usize);
            let grown = grow(&leaves);
            let (index, first) = (index % size, first % size + 1);
            let root = grown.frontiers[size as usize].root();
            let leaf = leaf_hash(&leaves[index as usize]);
            let flip = |hash: &mut Hash| hash.0[bit / 8] ^= 1 << (bit % 8);

            let proof = inclusion_proof(index, size, &grown.nodes).unwrap();
            for other in (0..size + 2).filter(|other| *other != index) {
                prop_assert!(!verify_inclusion(other, size, leaf, &proof, root), "at another index");
            }
            prop_assert!(!verify_inclusion(index, size, leaf, &[&proof[..], &[Hash::ZERO]].concat(), root));
            if !proof.is_empty() {
                let mut bad = proof.clone();
                flip(&mut bad[at.index(proof.len())]);
                prop_assert!(!verify_inclusion(index, size, leaf, &bad, root));
                prop_assert!(!verify_inclusion(index, size, leaf, &proof[1..], root));
            }

            let old = grown.frontiers[first as usize].root();
            let proof = consistency_proof(first, size, &grown.nodes).unwrap();
            let mut forged = old;
            flip(&mut forged);
            prop_assert!(!verify_consistency(first, size, forged, root, &proof));
            prop_assert!(!verify_consistency(first, size, old, forged, &proof));
            prop_assert!(!verify_consistency(first, size, old, root, &[&proof[..], &[Hash::ZERO]].concat()));
            if !proof.is_empty() {
                let mut bad = proof.clone();
                flip(&mut bad[at.index(proof.len())]);
                prop_assert!(!verify_consistency(first, size, old, root, &bad));
                prop_assert!(!verify_consistency(first, size, old, root, &proof[1..]));
            }
        }

        /// A proof is judged the same whatever was shown before it.
        #[test]
        fn proofs_in_a_row_are_judged_as_alone(
            size in 1_usize..200,
            shown in proptest::collection::vec((0_usize..200, 0_usize..200, any::<prop::sample::Index>(), 0_u8..4), 1..30),
        ) {
            let leaves: Vec<Vec<u8>> = (0..size).map(|n| vec![n as u8]).collect();
            let root = defined_root(&leaves);
            let mut tree = Inclusions::of(size as u64, root);
            for (leaf, place, at, fault) in shown {
                let (leaf, place) = (leaf % size, if fault == 1 { place % size } else { leaf % size });
                let mut proof = defined_path(leaf, &leaves);
                match fault {
                    2 if !proof.is_empty() => {
                        let at = at.index(proof.len());
                        proof[at].0[0] ^= 1;
                    }
                    3 => drop(proof.pop()),
                    _ => {}
                }
                let hash = leaf_hash(&leaves[leaf]);
                let alone = verify_inclusion(place as u64, size as u64, hash, &proof, root);
                prop_assert_eq!(tree.holds(place as u64, hash, &proof), alone);
                prop_assert!(!alone || place == leaf);
            }
        }

        #[test]
        fn no_input_panics(
            index in any::<u64>(), size in any::<u64>(), proof in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let proof: Vec<Hash> = proof.into_iter().map(Hash).collect();
            prop_assert!(!verify_inclusion(index, size, Hash::ZERO, &proof, Hash::ZERO));
            prop_assert!(!verify_consistency(index, size, Hash::ZERO, Hash([1; 32]), &proof));
            inclusion_nodes(index, size);
            consistency_nodes(index, size);
            Frontier::nodes(size);
        }
    }

    #[test]
    fn every_tree_begins_with_the_empty_one() {
        let empty = Frontier::default().root();
        assert!(verify_consistency(0, 5, empty, Hash::ZERO, &[]));
        assert!(!verify_consistency(0, 5, Hash::ZERO, Hash::ZERO, &[]));
        assert!(!verify_consistency(0, 5, empty, Hash::ZERO, &[Hash::ZERO]));
        assert!(!verify_consistency(6, 5, Hash::ZERO, Hash::ZERO, &[]), "a log does not shrink");
    }
}
