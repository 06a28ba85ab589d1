//! What is stored against what a complete fetch brought: a pairing of rows, strongest evidence first.
//!
//! Every step pairs rows one to one and never drops one, so two equal purchases stay two whatever the evidence says.
//! Where it does not decide, both rows stay and the new one is flagged.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::ops::RangeInclusive;

use domain::money::Money;
use domain::records::Status;
use jiff::Span;
use jiff::civil::Date;

use super::booking::amount_changed;
use super::pages::{self, Repeat};
use super::sketch::Sketch;
use super::trust::{IdField, PendingDays, Trust};
use super::words::weigh_words;

/// Days at the old edge of the fetched window in which a missing row is not missed: banks cut it by different dates.
const EDGE_DAYS: i32 = 3;
/// Days before the fetched window from which stored rows are needed: days that moved, pending rows that were withdrawn.
const BACK_DAYS: i32 = 20;
/// Longest distance of the days of one payment under one identifier.
const ID_DAYS_MAX: i32 = 10;
/// Longest time in which a pending row that is dated anew is followed, in days.
const REDATED_DAYS_MAX: i32 = 7;
/// Booked rows that must have been replaced before the bank is known to replace them.
const REPLACED_MIN: u32 = 3;
/// Pairs of equal rows that are weighed one by one; beyond it they are paired in their order.
const PAIRS_MAX: usize = 10_000;

/// A row that the bank listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What identifies it.
    pub sketch: Sketch,
    /// The number of the page it stood on, counted through all lists of the fetch.
    pub page: u32,
}

/// A row that is stored, a tombstone too.
#[derive(Clone, Debug)]
pub struct Stored<I> {
    /// Our id.
    pub id: I,
    /// What identifies it, as last listed.
    pub sketch: Sketch,
    /// What it looked like before it last changed.
    pub earlier: Option<Sketch>,
    /// Whether the fetch before missed it.
    pub missed: bool,
    /// Whether it was withdrawn.
    pub removed: bool,
}

impl<I: Copy> Stored<I> {
    /// A row that a fetch brought first.
    pub fn new(id: I, sketch: Sketch) -> Self {
        Self { id, sketch, earlier: None, missed: false, removed: false }
    }

    /// The row as it is listed now: alive, and its form of before kept where that was another.
    #[must_use]
    pub fn listed_as(self, sketch: Sketch) -> Self {
        let changed = content_key(&self.sketch) != content_key(&sketch);
        let earlier = if changed { Some(self.sketch) } else { self.earlier };
        Self { id: self.id, sketch, earlier, missed: false, removed: false }
    }

    /// The row with the form in which the fetch listed its payment a second time ([`Outcome::Echo`]), by which the next
    /// fetch knows that form again.
    #[must_use]
    pub fn echoed_as(self, sketch: &Sketch) -> Self {
        let another = content_key(&self.sketch) != content_key(sketch);
        let earlier = if another { Some(sketch.clone()) } else { self.earlier };
        Self { earlier, ..self }
    }
}

/// What a fetch was complete for.
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    /// The first day asked for; booked rows of earlier days are not missed.
    pub from: Date,
    /// Whether pending rows were asked for and given.
    pub pending: bool,
}

/// Why two rows were taken for one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing differs.
    Everything,
    /// An identifier that has proven to name payments.
    Id(IdField),
    /// Amount, days, text and party are equal.
    Content,
    /// A pending row, but for its days, which follow the calendar at this bank.
    Redated,
    /// It is what the payment looked like before it was booked.
    EarlierForm,
    /// A reference that only these two rows carry.
    Link,
    /// Equal amount, days that fit, a similar text or the same party.
    Text,
    /// A similar text and days that fit; the amount changed.
    TextOnly,
    /// Equal amount, days that fit, no other row that it could be; the texts share a word or have nothing to share.
    Amount,
    /// Nearly equal amount, days that fit, no other row that it could be; one text says nothing.
    NearAmount,
    /// Equal amount and day; the one went when the other came.
    AmountAndDay,
    /// The row stood at the end of one page and at the beginning of the next.
    PageOverlap,
}

