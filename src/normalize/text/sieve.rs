//! Which of many patterns a text can match at all, seen from a few bytes of it.
//!
//! A hundred patterns for one line are too many to try, and one automaton of all of them outgrows every cache. But most
//! begin or end with letters that the line does not begin or end with, or want letters and digits that it does not have.
//! The patterns themselves tell which, so nobody has to keep a list beside them. What passes is a candidate and no match.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Literal, Seq};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Bytes of a text's beginning and of its end that are looked at.
const ENDS: usize = 3;
/// Literals by which the beginnings of a pattern are told; where there are more, fewer bytes tell.
const LITERALS_MAX: usize = 8_192;
/// Classes of so many characters are told one by one: all blanks, a dozen marks.
const CLASS_MAX: usize = 64;
/// Most patterns that there can be.
const PATTERNS_MAX: usize = 192;

/// A set of patterns, by their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Set([u64; PATTERNS_MAX / 64]);

impl Set {
    pub(super) fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(super) fn or(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, other)| *mine |= other);
        self
    }

    fn and(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, other)| *mine &= other);
        self
    }

    /// The numbers in order.
    fn numbers(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(at, mut bits)| {
            std::iter::from_fn(move || {
                let next = (bits != 0).then(|| at * 64 + bits.trailing_zeros() as usize);
                bits &= bits.wrapping_sub(1);
                next
            })
        })
    }
}

/// What a text must have, and what a text has.
#[derive(Clone, Copy, Debug, Default)]
struct Letters {
    /// One bit for each letter whatever its case, and for each mark; a few share one.
    seen: u64,
    digits: usize,
}

impl Letters {
    fn of(text: &[u8]) -> Self {
        let mut seen = text.iter().fold(0, |seen, byte| seen | bit(*byte));
        if !text.is_ascii() {
            // The long s and the sign of Kelvin are an s and a k to a pattern that ignores case.
            seen |= bit(b's') | bit(b'k');
        }
        Self { seen, digits: text.iter().filter(|byte| byte.is_ascii_digit()).count() }
    }

    fn has(self, wanted: Self) -> bool {
        self.seen & wanted.seen == wanted.seen && self.digits >= wanted.digits
    }

    /// What every text has that a pattern matches.
    fn wanted_by(pattern: &Hir) -> Self {
        match pattern.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::default(),
            // Bytes of longer characters share bits with others, but a text that has them has those bits too.
            HirKind::Literal(literal) => Self::of_literal(&literal.0),
            HirKind::Class(class) => Self::wanted_by_class(class),
            HirKind::Repetition(part) => {
                let once = Self::wanted_by(&part.sub);
                let times = part.min as usize;
                if times == 0 { Self::default() } else { Self { digits: once.digits * times, ..once } }
            }
            HirKind::Capture(part) => Self::wanted_by(&part.sub),
            HirKind::Concat(parts) => parts.iter().map(Self::wanted_by).fold(Self::default(), |all, part| Self {
                seen: all.seen | part.seen,
                digits: all.digits + part.digits,
            }),
            HirKind::Alternation(parts) => {
                let shared =
                    |one: Self, other: Self| Self { seen: one.seen & other.seen, digits: one.digits.min(other.digits) };
                parts.iter().map(Self::wanted_by).reduce(shared).unwrap_or_default()
            }
        }
    }

    fn of_literal(literal: &[u8]) -> Self {
        let seen = literal.iter().fold(0, |seen, byte| seen | bit(*byte));
        Self { seen, digits: literal.iter().filter(|byte| byte.is_ascii_digit()).count() }
    }

    /// One letter in its cases, or digits; another choice wants nothing.
    fn wanted_by_class(class: &Class) -> Self {
        let Class::Unicode(class) = class else { return Self::default() };
        if class.iter().all(|range| range.start().is_ascii_digit() && range.end().is_ascii_digit()) {
            return Self { seen: 0, digits: 1 };
        }
        let plain = |c: char| match c {
            'ſ' => Some(b's'),
            '\u{212a}' => Some(b'k'),
            _ => u8::try_from(c).ok().filter(u8::is_ascii).map(|byte| byte.to_ascii_lowercase()),
        };
        let mut letters = class.iter().map(|range| plain(range.start()).filter(|_| range.start() == range.end()));
        let first = letters.next().flatten();
        let seen = first.filter(|_| letters.all(|letter| letter == first)).map_or(0, bit);
        Self { seen, digits: 0 }
    }
}

/// The bit of a byte: both cases of a letter have one, marks another.
const fn bit(byte: u8) -> u64 {
    1 << ((byte & 31) | ((byte >> 1) & 32))
}

/// Tells the candidates among its patterns.
pub(super) struct Sieve {
    heads: End,
    tails: End,
    wanted: Vec<Letters>,
}

/// Which patterns each byte may stand for, by its place from one end of a text.
struct End(Vec<[Set; 256]>);

impl End {
    fn new() -> Self {
        Self(vec![[Set::default(); 256]; ENDS])
    }

    /// Adds a pattern that has one of these literals at this end; with none, or where they are too short, any byte will do.
    fn add<'l>(
        &mut self,
        number: usize,
        literals: Option<&'l [Literal]>,
        byte: impl Fn(&'l [u8], usize) -> Option<u8>,
    ) {
        for (place, patterns) in self.0.iter_mut().enumerate() {
            let bytes = literals.and_then(|literals| -> Option<Vec<u8>> {
                literals.iter().map(|literal| byte(literal.as_bytes(), place)).collect()
            });
            match bytes {
                Some(bytes) => bytes.into_iter().for_each(|byte| patterns[usize::from(byte)].insert(number)),
                None => patterns.iter_mut().for_each(|patterns| patterns.insert(number)),
            }
        }
    }

