//! Which words of an account's rows say something about a payment.

use std::collections::{HashMap, HashSet};

use super::align::{Listed, Stored};
use super::sketch::Sketch;

/// Rows that must have lost a word as their text changed before it is known to say nothing.
const DROPPED_MIN: u32 = 3;

/// The words that say nothing about a payment, and those that name a place. The first stand on rows of a quarter of all
/// amounts (of eight at least), or on rows of half of all amounts (of three at least) that are or were to change, as
/// "pending" and "reserved" do; the second on rows of one in sixteen amounts at most (or of two).
pub(super) fn weigh_words<I>(stored: &[Stored<I>], listed: &[Listed]) -> (HashSet<u64>, HashSet<u64>) {
    let earlier: Vec<&Sketch> = stored.iter().filter_map(|row| row.earlier.as_ref()).collect();
    let current = stored.iter().map(|row| &row.sketch).chain(listed.iter().map(|row| &row.sketch));
    let all: Vec<&Sketch> = current.chain(earlier.iter().copied()).collect();
    let provisional = all.iter().copied().filter(|sketch| sketch.provisional);
    let provisional: Vec<&Sketch> =
        provisional.chain(earlier.into_iter().filter(|sketch| !sketch.provisional)).collect();
    let (of_all, amounts) = amounts_of_words(&all);
    let (of_provisional, held) = amounts_of_words(&provisional);
    let many = amounts.div_ceil(4).max(8);
    let half = held.div_ceil(2).max(3);
    let with = |words: &HashMap<u64, usize>, fits: &dyn Fn(usize) -> bool| {
        words.iter().filter(|(_, amounts)| fits(**amounts)).map(|(word, _)| *word).collect::<HashSet<u64>>()
    };
    let mut common = with(&of_all, &|amounts| amounts >= many);
    common.extend(with(&of_provisional, &|amounts| amounts >= half));
    common.extend(dropped_words(stored));
    let few = (amounts / 16).max(2);
    (common, with(&of_all, &|amounts| amounts <= few))
}

/// Words that go when a text changes, as those do that say in what state a payment is.
fn dropped_words<I>(stored: &[Stored<I>]) -> impl Iterator<Item = u64> {
    let mut counts: HashMap<u64, (u32, u32)> = HashMap::new();
    for row in stored {
        let before = row.earlier.iter().filter(|earlier| earlier.text != row.sketch.text);
        for word in before.flat_map(|earlier| &earlier.words) {
            let (kept, dropped) = counts.entry(*word).or_default();
            *(if row.sketch.words.binary_search(word).is_ok() { kept } else { dropped }) += 1;
        }
    }
    let says_nothing = |(kept, dropped): (u32, u32)| dropped >= DROPPED_MIN && dropped >= kept.saturating_mul(8);
    counts.into_iter().filter(move |(_, counts)| says_nothing(*counts)).map(|(word, _)| word)
}

/// With how many different amounts each word stands, and how many amounts there are.
fn amounts_of_words(rows: &[&Sketch]) -> (HashMap<u64, usize>, usize) {
    let mut amounts_of: HashMap<u64, HashSet<rust_decimal::Decimal>> = HashMap::new();
    let mut amounts = HashSet::new();
    for row in rows {
        amounts.insert(row.money.amount());
        for word in &row.words {
            amounts_of.entry(*word).or_default().insert(row.money.amount());
        }
    }
    (amounts_of.into_iter().map(|(word, of)| (word, of.len())).collect(), amounts.len())
}