impl Evidence {
    /// Its word, on the wire and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Id(IdField::Transaction) => "transaction_id",
            Self::Id(IdField::Internal) => "internal_id",
            Self::Id(IdField::Entry) => "entry_reference",
            Self::Id(IdField::Proprietary) => "proprietary_code",
            Self::Content => "content",
            Self::Redated => "redated",
            Self::EarlierForm => "earlier_form",
            Self::Link => "reference",
            Self::Text => "amount_and_text",
            Self::TextOnly => "text",
            Self::Amount => "amount",
            Self::NearAmount => "near_amount",
            Self::AmountAndDay => "amount_and_day",
            Self::PageOverlap => "page_overlap",
        }
    }
}

/// The other row of a pair: one of this fetch or one that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin<I> {
    /// The row of that place in the fetch.
    Listed(usize),
    /// The stored row of that id.
    Stored(I),
}

/// What a listed row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<I> {
    /// A stored payment, in the same state; a tombstone comes back to life.
    Same {
        /// Its id.
        id: I,
        /// Why.
        why: Evidence,
    },
    /// A stored payment that was provisional and is now booked.
    Booked {
        /// Its id.
        id: I,
        /// Why.
        why: Evidence,
    },
    /// A payment that was not known.
    New,
    /// Perhaps that payment, perhaps another: it gets an id of its own, both stay and are flagged.
    Doubtful {
        /// The row it may be.
        like: Twin<I>,
    },
    /// The same payment as that row, listed a second time: only its form is kept ([`Stored::echoed_as`]).
    Echo {
        /// The row that stands for the payment.
        of: Twin<I>,
        /// Why.
        why: Evidence,
    },
}

/// The result of an alignment.
#[derive(Clone, Debug)]
pub struct Alignment<I> {
    /// What each listed row is, in the order of the fetch.
    pub listed: Vec<Outcome<I>>,
    /// Stored rows that the bank no longer lists: they become tombstones.
    pub withdrawn: Vec<I>,
    /// Booked rows that the bank should have listed and did not, for the first time: a row can be lost between two
    /// pages, so they stay until the next fetch misses them too.
    pub missed: Vec<I>,
    /// What is known now of the bank's identifiers; the argument of the next alignment.
    pub trust: Trust,
}

/// The first day of which stored rows must be given to [`align`].
pub fn opens_from(listed: &[Listed], coverage: &Coverage) -> Date {
    let earliest = listed.iter().filter_map(|row| row.sketch.booked_day()).fold(coverage.from, Date::min);
    earliest.saturating_sub(Span::new().days(BACK_DAYS))
}

/// Pairs what is stored with what a complete fetch brought.
///
/// `stored` holds all rows from [`opens_from`] on and all pending ones, tombstones included, in the order of their days;
/// `listed` all rows of the fetch in the bank's order. A fetch that broke off must not be aligned.
pub fn align<I: Copy + Eq>(
    stored: &[Stored<I>],
    listed: &[Listed],
    coverage: &Coverage,
    trust: &Trust,
) -> Alignment<I> {
    align_weighing(stored, listed, coverage, trust).0
}

/// [`align`], and how many pairs of rows it held against each other.
pub(super) fn align_weighing<I: Copy + Eq>(
    stored: &[Stored<I>],
    listed: &[Listed],
    coverage: &Coverage,
    trust: &Trust,
) -> (Alignment<I>, usize) {
    let mut work = Work::new(stored, listed, *coverage, trust);
    work.everything();
    work.overlaps();
    work.ids();
    work.content(Live::Stored);
    work.earlier_forms();
    work.content(Live::Removed);
    // Where pending rows are dated anew, one that seems to have gone has only moved; elsewhere it has been booked.
    if trust.pending_days.move_on() {
        work.redated(trust.pending_days);
    }
    work.bookings(trust.lingering);
    work.redated(trust.pending_days);
    work.last_bookings(trust.lingering);
    let weighed = work.weighed.get();
    (work.finish(trust), weighed)
}

/// Which stored rows a step looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Live {
    Stored,
    Removed,
}