    fn sift<'t>(&self, among: Set, bytes: impl Iterator<Item = &'t u8>) -> Set {
        self.0.iter().zip(bytes).fold(among, |set, (patterns, byte)| set.and(&patterns[usize::from(*byte)]))
    }
}

impl Sieve {
    /// A sieve of patterns that ignore case, numbered in order; nothing where there are too many, or one is none.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = &'p str>) -> Option<Self> {
        let mut sieve = Self { heads: End::new(), tails: End::new(), wanted: Vec::new() };
        for (number, pattern) in patterns.enumerate() {
            let pattern = ParserBuilder::new().case_insensitive(true).build().parse(pattern).ok()?;
            if number == PATTERNS_MAX {
                return None;
            }
            sieve.wanted.push(Letters::wanted_by(&pattern));
            let looks = pattern.properties();
            let is_bound = looks.look_set_prefix().contains(Look::Start);
            let found = is_bound.then(|| literals(&pattern, ExtractKind::Prefix));
            let first = |literal: &[u8], place: usize| literal.get(place).copied();
            sieve.heads.add(number, found.as_ref().and_then(Seq::literals), first);
            let is_bound = looks.look_set_suffix().contains(Look::End);
            let found = is_bound.then(|| literals(&pattern, ExtractKind::Suffix));
            let last = |literal: &[u8], place: usize| literal.iter().rev().nth(place).copied();
            sieve.tails.add(number, found.as_ref().and_then(Seq::literals), last);
        }
        Some(sieve)
    }

    /// The patterns of a set that a text may match, in order.
    pub(super) fn candidates(&self, text: &str, among: &Set) -> impl Iterator<Item = usize> {
        let bytes = text.as_bytes();
        let bound = self.tails.sift(self.heads.sift(*among, bytes.iter()), bytes.iter().rev());
        let letters = Letters::of(bytes);
        bound.numbers().filter(move |number| letters.has(self.wanted[*number]))
    }
}

/// What stands at one end of all that a pattern matches.
fn literals(pattern: &Hir, kind: ExtractKind) -> Seq {
    let mut extractor = Extractor::new();
    extractor.kind(kind).limit_literal_len(ENDS).limit_total(LITERALS_MAX).limit_class(CLASS_MAX);
    extractor.extract(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATTERNS: [&str; 9] = [
        "^(?:CARTE|CB)\\s+(?<d>[0-9][0-9])/",
        "^(?<name>.+?)\\s+SEPA\\s+DD$",
        "(?-u:\\b)[0-9]{4}-[0-9][0-9]-[0-9][0-9][T ]",
        "^[a-z].*$",
        "^(?:ask|skis)?.*MASK$",
        "^(?:[0-9]+\\s+)?VIR\\s",
        "(?:^|\\s)Naam:",
        "^[0-9\\s./:*,+-]+$",
        "^Płatność",
    ];

    fn sieve() -> Sieve {
        Sieve::new(PATTERNS.into_iter()).unwrap()
    }

    fn all() -> Set {
        (0..PATTERNS.len()).fold(Set::default(), |mut set, number| {
            set.insert(number);
            set
        })
    }

    #[test]
    fn few_patterns_are_candidates() {
        let sieve = sieve();
        for (text, candidates) in [
            ("carte 05/06", &[0, 3][..]),
            ("CARTE DE VISITE", &[3]),
            ("WATER SEPA DD", &[1, 3]),
            ("on 2031-06-05 at", &[2, 3]),
            ("30/04/2031", &[7]),
            ("12 vir x", &[5]),
            ("PŁATNOŚĆ", &[3, 8]),
            ("+", &[7]),
            ("", &[3, 7]),
        ] {
            assert_eq!(sieve.candidates(text, &all()).collect::<Vec<_>>(), candidates, "{text}");
        }
        assert_eq!(sieve.candidates("30/04/2031", &Set::default()).count(), 0);
    }

    #[test]
    fn what_cannot_be_sifted_is_refused() {
        assert!(Sieve::new(["("].into_iter()).is_none());
        assert!(Sieve::new(std::iter::repeat_n("a", PATTERNS_MAX)).is_some());
        assert!(Sieve::new(std::iter::repeat_n("a", PATTERNS_MAX + 1)).is_none());
    }

    proptest! {
        #[test]
        fn no_match_is_lost(
            texts in proptest::collection::vec(
                prop_oneof!["\\PC{0,6}", "(?i)(carte|cb|sepa|dd|naam:|vir|mask|ma\u{17f}\u{212a}|płatność)", "[0-9/ :.T-]{0,11}"],
                0..5,
            ),
            blank in "[ \t]?",
        ) {
            let (text, sieve) = (texts.join(&blank), sieve());
            let candidates: Vec<_> = sieve.candidates(&text, &all()).collect();
            for (number, pattern) in PATTERNS.iter().enumerate() {
                let regex = regex::RegexBuilder::new(pattern).case_insensitive(true).build().unwrap();
                prop_assert!(!regex.is_match(&text) || candidates.contains(&number), "{pattern}");
            }
        }
    }
}