/// An alignment under way.
pub(super) struct Work<'a, I> {
    pub(super) stored: &'a [Stored<I>],
    pub(super) listed: &'a [Listed],
    pub(super) coverage: Coverage,
    /// What each listed row is, as far as it is settled.
    pub(super) outcome: Vec<Option<Outcome<I>>>,
    /// The stored row that a listed one continues.
    pub(super) partner: Vec<Option<usize>>,
    /// Whether a stored row is continued.
    pub(super) taken: Vec<bool>,
    /// Whether a stored row was named in a doubt: what did not decide then does not decide for less.
    pub(super) doubted: Vec<bool>,
    /// The stored row that a listed one, with others, was in doubt to continue, and by what.
    pub(super) contested: Vec<Option<(usize, Evidence)>>,
    /// Fields whose equal values mean one payment: of booked rows, of provisional ones.
    pub(super) naming: [[bool; IdField::ALL.len()]; 2],
    /// Fields of booked rows whose different values mean two payments.
    pub(super) steady: [bool; IdField::ALL.len()],
    /// Words that stand on too many different rows to say anything.
    pub(super) common: HashSet<u64>,
    /// Words that name a place: they stand on rows of few amounts.
    pub(super) places: HashSet<u64>,
    /// On how many listed and on how many stored rows a reference stands.
    pub(super) links: HashMap<u64, (u32, u32)>,
    /// Whether provisional rows are known to stay listed beside their bookings.
    pub(super) lingers: bool,
    /// Whether the bank is known to replace booked rows by others.
    pub(super) replaces: bool,
    /// Longest usual time from a purchase to its booking, in days.
    pub(super) usual_delay: i32,
    balance_runs: bool,
    /// Rows that are one of the page before again, and rows that may be.
    certain: Vec<(usize, usize)>,
    possible: Vec<(usize, usize)>,
    /// The days in which a row can have been lost between two pages.
    edges: Vec<RangeInclusive<Date>>,
    /// Whether a listed row is one of the repeated ones.
    repeated: Vec<bool>,
    /// Rows of an amount.
    pub(super) of_money: HashMap<Money, OfAmount>,
    /// Stored rows that are provisional and were not withdrawn.
    pub(super) provisional: Vec<usize>,
    pub(super) seen: Trust,
    /// Pairs of rows that were held against each other: what an alignment costs beyond reading each row.
    pub(super) weighed: Cell<usize>,
}

impl<'a, I: Copy + Eq> Work<'a, I> {
    fn new(stored: &'a [Stored<I>], listed: &'a [Listed], coverage: Coverage, trust: &Trust) -> Self {
        let balance_runs = pages::balance_runs(listed);
        let repeats = pages::repeats(listed, balance_runs, trust);
        let (common, places) = weigh_words(stored, listed);
        let mut work = Self {
            stored,
            listed,
            coverage,
            outcome: vec![None; listed.len()],
            partner: vec![None; listed.len()],
            taken: vec![false; stored.len()],
            doubted: vec![false; stored.len()],
            contested: vec![None; listed.len()],
            naming: [[false; IdField::ALL.len()]; 2],
            steady: [false; IdField::ALL.len()],
            common,
            places,
            links: HashMap::new(),
            lingers: trust.lingering.is_known_here(),
            replaces: trust.replaced >= REPLACED_MIN,
            usual_delay: trust.delays.usual(),
            balance_runs,
            certain: pages::sorted(&repeats, |repeat| matches!(repeat, Repeat::Certain(_))),
            possible: pages::sorted(&repeats, |repeat| matches!(repeat, Repeat::Possible(_))),
            edges: pages::edges(listed),
            repeated: (0..listed.len()).map(|l| repeats.contains_key(&l)).collect(),
            of_money: OfAmount::of(stored, listed),
            provisional: (0..stored.len()).filter(|&s| stored[s].sketch.provisional && !stored[s].removed).collect(),
            seen: Trust::default(),
            weighed: Cell::new(0),
        };
        for token in listed.iter().flat_map(|row| &row.sketch.links) {
            work.links.entry(*token).or_default().0 += 1;
        }
        for token in stored.iter().flat_map(|row| &row.sketch.links) {
            work.links.entry(*token).or_default().1 += 1;
        }
        let sure: Vec<(usize, usize)> = work
            .groups(content_key, Live::Stored)
            .into_iter()
            .filter_map(|(stored, listed)| Some((*single(&stored)?, *single(&listed)?)))
            .collect();
        work.seen = Trust::seen(stored, listed, &work.repeated, &sure);
        work.naming = [trust.naming(&work.seen, false), trust.naming(&work.seen, true)];
        work.steady = trust.steady(&work.seen, false);
        work
    }

    pub(super) fn is_free(&self, l: usize) -> bool {
        self.outcome[l].is_none()
    }

    /// Whether the bank would have listed the stored row if it still had it.
    pub(super) fn is_covered(&self, s: usize) -> bool {
        let sketch = &self.stored[s].sketch;
        let first = self.coverage.from.saturating_add(Span::new().days(EDGE_DAYS));
        match sketch.status {
            Status::Pending => self.coverage.pending,
            Status::Booked => sketch.booked_day().is_some_and(|day| day >= first),
        }
    }

    /// Whether the row may be missing because it moved while a page was turned.
    pub(super) fn may_be_lost(&self, sketch: &Sketch) -> bool {
        sketch.booked_day().is_none_or(|day| self.edges.iter().any(|edge| edge.contains(&day)))
    }

    /// Takes a listed row for the continuation of a stored one.
    pub(super) fn settle(&mut self, s: usize, l: usize, why: Evidence) {
        let id = self.stored[s].id;
        let becomes_booked = self.stored[s].sketch.provisional && !self.listed[l].sketch.provisional;
        self.seen.lingering.bookings += u32::from(becomes_booked);
        if becomes_booked && !amount_changed(why) {
            self.note_delay(&self.stored[s].sketch, &self.listed[l].sketch);
        }
        self.outcome[l] = Some(if becomes_booked { Outcome::Booked { id, why } } else { Outcome::Same { id, why } });
        self.partner[l] = Some(s);
        self.taken[s] = true;
    }

    pub(super) fn note_delay(&mut self, before: &Sketch, now: &Sketch) {
        if let Some(days) = days_apart(before.day(), now.booked_day()) {
            self.seen.delays.note(days);
        }
    }

    /// Rows that stand at the end of one page and at the beginning of the next, unless as many were known.
    fn overlaps(&mut self) {
        for (l, other) in std::mem::take(&mut self.certain) {
            if self.is_free(l) {
                self.echo(l, Twin::Listed(other), Evidence::PageOverlap);
            }
        }
    }

    pub(super) fn echo(&mut self, l: usize, of: Twin<I>, why: Evidence) {
        self.outcome[l] = Some(Outcome::Echo { of, why });
    }

    fn everything(&mut self) {
        for (stored, listed) in self.groups(|sketch| sketch, Live::Stored) {
            self.pair(&stored, &listed, Evidence::Everything);
        }
    }

    /// A pending row that is still listed beside its booking, as at banks that read their two lists at two moments.
    fn earlier_forms(&mut self) {
        let mut places: HashMap<ContentKey, Vec<usize>> = HashMap::new();
        for l in (0..self.listed.len()).filter(|&l| self.is_free(l)) {
            places.entry(content_key(&self.listed[l].sketch)).or_default().push(l);
        }
        for s in 0..self.stored.len() {
            let Some(earlier) = &self.stored[s].earlier else { continue };
            let again = |l: &usize| self.is_free(*l) && !links_differ(earlier, &self.listed[*l].sketch);
            let again = places.get(&content_key(earlier)).and_then(|places| places.iter().copied().find(again));
            if let Some(l) = again {
                self.echo(l, Twin::Stored(self.stored[s].id), Evidence::EarlierForm);
                self.seen.lingering.beside += 1;
            }
        }
    }

    /// Identifiers that name payments, where the value stands once on either side.
    fn ids(&mut self) {
        let listed: HashSet<ContentKey> = self.listed.iter().map(|row| content_key(&row.sketch)).collect();
        let stored: HashSet<ContentKey> = self.stored.iter().map(|row| content_key(&row.sketch)).collect();
        // A row whose content stands on the other side too is not followed to other content: places in a list that
        // serve as identifiers move when a row comes late.
        let agree = |before: &Sketch, now: &Sketch| {
            let (before, now) = (content_key(before), content_key(now));
            before == now || !listed.contains(&before) && !stored.contains(&now)
        };
        for (index, field) in IdField::ALL.into_iter().enumerate() {
            let mut holders: HashMap<u64, (Vec<usize>, Vec<usize>)> = HashMap::new();
            for s in (0..self.stored.len()).filter(|&s| !self.taken[s] && !self.stored[s].removed) {
                if let Some(value) = self.believed(&self.stored[s].sketch, index) {
                    holders.entry(value).or_default().0.push(s);
                }
            }
            for l in (0..self.listed.len()).filter(|&l| self.is_free(l)) {
                if let Some(value) = self.believed(&self.listed[l].sketch, index) {
                    holders.entry(value).or_default().1.push(l);
                }
            }
            for (stored, listed) in holders.into_values() {
                if let (Some(&s), Some(&l)) = (single(&stored), single(&listed))
                    && may_share_id(&self.stored[s].sketch, &self.listed[l].sketch)
                    && agree(&self.stored[s].sketch, &self.listed[l].sketch)
                {
                    self.settle(s, l, Evidence::Id(field));
                }
            }
        }
    }

    /// The value of a field that is believed on rows of this kind.
    pub(super) fn believed(&self, sketch: &Sketch, field: usize) -> Option<u64> {
        sketch.ids[field].filter(|_| self.naming[usize::from(sketch.provisional)][field])
    }

    fn content(&mut self, live: Live) {
        for (stored, listed) in self.groups(content_key, live) {
            self.pair(&stored, &listed, Evidence::Content);
        }
    }

    /// Pending rows whose days follow the calendar, unless the bank is known to leave them.
    fn redated(&mut self, days: PendingDays) {
        let key = |sketch: &Sketch| (sketch.provisional, sketch.status, sketch.money, sketch.text, sketch.party);
        if days.stay() {
            return;
        }
        for (stored, listed) in self.groups(key, Live::Stored) {
            for (&s, &l) in stored.iter().zip(&listed) {
                let (before, now) = (&self.stored[s].sketch, &self.listed[l].sketch);
                let near = days_apart(before.day(), now.day()).is_none_or(|days| days.abs() <= REDATED_DAYS_MAX);
                if now.status != Status::Pending || !near || self.doubted[s] {
                    continue;
                }
                let together = stored.len() == listed.len() && stored.len() > 1;
                let alone = stored.len() == 1 && listed.len() == 1 && !self.is_habit(now, Some(s), Some(l), Some(l));
                if days.move_on() || (alone || together) && !self.says_nothing(now) {
                    self.settle(s, l, Evidence::Redated);
                    self.seen.pending_days.moved += 1;
                }
            }
        }
    }

    /// Free rows of both sides with an equal key, in the order of the fetch.
    fn groups<K: Hash + Eq>(&self, key: impl Fn(&'a Sketch) -> K, live: Live) -> Vec<(Vec<usize>, Vec<usize>)> {
        let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        let mut places: HashMap<K, usize> = HashMap::new();
        // What may be a row again, at the edge of two pages, comes after all that are certainly rows of their own.
        let (last, first): (Vec<usize>, Vec<usize>) =
            (0..self.listed.len()).filter(|&l| self.is_free(l)).partition(|&l| self.repeated[l]);
        for l in first.into_iter().chain(last) {
            let place = *places.entry(key(&self.listed[l].sketch)).or_insert_with(|| {
                groups.push(Default::default());
                groups.len() - 1
            });
            groups[place].1.push(l);
        }
        for (s, row) in self.stored.iter().enumerate() {
            if !self.taken[s]
                && row.removed == (live == Live::Removed)
                && let Some(&place) = places.get(&key(&row.sketch))
            {
                groups[place].0.push(s);
            }
        }
        groups.retain(|(stored, _)| !stored.is_empty());
        groups
    }

    /// Notes what a step costs.
    pub(super) fn weigh(&self, pairs: usize) {
        self.weighed.set(self.weighed.get().saturating_add(pairs));
    }

    /// Pairs rows that look alike: by the balance after them, by their identifiers, then in their order; never two that an
    /// identifier tells apart which stays with its payment at this bank.
    fn pair(&mut self, stored: &[usize], listed: &[usize], why: Evidence) {
        if stored.len() * listed.len() <= PAIRS_MAX && stored.len() + listed.len() > 2 {
            self.weigh(stored.len() * listed.len());
            let mut ranked: Vec<(u32, usize, usize)> = Vec::new();
            for (&s, &l) in stored.iter().flat_map(|s| listed.iter().map(move |l| (s, l))) {
                let likeness = self.likeness(&self.stored[s].sketch, &self.listed[l].sketch);
                let may_be = likeness > 0 && !self.ids_differ(&self.stored[s].sketch, &self.listed[l].sketch);
                ranked.extend(may_be.then_some((likeness, s, l)));
            }
            ranked.sort_by_key(|(likeness, ..)| std::cmp::Reverse(*likeness));
            for (_, s, l) in ranked {
                if !self.taken[s] && self.is_free(l) {
                    self.settle(s, l, why);
                }
            }
        }
        let mut rest: VecDeque<usize> = listed.iter().copied().filter(|l| self.is_free(*l)).collect();
        for &s in stored.iter().filter(|s| !self.taken[**s]).collect::<Vec<_>>() {
            let fits = |l: &usize| !self.ids_differ(&self.stored[s].sketch, &self.listed[*l].sketch);
            if let Some(l) = rest.iter().position(fits).and_then(|at| rest.remove(at)) {
                self.settle(s, l, why);
            }
        }
    }

    fn likeness(&self, before: &Sketch, now: &Sketch) -> u32 {
        let balance = self.balance_runs && before.balance_after.is_some() && before.balance_after == now.balance_after;
        let ids = before.ids.iter().zip(&now.ids).filter(|(a, b)| a.is_some() && a == b).count();
        let links = now.links.iter().filter(|token| before.links.binary_search(token).is_ok()).count();
        u32::from(balance) * 8 + u32::try_from(ids + 4 * links).unwrap_or(0)
    }

    /// Flags a row that nothing explains and that carries the identifier of another row of its amount, where that
    /// identifier has proven to name payments: some banks list an entry twice, with days and references that differ.
    fn doubled(&mut self, trust: &Trust) {
        for provisional in [false, true] {
            let naming = trust.naming(&Trust::default(), provisional);
            for field in (0..naming.len()).filter(|&field| naming[field]) {
                let mut first: HashMap<(u64, Money), usize> = HashMap::new();
                let of_kind = |l: &usize| self.listed[*l].sketch.provisional == provisional;
                // What is settled stands before what is free, wherever the bank lists it.
                let (free, settled): (Vec<usize>, Vec<usize>) =
                    (0..self.listed.len()).filter(of_kind).partition(|&l| self.is_free(l));
                for l in settled.into_iter().chain(free) {
                    let sketch = &self.listed[l].sketch;
                    let Some(value) = sketch.ids[field] else { continue };
                    let other = *first.entry((value, sketch.money)).or_insert(l);
                    if other != l && self.is_free(l) && !matches!(self.outcome[other], Some(Outcome::Echo { .. })) {
                        self.outcome[l] = Some(Outcome::Doubtful { like: Twin::Listed(other) });
                    }
                }
            }
        }
    }

    fn finish(mut self, trust: &Trust) -> Alignment<I> {
        let kept = (0..self.listed.len())
            .filter(|&l| self.listed[l].sketch.status == Status::Pending)
            .filter(|&l| self.partner[l].is_some_and(|s| self.stored[s].sketch.day() == self.listed[l].sketch.day()));
        self.seen.pending_days.kept = u32::try_from(kept.count()).unwrap_or(u32::MAX);
        for (l, other) in std::mem::take(&mut self.possible) {
            if self.is_free(l) {
                // A row that was known once and now stands at the edge of two pages is that one again: were it another
                // payment, the next fetch would show it where no pages meet.
                let known = self.partner[other].is_some();
                self.outcome[l] = Some(match known {
                    true => Outcome::Echo { of: Twin::Listed(other), why: Evidence::PageOverlap },
                    false => Outcome::Doubtful { like: Twin::Listed(other) },
                });
            }
        }
        self.doubled(trust);
        // Where amounts are equal, each of the rows may be the one.
        for (outcome, contested) in
            self.outcome.iter_mut().zip(&self.contested).filter(|(outcome, _)| outcome.is_none())
        {
            let doubt = contested.filter(|(_, why)| !amount_changed(*why));
            *outcome = doubt.map(|(s, _)| Outcome::Doubtful { like: Twin::Stored(self.stored[s].id) });
        }
        let gone = (0..self.stored.len()).filter(|&s| !self.stored[s].removed && !self.taken[s] && self.is_covered(s));
        let stored = self.stored;
        let (missed, withdrawn): (Vec<usize>, Vec<usize>) =
            gone.partition(|&s| stored[s].sketch.status == Status::Booked && !stored[s].missed);
        Alignment {
            withdrawn: withdrawn.into_iter().map(|s| stored[s].id).collect(),
            missed: missed.into_iter().map(|s| stored[s].id).collect(),
            listed: self.outcome.into_iter().map(|outcome| outcome.unwrap_or(Outcome::New)).collect(),
            trust: trust.after(&self.seen),
        }
    }
}

/// Days from one day to another, where both are known.
pub(super) fn days_apart(from: Option<Date>, to: Option<Date>) -> Option<i32> {
    Some(to?.since(from?).ok()?.get_days())
}

/// The rows of one amount in the order of their days, those without a day first.
#[derive(Default)]
pub(super) struct OfAmount {
    listed: Vec<(Option<Date>, usize)>,
    stored: Vec<(Option<Date>, usize)>,
}

impl OfAmount {
    fn of<I>(stored: &[Stored<I>], listed: &[Listed]) -> HashMap<Money, Self> {
        let mut rows: HashMap<Money, Self> = HashMap::new();
        for (l, row) in listed.iter().enumerate() {
            rows.entry(row.sketch.money).or_default().listed.push((row.sketch.day(), l));
        }
        for (s, row) in stored.iter().enumerate() {
            rows.entry(row.sketch.money).or_default().stored.push((row.sketch.day(), s));
        }
        rows.values_mut().for_each(|of_amount| {
            of_amount.listed.sort_unstable();
            of_amount.stored.sort_unstable();
        });
        rows
    }

    /// The listed and the stored rows that lie no more than so many days from that day, as far as their days are known.
    pub(super) fn around(&self, day: Option<Date>, days: i32) -> [impl Iterator<Item = usize>; 2] {
        let (first, last) = match day {
            Some(day) => (day.saturating_sub(Span::new().days(days)), day.saturating_add(Span::new().days(days))),
            None => (Date::MIN, Date::MAX),
        };
        [&self.listed, &self.stored].map(|rows| {
            let dateless = rows.partition_point(|(day, _)| day.is_none());
            let from = rows.partition_point(|(day, _)| *day < Some(first));
            let until = rows.partition_point(|(day, _)| *day <= Some(last));
            rows[..dateless].iter().chain(&rows[from..until]).map(|(_, place)| *place)
        })
    }
}

fn single<T>(items: &[T]) -> Option<&T> {
    if let [only] = items { Some(only) } else { None }
}

/// Everything that the bank says about the money, the days and the other side.
type ContentKey = (bool, Status, Money, [Option<Date>; 3], Option<u64>, u64);

fn content_key(sketch: &Sketch) -> ContentKey {
    let Sketch { provisional, status, money, booking_date, value_date, purchase_date, party, text, .. } = *sketch;
    (provisional, status, money, [booking_date, value_date, purchase_date], party, text)
}

/// Whether both rows carry references and share none.
pub(super) fn links_differ(before: &Sketch, now: &Sketch) -> bool {
    let shared = now.links.iter().any(|token| before.links.binary_search(token).is_ok());
    !before.links.is_empty() && !now.links.is_empty() && !shared
}

/// Whether two rows with one identifier can be one payment: the amount stays unless a provisional row is settled.
fn may_share_id(before: &Sketch, now: &Sketch) -> bool {
    let near = days_apart(before.booked_day(), now.booked_day()).is_none_or(|days| days.abs() <= ID_DAYS_MAX);
    let currency = before.money.currency() == now.money.currency();
    let sign = before.money.amount().is_sign_negative() == now.money.amount().is_sign_negative();
    near && if before.provisional { currency && sign } else { !now.provisional && before.money == now.money }
}
